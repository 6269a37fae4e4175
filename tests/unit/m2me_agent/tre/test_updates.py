"""Updates: the MIDs are there in the next state without asking, and afterwards the old state opens nothing."""

from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from m2me_agent.tre.enrollment import key_access
from m2me_agent.tre.errors import (
    AnchorError,
    ApprovalError,
    MalformedError,
    MidError,
    StateRefusedError,
    TpmDeviceError,
    UpdateError,
)
from m2me_agent.tre.updates import TakenApprovals
from m2me_agent.tre.usim import NetworkChallenge
from m2me_agent.tre.vault_record import decode_compartment
from m2me_agent.tre_protocol import Operation, Refusal, Request, decode_response, encode_request
from messages.approval import VAULT_REACH
from messages.update_approvals import GENERATIONS_MIN
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState
from tests.fakes.network import IMSI, MID_KEY, NEXT_MANIFEST, Target, operator, vector
from tests.fakes.pki import Authority, p256
from tests.unit.m2me_agent.tre.subscriptions import OPERATORS_ROOT, SELECTIONS, World
from tests.unit.m2me_agent.tre.test_power_cuts import Fuse, KilledError

OLD, NEXT = b"approved", b"updated"
OTHER_MANIFEST = b"\x4e" * 32
RAISED = GENERATIONS_MIN - 1
"""How far the counter goes up at the end of an update."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(folder=tmp_path)
    made.active()
    return made


def following(world: World, *, counter: int | None = None, registers: bytes = NEXT) -> Target:
    """This device as it will be after the update."""
    twin = replace(world.tpm, registers=registers)
    target = world.target
    state = replace(
        target.state,
        pcr_digest=twin.pcr_digest(SELECTIONS),
        counter=world.tpm.counter_value if counter is None else counter,
    )
    return replace(target, state=state)


def prepare(world: World, **changed: Any) -> TakenApprovals:
    """Begin, have the owner answer, and take what it sent."""
    updates = world.device.operations.updates
    nonce = updates.begin(world.network.sho.issuer).nonce
    target = changed.pop("target", None) or following(world)
    return updates.take(world.network.update_approvals(target, changed.pop("tre_nonce", nonce), **changed))


def boot(world: World, registers: bytes) -> list[str]:
    """Start in a state: the states of the MIDs."""
    world.tpm.registers = registers
    world.restart()
    return [row["state"] for row in world.device.operations.mids.rows()]


def renew(world: World, manifest_digest: bytes = NEXT_MANIFEST) -> None:
    """Install a PfC that names a manifest, as the agent brings it."""
    state = ExpectedSystemState(manifest_id="next", manifest_digest=manifest_digest, svn=2)
    result = world.device.platform_credential(expected_state=state)
    answered = ask(world, Operation.INSTALL_CREDENTIAL, result=result)
    assert not isinstance(answered, Refusal), answered


def ask(world: World, operation: Operation, **parameters: Any) -> Any:
    payload = world.device.operations.answer(
        encode_request(Request(operation=operation, parameters=parameters))
    )
    return decode_response(payload, operation=operation)


def answers_the_network(world: World, *, seq: int = 1) -> bool:
    made = vector(MID_KEY, seq=seq)
    challenge = NetworkChallenge(rand=made.rand, autn=made.autn)
    return "res" in world.device.operations.mids.authenticate(challenge, mid_id="mid-1", application=IMSI)


def second_operator(world: World) -> World:
    """The same device with a MID of another operator as well."""
    other = copy(world)
    other.network = copy(world.network)
    other.network.sho = operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer="sho-2")
    other.network.policy_root_key = p256()
    other.network.number = 2
    other.active()
    return other


@pytest.mark.requirement("R82")
def test_after_the_update_the_mid_answers_without_asking_anybody(world: World) -> None:
    generation = world.tpm.counter_value
    taken = prepare(world)
    assert (taken.manifest_digest, taken.generation) == (NEXT_MANIFEST, generation)
    assert boot(world, NEXT) == ["ACTIVE"]
    assert answers_the_network(world)
    assert world.tpm.counter_value == generation, "nobody has accepted the new state yet"


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_without_approvals_for_it_the_next_state_opens_nothing(world: World) -> None:
    assert boot(world, NEXT) == ["BLOCKED"]
    assert boot(world, OLD) == ["ACTIVE"]


@pytest.mark.requirement("R82")
def test_until_the_new_credential_a_device_may_fall_back(world: World) -> None:
    prepare(world)
    assert boot(world, NEXT) == ["ACTIVE"]
    assert boot(world, OLD) == ["ACTIVE"]
    assert answers_the_network(world)


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_the_new_credential_ends_the_old_state_in_the_tpm(world: World) -> None:
    generation = world.tpm.counter_value
    prepare(world)
    boot(world, NEXT)
    renew(world)
    assert world.tpm.counter_value == generation + RAISED
    assert boot(world, NEXT) == ["ACTIVE"]
    assert answers_the_network(world)
    assert boot(world, OLD) == ["BLOCKED"]
    assert isinstance(world.device.operations.mids.vault.closed["sho-1"], StateRefusedError)
    assert world.tpm.counter_value == generation + RAISED, "once"


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_an_old_file_brings_the_old_state_not_back(world: World) -> None:
    before = dict(world.storage.records)
    prepare(world)
    boot(world, NEXT)
    renew(world)
    world.storage.records.update(before)
    assert boot(world, OLD) == ["BLOCKED"]
    assert boot(world, NEXT) == ["BLOCKED"]


@pytest.mark.requirement("R82")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("registers", "manifest"),
    [(OLD, NEXT_MANIFEST), (NEXT, OTHER_MANIFEST)],
    ids=["old state", "other manifest"],
)
def test_nothing_is_retired_before_the_update_is_done(
    world: World, registers: bytes, manifest: bytes
) -> None:
    generation = world.tpm.counter_value
    prepare(world)
    boot(world, registers)
    renew(world, manifest)
    assert world.tpm.counter_value == generation
    assert boot(world, OLD) == ["ACTIVE"]
    assert world.tpm.counter_value == generation


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_what_a_package_that_was_held_back_was_approved_for_is_dead_as_well(world: World) -> None:
    world.network.number = 2
    held_back = world.network.approvals(world.target)[
        -1
    ]  # the vault of the old state, at c and the next value
    prepare(world)
    boot(world, NEXT)
    renew(world)
    boot(world, OLD)
    vault = world.device.operations.mids.vault
    access = key_access(world.device.state, world.tpm)
    (found,) = vault.compartments(access)
    use = world.network.use(world.target, vault=True)
    (permit,) = vault.permits(found.unverified, (held_back,), access=access, use=use)
    with pytest.raises(StateRefusedError):
        world.tpm.open_vault_key(found.unverified.slot, permit=permit)
    world.tpm.counter_value -= 1  # had it gone up by one alone, this would open
    assert world.tpm.open_vault_key(found.unverified.slot, permit=permit)


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_approvals_of_before_an_installation_retire_nothing(world: World) -> None:
    prepare(world)
    world.network.number = 2
    world.installed()  # in the old state: it may have been approved up to where the counter would go
    generation = world.tpm.counter_value
    assert boot(world, NEXT) == ["ACTIVE", "INACTIVE"]
    renew(world)
    assert world.tpm.counter_value == generation
    prepare(world, target=following(world))
    assert world.tpm.counter_value == generation + RAISED
    assert boot(world, OLD) == ["BLOCKED", "BLOCKED"]


@pytest.mark.requirement("R82")
def test_an_update_may_follow_an_update(world: World) -> None:
    prepare(world)
    boot(world, NEXT)
    renew(world)
    prepare(world, target=following(world, registers=b"third"), manifest_digest=OTHER_MANIFEST)
    assert boot(world, NEXT) == ["ACTIVE"], "the state of now stays approved"
    assert boot(world, b"third") == ["ACTIVE"]
    renew(world, OTHER_MANIFEST)
    assert boot(world, NEXT) == ["BLOCKED"]
    assert boot(world, b"third") == ["ACTIVE"]


@pytest.mark.requirement("R82")
def test_another_announcement_takes_the_place_of_one_that_was_not_followed(world: World) -> None:
    prepare(world)
    prepare(world, target=following(world, registers=b"other"), manifest_digest=OTHER_MANIFEST)
    kept = decode_compartment(world.storage.records["vault-0"], name="vault-0").unverified
    present = VAULT_REACH  # of the present state those from this generation on, one behind the installation
    assert len(kept.all_approvals) == present + GENERATIONS_MIN
    assert boot(world, NEXT) == ["BLOCKED"]
    assert boot(world, b"other") == ["ACTIVE"]


@pytest.mark.requirement("R82")
def test_every_operator_follows_before_the_old_state_is_retired(world: World) -> None:
    other = second_operator(world)
    generation = world.tpm.counter_value
    prepare(world)
    assert boot(world, NEXT) == ["ACTIVE", "BLOCKED"]
    renew(world)
    assert world.tpm.counter_value == generation, "the other operator's MID could not follow"
    other.device = world.device
    prepare(other)  # in the new state: its approvals open its compartment
    assert world.tpm.counter_value == generation + RAISED
    assert boot(world, NEXT) == ["ACTIVE", "ACTIVE"]
    assert boot(world, OLD) == ["BLOCKED", "BLOCKED"]


@pytest.mark.requirement("R82")
def test_an_owner_opens_a_compartment_that_anothers_installation_closed(world: World) -> None:
    second_operator(world)
    world.tpm.counter_value += VAULT_REACH  # as many more have installed theirs
    world.restart()
    assert [row["state"] for row in world.device.operations.mids.rows()] == ["BLOCKED", "BLOCKED"]
    prepare(world, target=following(world, registers=OLD))
    assert boot(world, OLD) == ["ACTIVE", "BLOCKED"]


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_approvals_are_taken_once(world: World) -> None:
    updates = world.device.operations.updates
    token = world.network.update_approvals(following(world), updates.begin("sho-1").nonce)
    updates.take(token)
    records = dict(world.storage.records)
    for _ in range(2):
        with pytest.raises(UpdateError, match="no open nonce"):
            world.device.operations.updates.take(token)
        assert world.storage.records == records
        world.restart()
        world.device.operations.updates.begin("sho-1")


@pytest.mark.requirement("R82")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"tre_nonce": b"x" * 32}, UpdateError),
        ({"device_id": "00" * 32}, UpdateError),
        ({"sho": "sho-9"}, UpdateError),
        ({"approvals": "earlier"}, UpdateError),
        ({"approvals": "later"}, UpdateError),
        ({"approvals": "too few generations"}, UpdateError),
        ({"approvals": "gap"}, UpdateError),
        ({"approvals": "two states"}, UpdateError),
        ({"approvals": "package"}, ApprovalError),
        ({"approvals": "foreign root"}, ApprovalError),
        ({"approvals": "unsigned"}, ApprovalError),
        ({"approvals": "another counter"}, ApprovalError),
    ],
)
def test_approvals_that_are_not_the_owners_answer_are_refused(
    world: World, changed: dict[str, Any], error: type[Exception]
) -> None:
    changed = dict(changed)
    if "approvals" in changed:
        changed["approvals"] = made(world, changed["approvals"])
    if "sho" in changed:
        changed["signer"] = operator(OPERATORS_ROOT, "sho", oids.EKU_SUBSCRIPTION, issuer=changed.pop("sho"))
    records = dict(world.storage.records)
    with pytest.raises(error):
        prepare(world, **changed)
    assert world.storage.records == records
    assert boot(world, NEXT) == ["BLOCKED"]


def made(world: World, kind: str) -> Any:
    """Approvals that are right but for one thing."""
    network, target = copy(world.network), following(world)
    state, use = target.state, network.use(target, vault=True)

    def at(first: int, count: int = GENERATIONS_MIN, **changed: Any) -> list[Any]:
        numbers = range(state.counter + first, state.counter + first + count)
        return [network.approve(use, replace(state, counter=number, **changed)) for number in numbers]

    good = at(0)
    if kind == "foreign root":
        network.policy_root_key = p256()
        return at(0)
    before, end = good[:-1], GENERATIONS_MIN - 1
    last = replace(state, counter=state.counter + end)
    return {
        "earlier": at(-1),
        "later": at(1),
        "too few generations": before,
        "gap": [*before, *at(end + 1, 1)],
        "two states": [*before, *at(end, 1, pcr_digest=bytes(32))],
        "package": [*before, network.approve(network.use(target), last)],
        "unsigned": [*before, replace(good[-1], delegation=good[0].delegation[:-1] + b"\x00")],
        "another counter": [*before, *at(end, 1, counter_name=b"\x00\x0b" + bytes(32))],
    }[kind]


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_approvals_of_nobody_under_the_anchors_are_refused(world: World) -> None:
    foreign = operator(Authority.root("operators' root"), "sho", oids.EKU_SUBSCRIPTION, issuer="sho-1")
    with pytest.raises(AnchorError):
        prepare(world, signer=foreign)
    with pytest.raises(MalformedError):
        world.device.operations.updates.take("no token")


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_an_update_is_begun_for_an_owner_that_is_here(world: World) -> None:
    begun = ask(world, Operation.BEGIN_UPDATE, sho="sho-1")
    assert begun["order_digest"] == world.network.order(world.target).digest
    with pytest.raises(MidError):
        world.device.operations.updates.begin("sho-2")


CALLS = (
    "read_generation_counter",
    "raise_generation_counter",
    "open_vault_key",
    "read_vault_counter",
    "raise_vault_counter",
)


def power_cut(world: World, work: Any, *, blows_at: int, after: bool) -> int:
    """Cut the power at a call of some work; how many calls were made."""
    fuse = Fuse(blows_at, after=after, error=KilledError())
    fuse.wrap(world.storage, ("write",))
    fuse.wrap(world.tpm, CALLS)
    try:
        work()
    except KilledError:
        pass
    finally:
        Fuse.remove(world.storage, ("write",))
        Fuse.remove(world.tpm, CALLS)
    return blows_at - fuse.left


@pytest.mark.requirement("R82")
@pytest.mark.requirement("R37")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_cut_at_any_step_leaves_the_mids_usable_and_the_update_goes_on(
    tmp_path: Path, *, after: bool
) -> None:
    """Taking approvals, starting in the new state, installing the credential: power goes at each call of each."""
    steps = 0
    for part in ("take", "start", "renew"):
        calls = cut_in(installed(tmp_path), part, blows_at=1 << 30, after=after)
        assert calls > 2, part
        for blows_at in range(1, calls + 1):
            world = installed(tmp_path)
            generation = world.tpm.counter_value
            steps += cut_in(world, part, blows_at=blows_at, after=after) > 0
            # whatever was cut: in the state that the device is in, or in the old one, the MID is there
            now = boot(world, world.tpm.registers)
            if now == ["BLOCKED"]:
                assert part == "take", (part, blows_at)
            assert "ACTIVE" in (now[0], boot(world, OLD)[0] if world.tpm.counter_value == generation else "")
            # and the update goes on to its end
            if boot(world, NEXT) == ["BLOCKED"]:
                assert boot(world, OLD) == ["ACTIVE"]
                prepare(world)
                assert boot(world, NEXT) == ["ACTIVE"]
            renew(world)
            assert world.tpm.counter_value == generation + RAISED
            assert boot(world, OLD) == ["BLOCKED"]
            assert boot(world, NEXT) == ["ACTIVE"]
    assert steps > 10


def installed(folder: Path) -> World:
    made = World(folder=folder)
    made.active()
    return made


def cut_in(world: World, part: str, *, blows_at: int, after: bool) -> int:
    if part == "take":
        return power_cut(world, lambda: prepare(world), blows_at=blows_at, after=after)
    prepare(world)
    if part == "start":
        return power_cut(world, lambda: boot(world, NEXT), blows_at=blows_at, after=after)
    boot(world, NEXT)
    return power_cut(world, lambda: renew(world), blows_at=blows_at, after=after)


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_a_tpm_that_does_not_count_is_asked_again_at_the_next_start(world: World) -> None:
    generation = world.tpm.counter_value
    prepare(world)
    boot(world, NEXT)
    fuse = Fuse(1, after=False, error=TpmDeviceError(subject="TPM", reason="busy", remedy="wait"))
    fuse.wrap(world.tpm, ("raise_generation_counter",))
    renew(world)
    Fuse.remove(world.tpm, ("raise_generation_counter",))
    assert world.tpm.counter_value == generation
    assert boot(world, NEXT) == ["ACTIVE"]
    assert world.tpm.counter_value == generation + RAISED
