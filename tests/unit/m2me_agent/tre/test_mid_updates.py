"""The content of a MID that is here is brought anew: by its owner, under an order for it, in a version above, or not at all."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from m2me_agent.tre.errors import AnchorError, OrderError
from m2me_agent.tre.mid_rules import FULL_RULES
from m2me_agent.tre.orders import Consent
from m2me_agent.tre.usim import NetworkChallenge
from messages.instruction import ACTIVATE, BLOCK, DEACTIVATE
from messages.mid_policy import MidPolicy
from messages.statement import Receipt
from standards.aka.milenage import MilenageKey
from standards.pki import oids
from tests.fakes.network import IMSI, MID_KEY, Parcel, operator, vector
from tests.fakes.pki import Authority
from tests.unit.m2me_agent.tre.subscriptions import OPERATORS_ROOT, World
from tests.unit.m2me_agent.tre.test_power_cuts import STORAGE_CALLS, TPM_CALLS, Fuse, KilledError

NEW_KEY = MilenageKey(k=b"K of version two", opc=b"OPc of v. two...")
OTHER_SHO = operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer="sho-2")


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(folder=tmp_path)
    made.active()
    return made


def accept(world: World) -> None:
    """The TRE takes the next order, which updates the first MID."""
    world.device.operations.orders.accept_update(world.network.updating(world.target))


def parcel(world: World, *, version: int = 2, key: MilenageKey = NEW_KEY, **changed: Any) -> Parcel:
    """The next version, for the order that was accepted last."""
    content = world.network.content(key=key)
    return world.network.parcel(
        *world.network.package(world.target, content=content, version=version, **changed)
    )


def update(world: World, *, version: int = 2, key: MilenageKey = NEW_KEY) -> Receipt:
    """One update, from the order to its receipt."""
    accept(world)
    return world.install(parcel(world, version=version, key=key))


def entry(world: World) -> tuple[str, int]:
    """State and version of the one MID, as its owner reads them."""
    (found,) = world.report().entries
    return found.state, found.version


def answers(world: World, key: MilenageKey, *, seq: int) -> bool:
    """Whether the MID answers a network that has this key."""
    made = vector(key, seq=seq)
    try:
        answered = world.device.operations.mids.authenticate(
            NetworkChallenge(rand=made.rand, autn=made.autn), mid_id="mid-1", application=IMSI
        )
    except Exception:  # noqa: BLE001 - whatever it says, it does not answer
        return False
    return answered.get("res") == made.xres


@pytest.mark.requirement("R46", "R56", "R98")
def test_an_update_takes_the_place_of_what_a_mid_held_and_leaves_its_state(world: World) -> None:
    assert answers(world, MID_KEY, seq=100)
    receipt = update(world)
    assert (receipt.outcome, receipt.version, receipt.mid_id) == ("installed", 2, "mid-1")
    assert entry(world) == ("ACTIVE", 2)
    assert (answers(world, NEW_KEY, seq=200), answers(world, MID_KEY, seq=300)) == (True, False)
    told = world.report().transitions[-1]
    assert (told.mid_id, told.event, told.state) == ("mid-1", "update", "ACTIVE")
    row = world.device.operations.mids.instruct(world.network.instruction(world.target, receipt.tre_nonce))
    assert row.state.value == "ACTIVE"
    world.restart()
    assert entry(world) == ("ACTIVE", 2)
    assert answers(world, NEW_KEY, seq=400)


@pytest.mark.requirement("R46")
def test_a_mid_that_its_owner_made_inactive_is_updated_and_stays_so(world: World) -> None:
    world.instructed(DEACTIVATE)
    assert update(world).installed
    assert entry(world) == ("INACTIVE", 2)
    assert world.instructed(ACTIVATE) == "ACTIVE"
    assert answers(world, NEW_KEY, seq=100)


@pytest.mark.requirement("R46")
def test_the_same_package_once_more_gives_the_same_receipt_and_a_higher_version_may_come_under_the_same_order(
    world: World,
) -> None:
    accept(world)
    brought = parcel(world)
    first = world.install(brought)
    counter = world.tpm.counter_value
    assert world.install(brought) == first
    assert world.tpm.counter_value == counter
    assert world.install(parcel(world, version=3, package_id="package-again")).installed
    assert entry(world) == ("ACTIVE", 3)


@pytest.mark.requirement("R46", "R47")
@pytest.mark.negative
@pytest.mark.parametrize("version", [1, 2])
def test_a_version_that_is_not_above_the_one_that_is_here_changes_nothing(world: World, version: int) -> None:
    assert update(world).installed
    receipt = update(world, version=version, key=MID_KEY)
    assert (receipt.outcome, f"above 2, which is here, got {version}" in receipt.detail) == ("rollback", True)
    assert entry(world) == ("ACTIVE", 2)
    assert answers(world, NEW_KEY, seq=100)


@pytest.mark.requirement("R46", "R59")
@pytest.mark.negative
def test_the_tombstone_of_a_mid_counts_for_whatever_comes_under_its_id(world: World) -> None:
    assert update(world, version=5).installed
    world.erase(world.network.erasure(world.target, world.report().tre_nonce))
    world.network.number, world.network.updates = 7, None
    world.agree()
    network, content = world.network, replace(world.network.content(), mid_id="mid-1")
    for version, outcome in ((5, "rollback"), (4, "rollback"), (6, "installed")):
        made = network.package(world.target, content=content, mid_id="mid-1", version=version)
        assert world.install(network.parcel(*made)).outcome == outcome, version
    assert ("INACTIVE", 6) in [(each.state, each.version) for each in world.report().entries]


@pytest.mark.requirement("R47")
@pytest.mark.negative
def test_an_update_is_by_the_owner_of_a_mid_that_is_here_for_this_device(world: World) -> None:
    orders, network, target = world.device.operations.orders, world.network, world.target
    before = dict(world.storage.records)
    with pytest.raises(OrderError, match="no MID of its operator"):
        orders.accept_update(network.updating(target, mid_id="mid-9"))
    network.sho, own = OTHER_SHO, network.sho
    with pytest.raises(OrderError, match="no MID of its operator"):
        orders.accept_update(network.updating(target))
    network.sho = own
    with pytest.raises(OrderError, match="another device"):
        orders.accept_update(network.updating(replace(target, device_id="ab" * 32)))
    stranger = operator(Authority.root("operators' root"), "sho", oids.EKU_SUBSCRIPTION)
    with pytest.raises(AnchorError):
        orders.accept_update(network.updating(target, signer=stranger))
    network.updates = None
    with pytest.raises(OrderError, match="no MID of its operator"):
        orders.accept_update(str(network.accepting(target)["order"]))
    assert world.storage.records == before


@pytest.mark.requirement("R07", "R47")
@pytest.mark.negative
def test_an_order_that_updates_brings_nothing_but_its_mid_and_no_other_order_updates(world: World) -> None:
    accept(world)
    foreign = replace(world.network.content(), mid_id="mid-9")
    made = world.network.package(world.target, content=foreign, mid_id="mid-9", version=2)
    receipt = world.install(world.network.parcel(*made))
    assert (receipt.outcome, "brings another" in receipt.detail) == ("update-refused", True)
    token = world.network.accepting(world.target)
    with pytest.raises(OrderError, match="without a registration"):
        world.device.operations.orders.accept(**token)  # type: ignore[arg-type] # by their names
    world.network.number, world.network.updates = 9, None
    world.agree()
    content = replace(world.network.content(), mid_id="mid-1")
    made = world.network.package(world.target, content=content, mid_id="mid-1", version=2)
    receipt = world.install(world.network.parcel(*made))
    assert (receipt.outcome, "here already" in receipt.detail) == ("content-refused", True)
    assert entry(world) == ("ACTIVE", 1)


@pytest.mark.requirement("R46", "R34")
@pytest.mark.negative
def test_a_blocked_mid_and_one_that_is_gone_are_not_updated(world: World) -> None:
    accept(world)
    brought = parcel(world)
    world.instructed(BLOCK)
    receipt = world.install(brought)
    assert (receipt.outcome, "BLOCKED" in receipt.detail) == ("update-refused", True)
    assert entry(world) == ("BLOCKED", 1)
    world.erase(world.network.erasure(world.target, world.report().tre_nonce))
    receipt = world.install(parcel(world))
    assert (receipt.outcome, "not here" in receipt.detail) == ("update-refused", True)


@pytest.mark.requirement("R43", "R45", "R46")
@pytest.mark.negative
def test_a_policy_that_would_widen_the_devices_is_no_update(tmp_path: Path) -> None:
    world = World(folder=tmp_path, rules=replace(FULL_RULES, res_bytes_min=8))
    world.active()
    accept(world)
    content = replace(world.network.content(), policy=MidPolicy(algorithms=("milenage",), res_bytes_min=4))
    receipt = world.install(
        world.network.parcel(*world.network.package(world.target, content=content, version=2))
    )
    assert receipt.outcome == "policy-refused"
    assert entry(world) == ("ACTIVE", 1)
    assert answers(world, MID_KEY, seq=100)


@pytest.mark.requirement("R07")
def test_an_update_asks_nobody_and_is_remembered_over_a_restart(world: World) -> None:
    accept(world)
    world.restart()
    (kept,) = (each for each in world.device.operations.orders.pending() if each.updates == "mid-1")
    assert kept.consent is Consent.GIVEN
    assert world.install(parcel(world)).installed


@pytest.mark.requirement("R07", "R46")
def test_an_update_takes_the_place_of_no_order_but_an_older_update_of_its_mid(world: World) -> None:
    def kept() -> list[tuple[str, str | None]]:
        return [(each.order_code, each.updates) for each in world.device.operations.orders.pending()]

    first = kept()
    accept(world)
    accept(world)
    assert kept() == [*first, ("12345673", "mid-1")]
    for number in range(4, 10):  # of MIDs that are not here any more
        accepted = world.device.operations.orders.book
        order = replace(accepted.all()[-1], digest=bytes([number]) * 32, updates=f"mid-{number}")
        accepted.keep([*accepted.all(), order])
    accept(world)
    assert kept()[0] == first[0]
    assert len(kept()) == len(first) + 7


@pytest.mark.requirement("R37", "R46")
def test_a_kill_at_any_call_leaves_the_one_version_or_the_other_and_the_same_package_goes_on(
    tmp_path: Path,
) -> None:
    calls = 1
    blows_at = 0
    while blows_at < calls:
        blows_at += 1
        world = World(folder=tmp_path)
        world.active()
        accept(world)
        brought = parcel(world)
        fuse = Fuse(blows_at, after=blows_at % 2 == 0, error=KilledError())
        fuse.wrap(world.storage, STORAGE_CALLS)
        fuse.wrap(world.tpm, TPM_CALLS)
        try:
            assert world.install(brought).installed
        except KilledError:
            calls = blows_at + 1
        Fuse.remove(world.storage, STORAGE_CALLS)
        Fuse.remove(world.tpm, TPM_CALLS)
        world.restart()
        state, version = entry(world)
        key, other = (MID_KEY, NEW_KEY) if version == 1 else (NEW_KEY, MID_KEY)
        assert state == "ACTIVE"
        assert (answers(world, key, seq=100), answers(world, other, seq=200)) == (True, False), blows_at
        assert world.install(brought).installed
        assert entry(world) == ("ACTIVE", 2)
        assert answers(world, NEW_KEY, seq=300)
    assert calls > len(STORAGE_CALLS + TPM_CALLS) // 2
