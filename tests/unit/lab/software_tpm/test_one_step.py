"""A command is one step: refused, failed or unsaved, it leaves everything as it was."""

import pytest

from lab.software_tpm.command_table import COMMANDS
from standards.tpm2.constants import CommandCode, Handle, StructureTag
from standards.tpm2.marshal import Writer
from standards.tpm2.structures import PcrSelection
from standards.tpm2.templates import AK_ECC_P256, GENERATION_COUNTER, STORAGE_ECC_P256
from tests.fakes.software_tpm import BenchTpm
from tests.unit.lab.software_tpm.refusals import refused


@pytest.mark.negative
def test_a_full_disk_refuses_the_command_and_changes_nothing(bench: BenchTpm) -> None:
    bench.store.full = True
    with refused(0x923):
        bench.connection.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)
    bench.store.full = False
    assert bench.connection.handles(0x01000000) == ()
    bench.connection.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)


@pytest.mark.negative
def test_a_full_disk_after_a_wrong_password_still_gives_an_answer(bench: BenchTpm) -> None:
    bench.connection.hierarchy_change_auth(Handle.LOCKOUT, new_auth_value=b"lockout")
    bench.store.full = True
    with refused(0x923):
        bench.connection.clear(Handle.LOCKOUT)


@pytest.mark.negative
def test_a_refused_command_takes_no_slot_and_saves_nothing(bench: BenchTpm) -> None:
    before = bench.store.load()
    for _ in range(5):
        frame = Writer().u16(StructureTag.NO_SESSIONS).u32(14).u32(CommandCode.READ_PUBLIC).u32(0x81010001)
        assert bench.tpm.execute(frame.done())[6:] == (0x18B).to_bytes(4, "big")
    assert bench.store.load() is before
    for _ in range(3):
        bench.connection.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)


@pytest.mark.negative
def test_a_defect_gives_a_return_code_and_changes_nothing(
    bench: BenchTpm, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(size: int) -> bytes:
        raise ZeroDivisionError(size)

    bench.tpm._machine.random_bytes = broken  # noqa: SLF001 there is no defect to be had from outside
    response = bench.tpm.execute(bytes.fromhex("80010000000c0000017b0008"))
    assert response == bytes.fromhex("80010000000a00000101")
    assert "ZeroDivisionError" in caplog.text
    assert bench.connection.read_clock().clock_info.reset_count == 1


@pytest.mark.parametrize("code", sorted(set(CommandCode) - set(COMMANDS)))
@pytest.mark.negative
def test_a_command_that_is_not_offered_says_so(bench: BenchTpm, code: CommandCode) -> None:
    frame = Writer().u16(StructureTag.NO_SESSIONS).u32(10).u32(code).done()
    assert bench.tpm.execute(frame)[6:] == (0x143).to_bytes(4, "big")


@pytest.mark.negative
def test_the_tag_of_tpm_1_2_is_answered_in_its_own_tongue(bench: BenchTpm) -> None:
    assert bench.tpm.execute(bytes.fromhex("00c10000000c0000017b0008")) == bytes.fromhex(
        "00c40000000a0000001e"
    )


def test_capabilities_list_just_the_commands_of_the_table(bench: BenchTpm) -> None:
    frame = Writer().u16(StructureTag.NO_SESSIONS).u32(22).u32(CommandCode.GET_CAPABILITY)
    response = bench.tpm.execute(frame.u32(2).u32(0).u32(200).done())
    count = int.from_bytes(response[15:19], "big")
    listed = {int.from_bytes(response[19 + 4 * at : 23 + 4 * at], "big") & 0xFFFF for at in range(count)}
    assert listed == {int(code) for code in COMMANDS}


def test_a_persistent_object_in_use_takes_a_slot_and_gives_it_back(bench: BenchTpm) -> None:
    tpm = bench.connection
    first = tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256)
    tpm.evict_control(Handle.OWNER, subject=first, persistent=0x81000001)
    tpm.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)
    tpm.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)
    with refused(0x902):
        tpm.read_public(0x81000001)
    tpm.flush_context(first.handle)
    for _ in range(3):
        tpm.read_public(0x81000001)


def test_a_digest_for_a_bank_that_is_not_allocated_moves_nothing(bench: BenchTpm) -> None:
    selection = [PcrSelection(bank=0x000B, indices=(8,))]
    before = bench.connection.pcr_read(selection)
    bench.connection.pcr_extend(8, digests={0x000C: bytes(48)})
    assert bench.connection.pcr_read(selection) == before
