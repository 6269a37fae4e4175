"""Commands that every TPM answers alike: start, objects, registers, hierarchies.

The return codes are those that libtpms gives; a TPM that differs here would surprise the TRE.
"""

import hashlib

import pytest

from standards.tpm2.connection import TpmConnection
from standards.tpm2.constants import (
    Algorithm,
    CommandCode,
    Handle,
    StructureTag,
)
from standards.tpm2.marshal import Writer
from standards.tpm2.sessions import Password
from standards.tpm2.structures import PcrSelection, Public
from standards.tpm2.templates import (
    AK_ECC_P256,
    AK_RSA_2048,
    GENERATION_COUNTER,
    STORAGE_ECC_P256,
    STORAGE_RSA_2048,
)
from tests.contract.device_keys import BOOT, EXTRA_DATA, ak_of
from tests.contract.tpm_devices import RunningTpm, refused

# --- start, randomness, frames ---------------------------------------------------------------------------


@pytest.mark.negative
def test_a_started_tpm_refuses_a_second_startup(tpm: TpmConnection) -> None:
    with refused(0x100):
        tpm.startup()


def test_random_bytes_come_in_any_length_and_never_twice(tpm: TpmConnection) -> None:
    first, second = tpm.get_random(100), tpm.get_random(100)
    assert len(first) == len(second) == 100
    assert first != second


@pytest.mark.negative
@pytest.mark.parametrize(
    ("frame", "rc"),
    [
        (Writer().u16(StructureTag.NO_SESSIONS).u32(10).u32(0x0000FFFF).done(), 0x143),
        (Writer().u16(StructureTag.NO_SESSIONS).u32(10).u32(CommandCode.GET_RANDOM).done(), 0x1DA),
        (
            Writer().u16(StructureTag.NO_SESSIONS).u32(13).u32(CommandCode.GET_RANDOM).u16(8).u8(0).done(),
            0x095,
        ),
        (
            Writer().u16(StructureTag.NO_SESSIONS).u32(14).u32(CommandCode.CLEAR).u32(Handle.LOCKOUT).done(),
            0x125,
        ),
    ],
    ids=["unknown command", "missing parameter", "trailing byte", "no authorisation"],
)
def test_a_malformed_command_has_its_own_return_code(device: RunningTpm, frame: bytes, rc: int) -> None:
    device.start()
    assert device.transport
    response = device.transport(frame)
    assert response[2:] == Writer().u32(10).u32(rc).done()


# --- objects ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hierarchy", "template"),
    [
        (Handle.ENDORSEMENT, AK_ECC_P256),
        (Handle.ENDORSEMENT, AK_RSA_2048),
        (Handle.OWNER, STORAGE_ECC_P256),
        (Handle.OWNER, STORAGE_RSA_2048),
    ],
)
def test_a_primary_object_is_the_same_every_time(
    device: RunningTpm, hierarchy: int, template: Public
) -> None:
    tpm = device.start()
    first = tpm.create_primary(hierarchy, template=template)
    again = device.restart().create_primary(hierarchy, template=template)
    assert first.name == again.name


def test_a_persistent_object_survives_a_reset_and_a_transient_one_does_not(device: RunningTpm) -> None:
    tpm = device.start()
    ak = ak_of(tpm)
    transient = tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256)
    tpm = device.restart()
    assert tpm.read_public(ak.handle).public == ak.public
    with refused(0x910):
        tpm.read_public(transient.handle)


def test_an_evicted_object_is_gone(tpm: TpmConnection) -> None:
    ak = ak_of(tpm)
    assert ak.handle in tpm.handles(0x81000000)
    tpm.evict_control(Handle.OWNER, subject=ak, persistent=ak.handle)
    assert ak.handle not in tpm.handles(0x81000000)
    with refused(0x18B):
        tpm.read_public(ak.handle)


@pytest.mark.negative
def test_there_are_three_transient_slots(tpm: TpmConnection) -> None:
    for _ in range(3):
        tpm.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)
    with refused(0x902):
        tpm.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)


@pytest.mark.negative
def test_there_are_three_session_slots(tpm: TpmConnection) -> None:
    sessions = [tpm.start_auth_session() for _ in range(3)]
    with refused(0x903):
        tpm.start_auth_session()
    tpm.flush_context(sessions[0].handle)
    tpm.start_auth_session()


@pytest.mark.negative
def test_a_wrong_auth_value_is_refused(tpm: TpmConnection) -> None:
    ak = tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256, auth_value=b"secret")
    with refused(0x9A2):
        tpm.quote(ak, extra_data=EXTRA_DATA, selection=BOOT, auth=Password(value=b"guess"))
    with refused(0x9A2):
        tpm.quote(
            ak, extra_data=EXTRA_DATA, selection=BOOT, auth=tpm.start_auth_session().authorize(b"guess")
        )
    tpm.quote(ak, extra_data=EXTRA_DATA, selection=BOOT, auth=Password(value=b"secret"))


# --- registers -------------------------------------------------------------------------------------------


def test_an_extend_hashes_the_old_value_and_the_digest(tpm: TpmConnection) -> None:
    selection = [PcrSelection(bank=Algorithm.SHA256, indices=(8,))]
    before = tpm.pcr_read(selection)
    assert before.values[Algorithm.SHA256][8] == bytes(32)
    measured = hashlib.sha256(b"kernel").digest()
    tpm.pcr_extend(8, digests={Algorithm.SHA256: measured})
    after = tpm.pcr_read(selection)
    assert after.values[Algorithm.SHA256][8] == hashlib.sha256(bytes(32) + measured).digest()
    assert after.update_counter == before.update_counter + 1


def test_one_read_gives_eight_registers_and_read_all_gives_the_rest(tpm: TpmConnection) -> None:
    assert sorted(tpm.pcr_read(BOOT).values[Algorithm.SHA256]) == list(range(8))
    assert sorted(tpm.pcr_read_all(BOOT)[Algorithm.SHA256]) == [*range(10), 14]


@pytest.mark.negative
@pytest.mark.check("A16")
def test_boot_registers_cannot_be_reset_but_16_and_23_can(tpm: TpmConnection) -> None:
    for index in (16, 23):
        tpm.pcr_extend(index, digests={Algorithm.SHA256: b"\x01" * 32})
        tpm.pcr_reset(index)
        selection = [PcrSelection(bank=Algorithm.SHA256, indices=(index,))]
        assert tpm.pcr_read(selection).values[Algorithm.SHA256][index] == bytes(32)
    for index in (0, 7, 10, 14):
        with refused(0x907):
            tpm.pcr_reset(index)


def test_registers_of_a_dynamic_launch_start_with_ones(tpm: TpmConnection) -> None:
    selection = [PcrSelection(bank=Algorithm.SHA256, indices=(17, 22))]
    assert tpm.pcr_read(selection).values[Algorithm.SHA256] == {17: b"\xff" * 32, 22: b"\xff" * 32}


# --- hierarchies -----------------------------------------------------------------------------------------


@pytest.mark.negative
def test_an_owner_auth_closes_the_owner_hierarchy(tpm: TpmConnection) -> None:
    tpm.hierarchy_change_auth(Handle.OWNER, new_auth_value=b"o" * 32)
    with refused(0x9A2):
        tpm.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)
    with refused(0x9A2):
        tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)
    tpm.create_primary(Handle.OWNER, template=STORAGE_ECC_P256, auth=Password(value=b"o" * 32))


@pytest.mark.negative
def test_a_lockout_auth_closes_clear(tpm: TpmConnection) -> None:
    tpm.hierarchy_change_auth(Handle.LOCKOUT, new_auth_value=b"l" * 32)
    with refused(0x98E):
        tpm.clear(Handle.LOCKOUT)


def test_clear_ends_the_storage_key_and_keeps_the_ak(tpm: TpmConnection) -> None:
    ak = tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256)
    storage = tpm.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)
    tpm.clear(Handle.LOCKOUT)
    assert tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256).name == ak.name
    assert tpm.create_primary(Handle.OWNER, template=STORAGE_ECC_P256).name != storage.name


def test_a_counter_comes_back_higher_after_clear(tpm: TpmConnection) -> None:
    tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)
    for _ in range(3):
        tpm.nv_increment(GENERATION_COUNTER)
    before = tpm.nv_read_counter(GENERATION_COUNTER.written())
    tpm.clear(Handle.LOCKOUT)
    with refused(0x18B):
        tpm.nv_read_counter(GENERATION_COUNTER.written())
    tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)
    tpm.nv_increment(GENERATION_COUNTER)
    assert tpm.nv_read_counter(GENERATION_COUNTER.written()) > before
