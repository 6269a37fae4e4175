"""Signatures of files: RSA and ECDSA, and each way of being wrong."""

import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from standards.ima.errors import ImaError
from standards.ima.file_signatures import Keyring, keyring_of, verify_file_signature
from tests.unit.standards.ima.lists import sha1
from tests.vectors.slow_keys import private_rsa_key

CONTENT = b"a file"
DIGEST = hashlib.sha256(CONTENT).digest()
RSA = private_rsa_key()
ECC = ec.generate_private_key(ec.SECP256R1())
STRANGER = ec.generate_private_key(ec.SECP256R1())
KEYRING = keyring_of([RSA.public_key(), ECC.public_key()])


def header(key_id: bytes, size: int, *, kind: int = 3, version: int = 2, algorithm: int = 4) -> bytes:
    return bytes([kind, version, algorithm]) + key_id + size.to_bytes(2, "big")


RSA_ID = sha1(RSA.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1))[-4:]
ECC_ID = sha1(ECC.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))[-4:]
RSA_SIGNED = RSA.sign(CONTENT, padding.PKCS1v15(), hashes.SHA256())
ECC_SIGNED = ECC.sign(CONTENT, ec.ECDSA(hashes.SHA256()))
BY_RSA = header(RSA_ID, len(RSA_SIGNED)) + RSA_SIGNED
BY_ECC = header(ECC_ID, len(ECC_SIGNED)) + ECC_SIGNED


@pytest.mark.check("A22")
@pytest.mark.parametrize("data", [BY_RSA, BY_ECC], ids=["RSA", "ECDSA"])
def test_a_good_signature(data: bytes) -> None:
    verify_file_signature(data, algorithm="sha256", digest=DIGEST, keyring=KEYRING)


@pytest.mark.check("A22")
def test_a_signature_of_an_fs_verity_digest_is_of_nothing_else() -> None:
    signed = ECC.sign(b"\x06\x04" + DIGEST, ec.ECDSA(hashes.SHA256()))
    data = header(ECC_ID, len(signed), kind=6, version=3) + signed
    verify_file_signature(data, algorithm="verity:sha256", digest=DIGEST, keyring=KEYRING)
    with pytest.raises(ImaError, match="hash algorithm"):
        verify_file_signature(data, algorithm="sha256", digest=DIGEST, keyring=KEYRING)
    with pytest.raises(ImaError, match="value"):
        verify_file_signature(data, algorithm="verity:sha256", digest=bytes(32), keyring=KEYRING)
    relabelled = header(ECC_ID, len(ECC_SIGNED), kind=6, version=3) + ECC_SIGNED
    with pytest.raises(ImaError, match="value"):
        verify_file_signature(relabelled, algorithm="verity:sha256", digest=DIGEST, keyring=KEYRING)
    back = header(ECC_ID, len(signed)) + signed
    with pytest.raises(ImaError, match="value"):
        verify_file_signature(back, algorithm="sha256", digest=DIGEST, keyring=KEYRING)


@pytest.mark.check("A22")
def test_keys_may_share_an_id() -> None:
    shared: Keyring = {ECC_ID: (STRANGER.public_key(), ECC.public_key())}
    verify_file_signature(BY_ECC, algorithm="sha256", digest=DIGEST, keyring=shared)


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("data", "what"),
    [
        (BY_ECC[:8], "header"),
        (BY_ECC[:-1], "size"),
        (BY_ECC + b"\x00", "size"),
        (header(ECC_ID, 0), "size"),
        (header(ECC_ID, 1025) + bytes(1025), "size"),
        (header(ECC_ID, len(ECC_SIGNED), kind=5) + ECC_SIGNED, "kind"),
        (header(ECC_ID, len(ECC_SIGNED), version=3) + ECC_SIGNED, "kind"),
        (header(ECC_ID, len(ECC_SIGNED), kind=6) + ECC_SIGNED, "kind"),
        (header(ECC_ID, len(ECC_SIGNED), kind=6, version=3) + ECC_SIGNED, "hash algorithm"),
        (header(ECC_ID, len(ECC_SIGNED), algorithm=2) + ECC_SIGNED, "hash algorithm"),
        (header(ECC_ID, len(ECC_SIGNED), algorithm=5) + ECC_SIGNED, "hash algorithm"),
        (header(b"\x00\x00\x00\x00", len(ECC_SIGNED)) + ECC_SIGNED, "key"),
        (header(RSA_ID, len(ECC_SIGNED)) + ECC_SIGNED, "value"),
        (header(ECC_ID, len(RSA_SIGNED)) + RSA_SIGNED, "value"),
    ],
)
def test_a_bad_signature(data: bytes, what: str) -> None:
    with pytest.raises(ImaError) as refused:
        verify_file_signature(data, algorithm="sha256", digest=DIGEST, keyring=KEYRING)
    assert refused.value.what == f"file signature, {what}"


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize("data", [BY_RSA, BY_ECC], ids=["RSA", "ECDSA"])
def test_another_file(data: bytes) -> None:
    with pytest.raises(ImaError, match="value"):
        verify_file_signature(
            data, algorithm="sha256", digest=hashlib.sha256(b"another").digest(), keyring=KEYRING
        )


@pytest.mark.check("A22")
@pytest.mark.negative
def test_a_violation_has_no_digest_that_is_signed() -> None:
    with pytest.raises(ImaError, match="hash algorithm"):
        verify_file_signature(BY_ECC, algorithm="sha256", digest=bytes(20), keyring=KEYRING)


@pytest.mark.check("A22")
@pytest.mark.negative
@pytest.mark.parametrize("algorithm", ["sm3", "verity:sha256"])
def test_a_digest_of_the_same_size_by_another_algorithm_is_not_what_was_signed(algorithm: str) -> None:
    with pytest.raises(ImaError, match="hash algorithm"):
        verify_file_signature(BY_ECC, algorithm=algorithm, digest=DIGEST, keyring=KEYRING)
