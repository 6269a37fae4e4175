"""The same TpmDevice tests on every TPM: what the TRE relies on, judged by the verifier's own code."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from m2me_agent.tre.connected_tpm import AK_HANDLE, EK_PROFILES, STORAGE_HANDLE, ConnectedTpm
from m2me_agent.tre.errors import KeysChangedError, TpmDeviceError
from m2me_agent.tre.tpm_device import Authorization, KeyAccess, TpmDevice
from m2me_agent.tre.transports import SocketTpm
from standards.pki.fingerprints import spki_der
from standards.pki.lenient_certificate import decode_lenient
from standards.tpm2 import templates
from standards.tpm2.attestation import verify_certified_key, verify_certified_nv, verify_quote
from standards.tpm2.commands.objects import TpmObject
from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import Handle, NvAttributes
from standards.tpm2.credential import make_credential
from standards.tpm2.key_checks import check_ak, check_ek, check_storage_key
from standards.tpm2.structures import PcrSelection, Public
from tests.contract.tpm_devices import RunningTpm

AUTHORIZATION = Authorization(ak=b"a" * 32, storage=b"s" * 32, counter=b"c" * 32)
OTHER_AUTHORIZATION = Authorization(ak=b"1" * 32, storage=b"2" * 32, counter=b"3" * 32)
QUALIFYING = bytes(range(32))
SHA256 = 0x000B
BASELINE = (PcrSelection(bank=SHA256, indices=(*range(10), 14)),)


class Bus:
    """A TPM process, the TRE's transport to it, and everything that crossed it."""

    def __init__(self, tpm: RunningTpm) -> None:
        self.tpm = tpm
        self.commands: list[bytes] = []
        self.responses: list[bytes] = []
        self.power_on()

    def power_on(self) -> None:
        self.tpm.start()
        self.listen()

    def listen(self) -> None:
        assert self.tpm.transport is not None
        self.tpm.transport.close()  # a TPM in software serves one connection at a time
        self._transport = SocketTpm(self.tpm.run_folder / "tpm")
        self.connection = TpmConnection(self.transmit, os.urandom, pause=time.sleep)

    def transmit(self, command: bytes) -> bytes:
        self.commands.append(command)
        response = self._transport.transmit(command)
        self.responses.append(response)
        return response

    def reset(self) -> None:
        """Orderly shutdown, power off, power on."""
        self.power_off()
        self.power_on()

    def power_off(self) -> None:
        self.connection.shutdown()
        self._transport.close()
        self.tpm.stop()

    def close(self) -> None:
        self._transport.close()

    def device(self, ek: str = "rsa-2048") -> ConnectedTpm:
        return ConnectedTpm(self.connection, profile=EK_PROFILES[ek])


@pytest.fixture
def bus(device: RunningTpm) -> Iterator[Bus]:
    opened = Bus(device)
    yield opened
    opened.close()


@pytest.fixture
def tre_device(bus: Bus) -> TpmDevice:
    return bus.device()


def made(device: TpmDevice, authorization: Authorization = AUTHORIZATION) -> KeyAccess:
    keys = device.make_keys(device.read_endorsement().public, authorization)
    return KeyAccess(keys=keys, authorization=authorization)


@pytest.mark.check("A12")
@pytest.mark.parametrize("ek", sorted(EK_PROFILES))
def test_the_ek_is_the_one_of_its_certificate(bus: Bus, ek: str) -> None:
    endorsement = bus.device(ek).read_endorsement()
    check_ek(endorsement.public)
    certified = decode_lenient(endorsement.chain[0]).public_key()
    assert spki_der(certified) == spki_der(endorsement.public.public_key())


@pytest.mark.check("A11")
@pytest.mark.check("A30")
def test_keys_are_what_verifiers_demand_and_stay_after_a_reset(bus: Bus) -> None:
    device = bus.device()
    access = made(device)
    check_ak(access.keys.ak)
    check_storage_key(access.keys.storage)
    assert access.keys.counter == templates.GENERATION_COUNTER.written()
    bus.reset()
    assert bus.device().read_keys(access.keys.ek) == access.keys
    use(bus.device(), access)


def use(device: TpmDevice, access: KeyAccess) -> int:
    """One whole exchange, verified; the counter's value."""
    keys = access.keys
    with device.unlock(access) as unlocked:
        quote = unlocked.quote(extra_data=QUALIFYING, selections=BASELINE)
        storage = unlocked.certify_storage_key(extra_data=QUALIFYING)
        counter = unlocked.certify_generation_counter(extra_data=QUALIFYING)
    verify_quote(
        quote.statement.attest,
        signature=quote.statement.signature,
        ak=keys.ak,
        extra_data=QUALIFYING,
        selection=BASELINE,
        pcr_values=quote.pcr_values,
    )
    verify_certified_key(
        storage.attest,
        signature=storage.signature,
        ak=keys.ak,
        certified=keys.storage,
        extra_data=QUALIFYING,
    )
    contents = verify_certified_nv(
        counter.attest,
        signature=counter.signature,
        ak=keys.ak,
        index=keys.counter,
        extra_data=QUALIFYING,
    ).contents
    return int.from_bytes(contents, "big")


@pytest.mark.requirement("R71")
def test_exchanges_verify_share_one_session_and_leave_no_object_behind(bus: Bus) -> None:
    device = bus.device()
    access = made(device)
    for _ in range(4):
        assert use(device, access) >= 1
    assert len(bus.connection.handles(0x02000000)) == 1
    assert bus.connection.handles(0x80000000) == ()


@pytest.mark.requirement("R71")
def test_a_reset_that_was_seen_costs_a_session_and_no_exchange(bus: Bus) -> None:
    device = bus.device()
    access = made(device)
    device.read_clock()
    use(device, access)
    bus.reset()
    device.read_clock()
    use(device, access)


@pytest.mark.negative
@pytest.mark.requirement("R71")
def test_after_a_reset_that_was_not_seen_the_second_exchange_succeeds(bus: Bus) -> None:
    device = bus.device()
    access = made(device)
    use(device, access)
    bus.reset()
    with pytest.raises(TpmDeviceError):
        use(device, access)
    use(device, access)


@pytest.mark.negative
@pytest.mark.requirement("R71")
def test_a_tpm_that_was_cleared_holds_no_keys_and_answers_no_exchange(bus: Bus) -> None:
    device = bus.device()
    access = made(device)
    assert device.holds(access.keys)
    use(device, access)
    bus.connection.clear(Handle.LOCKOUT)
    assert not device.holds(access.keys)
    with pytest.raises(KeysChangedError, match="cleared"):
        use(device, access)
    others = made(device, AUTHORIZATION)
    assert others.keys.storage != access.keys.storage
    assert not device.holds(access.keys)
    with pytest.raises(KeysChangedError, match="cleared"):
        use(device, access)
    use(device, others)


@pytest.mark.check("A13")
@pytest.mark.parametrize("ek", sorted(EK_PROFILES))
def test_activation_gives_the_secret_which_crosses_the_bus_encrypted(bus: Bus, ek: str) -> None:
    device = bus.device(ek)
    access = made(device)
    secret = os.urandom(32)
    with device.unlock(access) as unlocked:
        credential = credential_for(access.keys.ek, access.keys.ak, secret)
        assert unlocked.activate(**credential) == secret
    assert not any(secret in each for each in (*bus.commands, *bus.responses))


@pytest.mark.negative
@pytest.mark.check("A13")
def test_a_credential_for_another_key_gives_nothing(tre_device: TpmDevice) -> None:
    device = tre_device
    access = made(device)
    credential = credential_for(access.keys.ek, access.keys.storage, b"x" * 32)
    with device.unlock(access) as unlocked, pytest.raises(TpmDeviceError):
        unlocked.activate(**credential)


def credential_for(ek: Public, ak: Public, secret: bytes) -> dict[str, bytes]:
    curve = ek.public_key()
    ephemeral = ec.generate_private_key(curve.curve) if isinstance(curve, ec.EllipticCurvePublicKey) else None
    credential = make_credential(
        ek, object_name=ak.name, secret=secret, seed=os.urandom(32), ephemeral=ephemeral
    )
    return {"id_object": credential.id_object, "encrypted_secret": credential.encrypted_secret}


@pytest.mark.requirement("R21")
def test_auth_values_never_cross_the_bus(bus: Bus) -> None:
    device = bus.device()
    use(device, made(device))
    for value in (AUTHORIZATION.ak, AUTHORIZATION.storage, AUTHORIZATION.counter):
        assert not any(value in each for each in (*bus.commands, *bus.responses))


@pytest.mark.negative
@pytest.mark.requirement("R21")
@pytest.mark.parametrize("which", ["ak", "storage", "counter"])
def test_without_the_auth_value_nothing_signs(tre_device: TpmDevice, which: str) -> None:
    device = tre_device
    access = made(device)
    wrong = replace(access, authorization=replace(AUTHORIZATION, **{which: b"?" * 32}))
    with pytest.raises(TpmDeviceError) as refused:
        use(device, wrong)
    assert "authValues" in refused.value.remedy
    use(device, access)


@pytest.mark.negative
def test_sessions_salted_to_another_storage_key_open_nothing(tre_device: TpmDevice) -> None:
    device = tre_device
    # An interposer that shows a key of its own cannot make the TRE salt to it, nor the TPM answer.
    access = made(device)
    foreign = replace(access.keys.storage, unique=access.keys.ak.unique)
    with pytest.raises(TpmDeviceError):
        use(device, replace(access, keys=replace(access.keys, storage=foreign)))


def test_making_again_with_the_same_auth_values_keeps_keys_and_counter(tre_device: TpmDevice) -> None:
    device = tre_device
    access = made(device)
    value = use(device, access)
    assert made(device) == access
    assert use(device, access) == value


def test_lost_auth_values_give_the_same_keys_new_ones_and_raise_the_counter(tre_device: TpmDevice) -> None:
    device = tre_device
    before = made(device)
    value = use(device, before)
    after = made(device, OTHER_AUTHORIZATION)
    assert after.keys == before.keys
    assert use(device, after) > value
    with pytest.raises(TpmDeviceError):
        use(device, before)


def test_a_counter_that_a_crash_left_unwritten_is_finished(bus: Bus) -> None:
    device = bus.device()
    bus.connection.nv_define_space(
        Handle.OWNER, public=templates.GENERATION_COUNTER, auth_value=AUTHORIZATION.counter
    )
    use(device, made(device))


def test_clear_ends_storage_key_and_counter_but_not_the_ak(bus: Bus) -> None:
    device = bus.device()
    before = made(device)
    bus.connection.clear(Handle.LOCKOUT)
    assert device.read_keys(before.keys.ek) is None
    after = made(device)
    assert after.keys.ak == before.keys.ak
    assert after.keys.storage != before.keys.storage
    use(device, after)


@pytest.mark.negative
@pytest.mark.parametrize("handle", [AK_HANDLE, STORAGE_HANDLE])
def test_a_key_of_somebody_else_at_our_handle_is_left_alone(bus: Bus, handle: int) -> None:
    device, tpm = bus.device(), bus.connection
    template = templates.STORAGE_ECC_P256
    hierarchy = Handle.OWNER if handle == AK_HANDLE else Handle.ENDORSEMENT
    foreign = tpm.create_primary(hierarchy, template=template)
    tpm.evict_control(Handle.OWNER, subject=foreign, persistent=handle)
    tpm.flush_context(foreign.handle)
    with pytest.raises(TpmDeviceError, match="did not make"):
        made(device)
    assert tpm.read_public(handle).public == foreign.public


@pytest.mark.negative
def test_an_index_of_somebody_else_at_our_place_is_left_alone(bus: Bus) -> None:
    ordinary = replace(
        templates.GENERATION_COUNTER,
        attributes=NvAttributes.AUTHREAD | NvAttributes.AUTHWRITE | NvAttributes.NO_DA,
    )
    bus.connection.nv_define_space(Handle.OWNER, public=ordinary)
    with pytest.raises(TpmDeviceError, match="did not make"):
        made(bus.device())
    assert bus.connection.nv_read_public(ordinary.index) == ordinary


def test_an_ek_that_is_not_persistent_is_made_from_its_template(bus: Bus) -> None:
    device = bus.device()
    ek = device.read_endorsement().public
    at = EK_PROFILES["rsa-2048"].handle
    bus.connection.evict_control(Handle.OWNER, subject=TpmObject(handle=at, public=ek), persistent=at)
    assert device.read_endorsement().public == ek


def test_a_pcr_that_moves_between_reading_and_quoting_is_read_again(bus: Bus) -> None:
    device = bus.device()
    access = made(device)
    moves = iter([7, 7])
    transmit = bus.transmit

    def extending(command: bytes) -> bytes:
        if command[6:10] == bytes.fromhex("00000158"):  # TPM2_Quote
            for pcr in moves:
                TpmConnection(transmit, os.urandom).pcr_extend(pcr, digests={SHA256: b"m" * 32})
                break
        return transmit(command)

    moving = ConnectedTpm(TpmConnection(extending, os.urandom), profile=EK_PROFILES["rsa-2048"])
    use(moving, access)
    assert next(moves, None) is None


@pytest.mark.negative
def test_pcrs_that_never_rest_are_told(bus: Bus) -> None:
    access = made(bus.device())
    transmit = bus.transmit

    def extending(command: bytes) -> bytes:
        if command[6:10] == bytes.fromhex("00000158"):
            TpmConnection(transmit, os.urandom).pcr_extend(7, digests={SHA256: b"m" * 32})
        return transmit(command)

    restless = ConnectedTpm(TpmConnection(extending, os.urandom), profile=EK_PROFILES["rsa-2048"])
    with pytest.raises(TpmDeviceError, match="changed between"):
        use(restless, access)


@pytest.mark.negative
def test_a_bank_that_the_tpm_does_not_have_is_told(tre_device: TpmDevice) -> None:
    device = tre_device
    access = made(device)
    selections = (PcrSelection(bank=0x000D, indices=(0,)),)  # SHA-512, not allocated
    with device.unlock(access) as unlocked, pytest.raises(TpmDeviceError, match="bank"):
        unlocked.quote(extra_data=QUALIFYING, selections=selections)


@pytest.mark.negative
def test_a_changed_response_is_refused(bus: Bus) -> None:
    access = made(bus.device())

    def flipping(command: bytes) -> bytes:
        response = bus.transmit(command)
        if command[6:10] == bytes.fromhex("00000184"):  # TPM2_NV_Certify: a counter that an interposer lowers
            return response[:60] + bytes([response[60] ^ 1]) + response[61:]
        return response

    interposed = ConnectedTpm(TpmConnection(flipping, os.urandom), profile=EK_PROFILES["rsa-2048"])
    with pytest.raises(TpmDeviceError):
        use(interposed, access)


@pytest.mark.negative
def test_a_tpm_that_is_gone_is_told_and_found_again(bus: Bus) -> None:
    device = bus.device()
    access = made(device)
    bus.power_off()
    with pytest.raises(TpmDeviceError, match="TPM at"):
        device.read_clock()
    bus.tpm.start()
    assert bus.tpm.transport is not None
    bus.tpm.transport.close()
    use(device, access)


def test_the_clock_goes_on_and_a_reset_is_counted(bus: Bus) -> None:
    first = bus.device().read_clock()
    bus.reset()
    later = bus.device().read_clock()
    assert later.reset_count == first.reset_count + 1
    assert later.clock >= first.clock


def test_what_a_killed_tre_left_open_is_flushed_at_the_next_start(bus: Bus) -> None:
    device = bus.device()
    access = made(device)
    use(device, access)  # killed here: nothing flushes the session that is kept
    bus.connection.create_primary(Handle.OWNER, template=templates.STORAGE_ECC_P256)
    later = bus.device()
    later.take_over()
    for first in (0x02000000, 0x80000000):
        assert bus.connection.handles(first) == ()
    use(later, access)
