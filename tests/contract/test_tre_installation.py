"""Installation and vault on real TPMs: what opens, what does not, and what crosses the bus."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from m2me_agent.tre.approvals import read_permits
from m2me_agent.tre.enrollment import key_access
from m2me_agent.tre.errors import ConnectivityError, SealedObjectError, StateRefusedError, TpmDeviceError
from m2me_agent.tre.tpm_device import Permit
from m2me_agent.tre.usim import NetworkChallenge
from messages.attachment import attachment_key
from messages.connectivity import sealed_policy
from standards.tpm2 import templates
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Handle, ObjectAttributes
from standards.tpm2.import_blob import make_import_blob
from standards.tpm2.return_codes import ReturnCode
from standards.tpm2.structures import EccPoint
from tests.contract.tpm_devices import RunningTpm
from tests.contract.tre_world import SHA256, TreWorld
from tests.fakes.network import IMSI, MID_KEY, PCID, PCID_KEY, fresh, sign_digest, vector
from tests.fakes.pki import p256

CONTENT_KEY = b"the content key, thirty-two byte"
POLICY_PCR = bytes.fromhex("0000017f")


@pytest.fixture
def world(device: RunningTpm, tmp_path: Path) -> Iterator[TreWorld]:
    made = TreWorld(device, tmp_path)
    yield made
    with suppress(TpmDeviceError):
        made.close()


@pytest.mark.requirement("R51")
@pytest.mark.requirement("R55")
@pytest.mark.requirement("R98")
def test_from_consent_to_an_authentication_after_a_reboot_and_no_secret_on_the_bus(world: TreWorld) -> None:
    world.agree()
    target = world.target
    world.exchanges.clear()
    header, content = world.network.package(target, key=CONTENT_KEY)
    receipt = world.install(world.network.parcel(header, content))
    assert receipt.outcome == "installed", receipt.detail
    assert world.target.state.counter == target.state.counter + 1
    opened = world.operations.mids.vault.opened("sho-1")
    assert opened is not None
    on_the_bus = b"".join(world.exchanges)
    assert CONTENT_KEY not in on_the_bus
    assert opened.key not in on_the_bus

    world.operations.mids.instruct(world.network.instruction(target, receipt.tre_nonce))
    world.exchanges.clear()
    world.reboot()
    assert opened.key not in b"".join(world.exchanges)
    assert world.states() == ["ACTIVE"]
    made = vector(MID_KEY, seq=1)
    answer = world.operations.mids.authenticate(
        NetworkChallenge(rand=made.rand, autn=made.autn), mid_id="mid-1", application=IMSI
    )
    assert answer == {"res": made.xres, "ck": made.ck, "ik": made.ik}
    stored = b"".join(path.read_bytes() for path in world.folder.iterdir())
    for secret in (MID_KEY.k, MID_KEY.opc, CONTENT_KEY, opened.key):
        assert secret not in stored


@pytest.mark.requirement("R51")
def test_installations_share_two_sessions_and_leave_no_object_behind(world: TreWorld) -> None:
    world.installed()
    world.network.number = 2
    world.installed()
    assert len(world.connection.handles(0x02000000)) == 2
    assert world.connection.handles(0x80000000) == ()


@pytest.mark.requirement("R32")
@pytest.mark.requirement("R36")
@pytest.mark.negative
def test_in_another_state_neither_package_nor_vault_opens(world: TreWorld) -> None:
    world.installed()
    world.network.number = 2
    world.agree()
    parcel = world.network.good_parcel(world.target)
    world.extend(4)
    assert world.install(parcel).outcome == "state-refused"
    world.close()
    world.power_on()
    world.extend(4)
    world.operations.open_vault()
    assert world.states() == ["BLOCKED"]
    assert isinstance(world.operations.mids.vault.closed["sho-1"], StateRefusedError)
    world.reboot()
    assert world.states() == ["INACTIVE"]
    assert world.install(parcel).outcome == "installed"


@pytest.mark.requirement("R64")
@pytest.mark.negative
def test_a_raised_counter_ends_the_approvals_before(world: TreWorld) -> None:
    world.agree()
    parcel = world.network.good_parcel(world.target)
    world.network.number = 2
    world.installed()
    world.network.number = 1
    world.agree()
    assert world.install(parcel).outcome == "replayed"


@pytest.mark.requirement("R60")
@pytest.mark.requirement("R64")
@pytest.mark.negative
def test_what_is_for_another_order_or_another_tpm_does_not_install(world: TreWorld) -> None:
    world.agree()
    target, network = world.target, world.network
    elsewhere = replace(network.use(target), order_digest=bytes(32))
    approvals = (network.approve(elsewhere, target.state), *network.approvals(target)[1:])
    parcel = network.parcel(*network.package(target, approvals=approvals))
    assert world.install(parcel).outcome == "package-refused"
    twin = replace(target, storage=replace(target.storage, unique=_point()))
    blob = network.sealed(twin, secret=CONTENT_KEY)
    parcel = network.parcel(*network.package(target, blob=blob, key=CONTENT_KEY))
    receipt = world.install(parcel)
    assert (receipt.outcome, "does not take it" in receipt.detail) == ("package-refused", True)
    parcel = network.good_parcel(target)
    swapped = replace(parcel, content=bytes(len(parcel.content)))
    assert world.install(swapped).outcome == "content-refused"
    assert world.install(parcel).outcome == "installed"


def _point() -> EccPoint:
    numbers = p256().public_key().public_numbers()
    return EccPoint(x=numbers.x.to_bytes(32, "big"), y=numbers.y.to_bytes(32, "big"))


@pytest.mark.check("A31")
@pytest.mark.requirement("R51")
@pytest.mark.negative
def test_a_blob_with_user_with_auth_is_refused_though_the_tpm_would_take_it(world: TreWorld) -> None:
    world.agree()
    target, network = world.target, world.network
    blob = network.sealed(target, secret=CONTENT_KEY)
    attributes = blob.public.attributes | ObjectAttributes.USER_WITH_AUTH
    open_to_all = replace(blob, public=replace(blob.public, attributes=attributes))
    parcel = network.parcel(*network.package(target, blob=open_to_all, key=CONTENT_KEY))
    receipt = world.install(parcel)
    assert (receipt.outcome, "attributes" in receipt.detail) == ("package-refused", True)


# --- the device's own refusals, below the checks of the use case --------------------------------------------


def permit_of(world: TreWorld, *, number: int = 0, counter: int | None = None) -> Permit:
    target = world.target if counter is None else world.target.at(counter)
    uses = (world.network.use(target), world.network.use(target, vault=True))
    return read_permits(
        world.network.approvals(target),
        policy_root=world.network.policy_root,
        uses=uses,
        counter_name=target.state.counter_name,
    )[number]


@pytest.mark.requirement("R51")
@pytest.mark.negative
@pytest.mark.parametrize("kind", ["day key", "delegation", "counter", "use", "root"])
def test_the_tpm_itself_judges_permit_and_state(world: TreWorld, kind: str) -> None:
    target = world.target
    good = permit_of(world)
    stranger = sign_digest(p256(), bytes(32))
    wrong = {
        "day key": replace(good, signature=stranger),
        "delegation": replace(good, delegation=stranger),
        "counter": permit_of(world, counter=target.state.counter + 1),
        "use": permit_of(world, number=1),
        "root": _under_another_root(world),
    }
    blob = world.network.sealed(target, secret=CONTENT_KEY)
    expected = SealedObjectError if kind in ("day key", "delegation") else StateRefusedError
    with world.device.unlock(key_access(world.state, world.device)) as keys:
        private = keys.import_sealed(blob)
        with pytest.raises(expected):
            keys.unseal_package(blob.public, private, permit=wrong[kind])
        assert keys.unseal_package(blob.public, private, permit=good) == CONTENT_KEY


def _under_another_root(world: TreWorld) -> Permit:
    ours = world.network.policy_root_key
    try:
        world.network.policy_root_key = p256()
        return permit_of(world)
    finally:
        world.network.policy_root_key = ours


@pytest.mark.requirement("R51")
def test_a_register_that_moves_in_between_is_shown_again(world: TreWorld) -> None:
    moves = iter([12, 12])
    transmit = world._transmit  # noqa: SLF001 - the bus, which the test listens on

    def extending(command: bytes) -> bytes:
        response = transmit(command)
        if command[6:10] == POLICY_PCR:
            for pcr in moves:
                TpmConnection(transmit, os.urandom).pcr_extend(pcr, digests={SHA256: b"m" * 32})
                break
        return response

    world.agree()
    parcel = world.network.good_parcel(world.target)
    world.connection._transmit = extending  # noqa: SLF001 - as IMA extends while the TRE works
    assert world.install(parcel).outcome == "installed"
    assert next(moves, None) is None


@pytest.mark.requirement("R51")
@pytest.mark.negative
def test_registers_that_never_rest_are_another_state(world: TreWorld) -> None:
    transmit = world._transmit  # noqa: SLF001

    def extending(command: bytes) -> bytes:
        response = transmit(command)
        if command[6:10] == POLICY_PCR:
            TpmConnection(transmit, os.urandom).pcr_extend(12, digests={SHA256: b"m" * 32})
        return response

    world.agree()
    parcel = world.network.good_parcel(world.target)
    world.connection._transmit = extending  # noqa: SLF001
    receipt = world.install(parcel)
    assert (receipt.outcome, "in a row" in receipt.detail) == ("state-refused", True)


@pytest.mark.requirement("R51")
@pytest.mark.negative
def test_an_index_of_somebody_else_in_the_vaults_place_is_left_alone_and_the_next_place_is_used(
    world: TreWorld,
) -> None:
    foreign = templates.vault_key(0, auth_policy=b"\x01" * 32)
    world.connection.nv_define_space(Handle.OWNER, public=foreign)
    assert world.installed().outcome == "installed"
    assert world.connection.nv_read_public(foreign.index) == foreign
    world.reboot()
    assert world.states() == ["INACTIVE"]


@pytest.mark.requirement("R22")
@pytest.mark.negative
def test_an_operator_whose_vault_is_never_approved_takes_no_place_from_others(world: TreWorld) -> None:
    never = permit_of(world, number=1, counter=world.target.state.counter + 5)
    with world.device.unlock(key_access(world.state, world.device)) as keys:
        for slot in range(templates.VAULT_SLOTS):
            with pytest.raises(StateRefusedError):
                keys.open_vault_key(slot, permit=never, fresh=b"k" * templates.VAULT_KEY_BYTES)
    world.network.policy_root_key = p256()
    assert world.installed().outcome == "installed"


@pytest.mark.requirement("R32")
def test_vault_counters_count_for_each_compartment(world: TreWorld) -> None:
    permit = permit_of(world, number=1)
    with world.device.unlock(key_access(world.state, world.device)) as keys:
        first, second = keys.read_vault_counter(0), keys.read_vault_counter(7)
        keys.raise_vault_counter(0)
        assert keys.read_vault_counter(0) == first + 1
        assert keys.read_vault_counter(7) == second
        assert keys.open_vault_key(3, permit=permit) is None
    access = key_access(world.state, world.device)
    stranger = replace(access, authorization=replace(access.authorization, counter=b"x" * 32))
    with world.device.unlock(stranger) as keys, pytest.raises(TpmDeviceError):
        keys.read_vault_counter(0)


@pytest.mark.negative
def test_a_counter_that_was_never_read_cannot_be_raised(world: TreWorld) -> None:
    with (
        world.device.unlock(key_access(world.state, world.device)) as keys,
        pytest.raises(TpmDeviceError, match=ReturnCode.HANDLE.name),
    ):
        keys.raise_vault_counter(5)


@pytest.mark.requirement("R06")
@pytest.mark.requirement("R85")
def test_connectivity_is_unsealed_here_and_its_key_never_crosses_the_bus_in_clear(world: TreWorld) -> None:
    target = world.target
    world.exchanges.clear()
    connectivity = world.network.connectivity(target)
    world.operations.connectivity.install(world.network.connectivity_token(connectivity))
    world.reboot()
    made = vector(PCID_KEY, seq=1)
    answer = world.operations.connectivity.attach(NetworkChallenge(rand=made.rand, autn=made.autn))
    key = attachment_key(ck=made.ck, ik=made.ik, pcid=PCID)
    assert answer == {"res": made.xres, "attachment_key": key}
    on_the_bus = b"".join(world.exchanges)
    assert PCID_KEY.k not in on_the_bus
    assert PCID_KEY.opc not in on_the_bus


@pytest.mark.check("A31")
@pytest.mark.requirement("R85")
@pytest.mark.negative
def test_connectivity_for_another_tpm_is_not_taken(world: TreWorld) -> None:
    target = world.target
    twin = replace(target.storage, unique=_point())
    blob = make_import_blob(
        twin, secret=PCID_KEY.k + PCID_KEY.opc, auth_policy=sealed_policy(), fresh=fresh()
    )
    token = world.network.connectivity_token(world.network.connectivity(target, blob=blob))
    with pytest.raises(ConnectivityError, match="does not take it"):
        world.operations.connectivity.install(token)
