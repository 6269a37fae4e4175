"""What a TPM reset ends and what it keeps: clock, counts, hierarchies, NV."""

from dataclasses import replace

import pytest

from lab.software_tpm.state_codec import StateCodecError, decode_state, encode_state
from standards.tpm2.constants import Handle, NvAttributes, SessionType
from standards.tpm2.sessions import Password
from standards.tpm2.structures import NvPublic, PcrSelection
from standards.tpm2.templates import AK_ECC_P256, AK_RSA_2048, GENERATION_COUNTER, STORAGE_ECC_P256
from tests.fakes.software_tpm import BenchTpm
from tests.unit.lab.software_tpm.refusals import refused


def test_the_clock_goes_on_after_a_shutdown_and_is_safe(bench: BenchTpm) -> None:
    bench.clock.pass_seconds(10)
    bench.connection.shutdown()
    bench.power_cycle()
    bench.clock.pass_seconds(1)
    info = bench.connection.read_clock().clock_info
    assert (info.clock, info.reset_count, info.safe) == (11_000, 2, True)


@pytest.mark.check("A14")
def test_after_an_unclean_stop_the_clock_is_ahead_and_unsafe_for_one_interval(bench: BenchTpm) -> None:
    bench.clock.pass_seconds(5)
    seen = bench.connection.read_clock().clock_info.clock
    bench.clock.pass_seconds(4)
    bench.connection.get_random(1)
    bench.power_cycle()
    info = bench.connection.read_clock().clock_info
    assert info.clock > seen
    assert not info.safe
    bench.clock.pass_seconds(4.096)
    assert bench.connection.read_clock().clock_info.safe


def test_a_command_after_shutdown_makes_the_stop_an_unclean_one(bench: BenchTpm) -> None:
    bench.connection.shutdown()
    bench.connection.get_random(1)
    bench.power_cycle()
    assert not bench.connection.read_clock().clock_info.safe


def test_time_that_runs_backwards_does_not_turn_the_clock_back_below_the_reset(bench: BenchTpm) -> None:
    bench.clock.pass_seconds(-3600)
    assert bench.connection.read_clock().clock_info.clock == 0


def test_registers_sessions_and_objects_end_and_persistent_things_stay(bench: BenchTpm) -> None:
    tpm = bench.connection
    selection = [PcrSelection(bank=0x000B, indices=(4, 17))]
    fresh = tpm.pcr_read(selection).values
    tpm.pcr_extend(4, digests={0x000B: b"\x01" * 32})
    ak = tpm.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256)
    tpm.evict_control(Handle.OWNER, subject=ak, persistent=0x81000001)
    session = tpm.start_auth_session(SessionType.POLICY)
    tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)
    tpm.nv_increment(GENERATION_COUNTER)
    bench.power_cycle()
    tpm = bench.connection
    assert tpm.pcr_read(selection).values == fresh
    assert tpm.read_public(0x81000001).public == ak.public
    assert tpm.nv_read_counter(GENERATION_COUNTER.written()) == 1
    with refused(0x910):
        tpm.policy_get_digest(session)
    with refused(0x910):
        tpm.read_public(ak.handle)


def test_a_null_primary_is_another_key_after_a_reset(bench: BenchTpm) -> None:
    names = []
    for _ in range(2):
        for template in (AK_ECC_P256, AK_RSA_2048):
            first = bench.connection.create_primary(Handle.NULL, template=template).name
            assert bench.connection.create_primary(Handle.NULL, template=template).name == first
            names.append(first)
            bench.connection.flush_context(0x80000000)
            bench.connection.flush_context(0x80000001)
        bench.power_cycle()
    assert len(set(names)) == 4


def test_another_template_gives_another_key(bench: BenchTpm) -> None:
    keys = [
        bench.connection.create_primary(Handle.OWNER, template=template).public.unique
        for template in (STORAGE_ECC_P256, replace(STORAGE_ECC_P256, auth_policy=bytes(32)))
    ]
    assert keys[0] != keys[1]


def test_clear_gives_the_owner_another_rsa_key_and_the_endorsement_the_same(bench: BenchTpm) -> None:
    def names() -> list[bytes]:
        made = []
        for hierarchy in (Handle.OWNER, Handle.ENDORSEMENT):
            key = bench.connection.create_primary(hierarchy, template=AK_RSA_2048)
            bench.connection.flush_context(key.handle)
            made.append(key.name)
        return made

    before = names()
    bench.connection.clear(Handle.LOCKOUT)
    after = names()
    assert after[0] != before[0]
    assert after[1] == before[1]
    state = bench.store.load()
    assert state
    assert len(state.primary_rsa_keys) == 2


def test_a_volatile_index_is_unwritten_after_a_reset(bench: BenchTpm) -> None:
    index = NvPublic(
        index=0x01800061,
        name_algorithm=0x000B,
        attributes=NvAttributes.AUTHREAD
        | NvAttributes.AUTHWRITE
        | NvAttributes.NO_DA
        | NvAttributes.CLEAR_STCLEAR,
        auth_policy=b"",
        data_size=4,
    )
    bench.connection.nv_define_space(Handle.OWNER, public=index)
    bench.connection.nv_write(index, data=b"boot")
    assert bench.connection.nv_read(index.written(), size=4) == b"boot"
    bench.power_cycle()
    with refused(0x14A):
        bench.connection.nv_read(index, size=4)


def test_the_state_survives_its_bytes(bench: BenchTpm) -> None:
    tpm = bench.connection
    ak = tpm.create_primary(Handle.ENDORSEMENT, template=AK_RSA_2048, auth_value=b"secret")
    tpm.evict_control(Handle.OWNER, subject=ak, persistent=0x81000001)
    tpm.nv_define_space(Handle.OWNER, public=GENERATION_COUNTER)
    tpm.hierarchy_change_auth(Handle.LOCKOUT, new_auth_value=b"lockout")
    with refused(0x98E):
        tpm.clear(Handle.LOCKOUT, auth=Password(value=b"wrong"))
    state = bench.store.load()
    assert state
    assert decode_state(encode_state(state)) == state


@pytest.mark.negative
def test_a_damaged_state_is_refused_whole(bench: BenchTpm) -> None:
    state = bench.store.load()
    assert state
    encoded = encode_state(state)
    for cut in range(0, len(encoded), 7):
        with pytest.raises(StateCodecError):
            decode_state(encoded[:cut])
    with pytest.raises(StateCodecError):
        decode_state(encoded.replace(b"gversion\x01", b"gversion\x02"))


def test_no_representation_shows_a_secret(bench: BenchTpm) -> None:
    bench.connection.hierarchy_change_auth(Handle.OWNER, new_auth_value=b"owner secret")
    made = bench.connection.create_primary(
        Handle.ENDORSEMENT, template=AK_ECC_P256, auth_value=b"object secret"
    )
    machine = bench.tpm._machine  # noqa: SLF001 the test looks for secrets inside
    shown = repr(machine.state) + repr(machine.volatile)
    assert made.name.hex()
    assert "secret" not in shown.replace("secret=", "")
    assert repr(machine.state.hierarchies[Handle.OWNER].seed) not in shown
