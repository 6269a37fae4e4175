"""Names, key derivations, policy digests and return codes against values that others computed."""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from standards.tpm2 import return_codes
from standards.tpm2.attestation import PcrValues
from standards.tpm2.constants import Algorithm, Comparison, Handle
from standards.tpm2.errors import DecodeError, ResponseError
from standards.tpm2.hashing import digest, digest_size
from standards.tpm2.kdf import kdfa, kdfe
from standards.tpm2.names import handle_name, object_name, qualified_name
from standards.tpm2.policy import (
    EMPTY_POLICY,
    approval_digest,
    grant_digest,
    pcr_digest,
    policy_authorize,
    policy_key_public,
    policy_nv,
    policy_or,
    policy_pcr,
    policy_secret,
)
from standards.tpm2.return_codes import ReturnCode, describe
from standards.tpm2.structures import EccPoint, PcrSelection, Public
from standards.tpm2.templates import (
    AK_ECC_P256,
    EK_POLICY_A_SHA256,
    GENERATION_COUNTER,
    STORAGE_ECC_P256,
)


def h(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def test_a_name_is_the_algorithm_and_the_digest_of_the_public_area() -> None:
    public = AK_ECC_P256
    assert public.name == b"\x00\x0b" + h(public.encode())
    assert object_name(Algorithm.SHA384, b"area") == b"\x00\x0c" + hashlib.sha384(b"area").digest()
    assert qualified_name(Handle.OWNER, public.name) == b"\x00\x0b" + h(b"\x40\x00\x00\x01", public.name)
    parent = qualified_name(Handle.OWNER, public.name)
    assert qualified_name(parent, public.name) == b"\x00\x0b" + h(parent, public.name)
    assert handle_name(Handle.ENDORSEMENT) == b"\x40\x00\x00\x0b"


def test_the_name_of_an_index_changes_with_its_first_write() -> None:
    written = GENERATION_COUNTER.written()
    assert written.encode().hex() == "01800050" + "000b" + "22040014" + "0000" + "0008"
    assert written.name == b"\x00\x0b" + h(written.encode())
    assert written.name != GENERATION_COUNTER.name
    assert written.written() == written


@pytest.mark.negative
@pytest.mark.parametrize("algorithm", [Algorithm.SHA1, Algorithm.SM3_256, 0xFFFF])
def test_weak_and_unknown_hashes_name_nothing(algorithm: int) -> None:
    with pytest.raises(DecodeError):
        object_name(algorithm, b"area")
    with pytest.raises(DecodeError):
        digest(algorithm, b"")


def test_sizes_of_digests() -> None:
    assert [digest_size(one) for one in (0x04, 0x0B, 0x0C, 0x0D)] == [20, 32, 48, 64]
    with pytest.raises(DecodeError):
        digest_size(Algorithm.RSA)


@pytest.mark.parametrize("bits", [128, 256, 384, 1024])
def test_kdfa_is_counter_mode_hmac(bits: int) -> None:
    expected = b"".join(
        hmac.digest(
            b"key",
            number.to_bytes(4, "big") + b"LABEL\x00" + b"u" + b"vv" + bits.to_bytes(4, "big"),
            "sha256",
        )
        for number in range(1, 6)
    )
    derived = kdfa(Algorithm.SHA256, key=b"key", label=b"LABEL", context_u=b"u", context_v=b"vv", bits=bits)
    assert derived == expected[: bits // 8]


def test_kdfe_is_the_concatenation_of_hashes() -> None:
    expected = h(b"\x00\x00\x00\x01", b"z", b"LABEL\x00", b"u", b"vv")
    derived = kdfe(Algorithm.SHA256, secret=b"z", label=b"LABEL", party_u=b"u", party_v=b"vv", bits=256)
    assert derived == expected


def test_the_templates_have_the_attributes_of_the_profile() -> None:
    assert AK_ECC_P256.attributes == 0x00050472
    assert STORAGE_ECC_P256.attributes == 0x00030472
    assert GENERATION_COUNTER.attributes == 0x02040014


def test_policy_secret_of_endorsement_is_the_eks_published_policy() -> None:
    computed = policy_secret(EMPTY_POLICY, subject_name=handle_name(Handle.ENDORSEMENT))
    assert computed == EK_POLICY_A_SHA256


def test_an_approval_chain_link_by_link() -> None:
    selection = (PcrSelection(bank=Algorithm.SHA256, indices=tuple(range(8))),)
    values: PcrValues = {Algorithm.SHA256: {index: bytes([index]) * 32 for index in range(8)}}
    registers = pcr_digest(selection, values)
    assert registers == h(*(values[Algorithm.SHA256][index] for index in range(8)))
    first = policy_pcr(EMPTY_POLICY, selection=selection, pcr_digest=registers)
    encoded = bytes.fromhex("00000001000b03ff0000")
    assert first == h(bytes(32), bytes.fromhex("0000017f"), encoded, registers)
    name, operand = GENERATION_COUNTER.written().name, (9).to_bytes(8, "big")
    second = policy_nv(first, index_name=name, operand=operand, comparison=Comparison.EQ)
    assert second == h(first, bytes.fromhex("00000149"), h(operand, bytes(4)), name)
    assert approval_digest(second, policy_ref=b"ref") == h(second, b"ref")
    assert policy_authorize(key_name=name, policy_ref=b"ref") == h(
        h(bytes(32), bytes.fromhex("0000016a"), name), b"ref"
    )
    assert grant_digest(nonce_tpm=b"n", expiration_s=-1, cp_hash=b"c", policy_ref=b"r") == h(
        b"n", b"\xff" * 4, b"c", b"r"
    )


def test_the_public_area_of_a_policy_key_is_frozen() -> None:
    private = ec.derive_private_key(1, ec.SECP256R1())
    public = policy_key_public(private.public_key())
    assert isinstance(public.unique, EccPoint)
    template = "0023000b00040440000000100018000b00030010"
    assert public.encode().hex() == template + "0020" + public.unique.x.hex() + "0020" + public.unique.y.hex()
    assert Public.decode(public.encode()) == public
    with pytest.raises(DecodeError):
        policy_key_public(ec.derive_private_key(1, ec.SECP384R1()).public_key())


@pytest.mark.negative
@pytest.mark.parametrize("count", [0, 1, 9])
def test_policy_or_has_two_to_eight_branches(count: int) -> None:
    with pytest.raises(DecodeError):
        policy_or([bytes(32)] * count)


@pytest.mark.negative
def test_a_missing_register_has_no_digest() -> None:
    selection = (PcrSelection(bank=Algorithm.SHA256, indices=(0, 1)),)
    missing: list[PcrValues] = [
        {},
        {Algorithm.SHA256: {0: bytes(32)}},
        {Algorithm.SHA256: {0: bytes(32), 1: b""}},
    ]
    for values in missing:
        with pytest.raises(DecodeError):
            pcr_digest(selection, values)


@pytest.mark.parametrize(
    ("rc", "words"),
    [
        (0x1C4, "TPM_RC_VALUE (parameter 1)"),
        (0x128, "TPM_RC_PCR_CHANGED: a PCR moved"),
        (0x99D, "TPM_RC_POLICY_FAIL (session 1): the session's policyDigest"),
        (0x3DF, "TPM_RC_INTEGRITY (parameter 3): integrity check failed"),
        (0x18B, "TPM_RC_HANDLE (handle 1)"),
        (0x9A2, "TPM_RC_BAD_AUTH (session 1)"),
        (0x922, "TPM_RC_RETRY"),
        (0x084, "TPM_RC_VALUE"),
        (0xFFF00, "vendor"),
    ],
)
def test_a_return_code_in_words(rc: int, words: str) -> None:
    assert words in describe(rc)
    assert words in str(ResponseError("TPM2_UNSEAL", rc))


def test_return_codes_are_built_as_they_are_read() -> None:
    assert return_codes.parameter(ReturnCode.VALUE, 1) == 0x1C4
    assert return_codes.handle(ReturnCode.HANDLE, 1) == 0x18B
    assert return_codes.session(ReturnCode.POLICY_FAIL, 1) == 0x99D
    assert return_codes.base(0x3DF) == ReturnCode.INTEGRITY
    assert return_codes.base(0x128) == ReturnCode.PCR_CHANGED
