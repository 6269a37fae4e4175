"""Who may do what: dictionary attacks, roles, sessions that do not fit."""

from dataclasses import replace

import pytest

from lab.software_tpm.comparison import holds
from standards.tpm2.constants import (
    Algorithm,
    CommandCode,
    Comparison,
    Handle,
    NvAttributes,
    ObjectAttributes,
)
from standards.tpm2.marshal import Writer
from standards.tpm2.sessions import Password
from standards.tpm2.structures import KeyedHashParameters, NvPublic, Public, Scheme
from standards.tpm2.templates import AK_ECC_P256, EK_RSA_2048, STORAGE_ECC_P256
from tests.fakes.software_tpm import BenchTpm
from tests.unit.lab.software_tpm.refusals import refused

PROTECTED = NvPublic(
    index=0x01800062,
    name_algorithm=Algorithm.SHA256,
    attributes=NvAttributes.AUTHREAD | NvAttributes.AUTHWRITE,
    auth_policy=b"",
    data_size=4,
)
SEALED = Public(
    type=Algorithm.KEYEDHASH,
    name_algorithm=Algorithm.SHA256,
    attributes=ObjectAttributes.USER_WITH_AUTH | ObjectAttributes.NO_DA,
    auth_policy=b"",
    parameters=KeyedHashParameters(scheme=Scheme()),
    unique=b"",
)


@pytest.mark.negative
def test_three_wrong_passwords_lock_out_until_time_forgives_one(bench: BenchTpm) -> None:
    tpm = bench.connection
    tpm.nv_define_space(Handle.OWNER, public=PROTECTED, auth_value=b"right")
    for _ in range(3):
        with refused(0x98E):
            tpm.nv_write(PROTECTED, data=b"data", auth=Password(value=b"wrong"))
    with refused(0x921):
        tpm.nv_write(PROTECTED, data=b"data", auth=Password(value=b"right"))
    bench.power_cycle()
    with refused(0x921):
        bench.connection.nv_write(PROTECTED, data=b"data", auth=Password(value=b"right"))
    bench.clock.pass_seconds(1001)
    bench.connection.nv_write(PROTECTED, data=b"data", auth=Password(value=b"right"))


def test_lockout_auth_ends_a_lockout_and_other_objects_are_not_hit(bench: BenchTpm) -> None:
    tpm = bench.connection
    tpm.nv_define_space(Handle.OWNER, public=PROTECTED, auth_value=b"right")
    for _ in range(3):
        with refused(0x98E):
            tpm.nv_write(PROTECTED, data=b"data", auth=Password(value=b"wrong"))
    tpm.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)
    tpm.dictionary_attack_lock_reset(Handle.LOCKOUT)
    tpm.nv_write(PROTECTED, data=b"data", auth=Password(value=b"right"))


@pytest.mark.negative
def test_a_wrong_lockout_auth_closes_lockout_for_its_recovery_time(bench: BenchTpm) -> None:
    tpm = bench.connection
    tpm.hierarchy_change_auth(Handle.LOCKOUT, new_auth_value=b"right")
    with refused(0x98E):
        tpm.clear(Handle.LOCKOUT)
    with refused(0x921):
        tpm.clear(Handle.LOCKOUT, auth=Password(value=b"right"))
    bench.clock.pass_seconds(1001)
    tpm.clear(Handle.LOCKOUT, auth=Password(value=b"right"))


@pytest.mark.negative
def test_an_ek_of_the_low_range_takes_no_password(bench: BenchTpm) -> None:
    ek = bench.connection.create_primary(Handle.ENDORSEMENT, template=EK_RSA_2048)
    with refused(0x12F):
        bench.connection.create(ek, template=SEALED, sealed=b"data")


@pytest.mark.negative
def test_a_signing_key_is_no_parent_and_a_storage_key_signs_nothing(bench: BenchTpm) -> None:
    ak = bench.connection.create_primary(Handle.ENDORSEMENT, template=AK_ECC_P256)
    storage = bench.connection.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)
    with refused(0x18A):
        bench.connection.create(ak, template=SEALED, sealed=b"data")
    with refused(0x19C):
        bench.connection.quote(storage, extra_data=b"", selection=())


@pytest.mark.negative
@pytest.mark.parametrize(
    ("attributes", "rc"), [("81", 0x982), ("41", 0x982), ("21", 0x982), ("19", 0x9A1)],
    ids=["audit", "encrypt", "decrypt", "reserved bits"],
)  # fmt: skip
def test_a_password_session_encrypts_and_audits_nothing(bench: BenchTpm, attributes: str, rc: int) -> None:
    area = bytes.fromhex("400000090000") + bytes.fromhex(attributes) + bytes(2)
    frame = Writer().u16(0x8002).u32(31).u32(CommandCode.PCR_EXTEND).u32(8).u32(9).raw(area).u32(0).done()
    assert bench.tpm.execute(frame)[6:] == rc.to_bytes(4, "big")


@pytest.mark.negative
def test_a_session_may_not_be_named_twice(bench: BenchTpm) -> None:
    storage = bench.connection.create_primary(Handle.OWNER, template=STORAGE_ECC_P256)
    session = bench.connection.start_auth_session(salt_key=storage)
    one = Writer().u32(session.handle).tpm2b(b"").u8(1).tpm2b(b"").done()
    body = Writer().u32(8).u32(2 * len(one)).raw(one + one).u32(0).done()
    frame = Writer().u16(0x8002).u32(10 + len(body)).u32(CommandCode.PCR_EXTEND).raw(body).done()
    assert bench.tpm.execute(frame)[6:] == (0xA8B).to_bytes(4, "big")


@pytest.mark.negative
def test_attributes_that_contradict_each_other_make_no_object(bench: BenchTpm) -> None:
    attributes = STORAGE_ECC_P256.attributes
    wrong = (
        attributes & ~ObjectAttributes.FIXED_PARENT,
        attributes | ObjectAttributes.SIGN,
        attributes & ~ObjectAttributes.DECRYPT,
        attributes | ObjectAttributes.ENCRYPTED_DUPLICATION,
        attributes & ~ObjectAttributes.SENSITIVE_DATA_ORIGIN,
    )
    for each in wrong:
        with refused(0x2C2):
            bench.connection.create_primary(Handle.OWNER, template=replace(STORAGE_ECC_P256, attributes=each))


@pytest.mark.parametrize(
    ("comparison", "true_for", "false_for"),
    [
        (Comparison.EQ, b"\x02", b"\x03"),
        (Comparison.NEQ, b"\x03", b"\x02"),
        (Comparison.SIGNED_GT, b"\xff", b"\x02"),
        (Comparison.UNSIGNED_GT, b"\x01", b"\xff"),
        (Comparison.SIGNED_LT, b"\x03", b"\xff"),
        (Comparison.UNSIGNED_LT, b"\xff", b"\x02"),
        (Comparison.SIGNED_GE, b"\x02", b"\x03"),
        (Comparison.UNSIGNED_GE, b"\x02", b"\xff"),
        (Comparison.SIGNED_LE, b"\x02", b"\xff"),
        (Comparison.UNSIGNED_LE, b"\xff", b"\x01"),
        (Comparison.BITSET, b"\x02", b"\x03"),
        (Comparison.BITCLEAR, b"\xfd", b"\x02"),
    ],
)
def test_each_comparison_of_two_holds_for_what_the_norm_says(
    comparison: Comparison, true_for: bytes, false_for: bytes
) -> None:
    assert holds(comparison, b"\x02", true_for)
    assert not holds(comparison, b"\x02", false_for)
