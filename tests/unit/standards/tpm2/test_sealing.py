"""Credentials and import blobs in software, opened again with the receiver's private key: A13, A31."""

import hmac
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from standards.tpm2.constants import Algorithm, EccCurve, ObjectAttributes
from standards.tpm2.credential import make_credential
from standards.tpm2.errors import DecodeError, VerificationError
from standards.tpm2.import_blob import FreshMaterial, check_import_public, make_import_blob
from standards.tpm2.kdf import kdfa, kdfe
from standards.tpm2.marshal import Reader
from standards.tpm2.secret_sharing import ephemeral_key, share_fresh_secret
from standards.tpm2.structures import EccPoint, KeyedHashParameters, Public, Scheme
from standards.tpm2.templates import (
    EK_ECC_P256,
    EK_ECC_P384,
    EK_RSA_2048,
    STORAGE_ECC_P256,
    STORAGE_RSA_2048,
)
from tests.unit.standards.tpm2.attester import SoftwareKey, ecc_key, rsa_key

SECRET = b"0123456789abcdef0123456789abcdef"
AUTH_POLICY = b"\xa0" * 32
NAME = b"\x00\x0b" + b"\x4e" * 32
FRESH = FreshMaterial(
    obfuscation=b"\x0b" * 32, seed=b"\x5e" * 32, ephemeral=ec.derive_private_key(0xE9, ec.SECP256R1())
)
RSA = rsa_key()
RECEIVERS = {
    "RSA-2048": RSA.changed(
        **{f: getattr(EK_RSA_2048, f) for f in ("attributes", "auth_policy", "parameters")}
    ),
    "P-256": ecc_key(EK_ECC_P256),
    "P-384": ecc_key(EK_ECC_P384, curve=EccCurve.NIST_P384),
}
EPHEMERALS: dict[str, ec.EllipticCurvePrivateKey | None] = {
    "RSA-2048": None,
    "P-256": ec.derive_private_key(0xE1, ec.SECP256R1()),
    "P-384": ec.derive_private_key(0xE2, ec.SECP384R1()),
}
_HASHES: dict[int, tuple[Callable[[], hashes.HashAlgorithm], str]] = {
    Algorithm.SHA256: (hashes.SHA256, "sha256"),
    Algorithm.SHA384: (hashes.SHA384, "sha384"),
}


def seed_of(key: SoftwareKey, encrypted: bytes, label: bytes) -> bytes:
    """The seed, as the TPM that holds the private key computes it."""
    algorithm = key.public.name_algorithm
    if isinstance(key.private, rsa.RSAPrivateKey):
        chosen = _HASHES[algorithm][0]()
        oaep = padding.OAEP(mgf=padding.MGF1(chosen), algorithm=chosen, label=label + b"\x00")
        return key.private.decrypt(encrypted, oaep)
    point = EccPoint.read(Reader(encrypted))
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(point.x, "big"), int.from_bytes(point.y, "big"), key.private.curve
    )
    own = key.public.unique
    assert isinstance(own, EccPoint)
    return kdfe(
        algorithm,
        secret=key.private.exchange(ec.ECDH(), numbers.public_key()),
        label=label,
        party_u=point.x,
        party_v=own.x,
        bits=8 * _HASHES[algorithm][0]().digest_size,
    )


def unwrapped(key: SoftwareKey, wrapped: bytes, *, seed: bytes, name: bytes) -> bytes:
    """The content of an outer wrap, after its integrity was checked."""
    algorithm = key.public.name_algorithm
    size = _HASHES[algorithm][0]().digest_size
    reader = Reader(wrapped)
    integrity, encrypted = reader.tpm2b(size, "outerHMAC"), reader.rest()
    integrity_key = kdfa(algorithm, key=seed, label=b"INTEGRITY", bits=8 * size)
    assert integrity == hmac.digest(integrity_key, encrypted + name, _HASHES[algorithm][1])
    bits = key.public.symmetric.key_bits
    encryption_key = kdfa(algorithm, key=seed, label=b"STORAGE", context_u=name, bits=bits)
    return Cipher(algorithms.AES(encryption_key), CFB(bytes(16))).decryptor().update(encrypted)


@pytest.mark.check("A13")
@pytest.mark.parametrize("kind", RECEIVERS)
def test_the_holder_of_the_ek_reads_the_credential(kind: str) -> None:
    key = RECEIVERS[kind]
    size = 48 if kind == "P-384" else 32
    credential = make_credential(
        key.public, object_name=NAME, secret=SECRET, seed=b"\x5e" * size, ephemeral=EPHEMERALS[kind]
    )
    seed = seed_of(key, credential.encrypted_secret, b"IDENTITY")
    content = Reader(unwrapped(key, credential.id_object, seed=seed, name=NAME))
    assert content.tpm2b(64, "secret") == SECRET
    assert SECRET not in credential.id_object


@pytest.mark.check("A13")
@pytest.mark.negative
def test_a_credential_is_bound_to_its_name_and_its_ek() -> None:
    key = RECEIVERS["P-256"]

    def made(ek: Public, name: bytes) -> bytes:
        credential = make_credential(
            ek, object_name=name, secret=SECRET, seed=b"", ephemeral=EPHEMERALS["P-256"]
        )
        return credential.id_object

    assert made(key.public, NAME) != made(key.public, NAME[:-1] + b"\x00")
    assert made(key.public, NAME) != made(ecc_key(EK_ECC_P256, scalar=0xE7).public, NAME)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("kind", "seed", "ephemeral", "secret"),
    [
        ("RSA-2048", b"\x5e" * 31, None, SECRET),
        ("RSA-2048", b"", None, SECRET),
        ("P-256", b"\x5e" * 32, None, SECRET),
        ("P-256", b"", EPHEMERALS["P-384"], SECRET),
        ("P-384", b"", EPHEMERALS["P-384"], b"s" * 49),
        ("RSA-2048", b"\x5e" * 32, None, b"s" * 33),
    ],
    ids=["short seed", "no seed", "no ephemeral", "other curve", "long secret", "long secret, RSA"],
)
def test_material_that_does_not_fit_the_ek_is_refused(
    kind: str, seed: bytes, ephemeral: ec.EllipticCurvePrivateKey | None, secret: bytes
) -> None:
    with pytest.raises(DecodeError):
        make_credential(
            RECEIVERS[kind].public, object_name=NAME, secret=secret, seed=seed, ephemeral=ephemeral
        )


@pytest.mark.negative
def test_a_key_that_encrypts_nothing_receives_nothing() -> None:
    with pytest.raises(DecodeError):
        make_credential(
            ecc_key().public, object_name=NAME, secret=SECRET, seed=b"", ephemeral=EPHEMERALS["P-256"]
        )


@pytest.mark.parametrize(
    "key",
    [
        ecc_key(STORAGE_ECC_P256),
        RSA.changed(attributes=STORAGE_RSA_2048.attributes, parameters=STORAGE_RSA_2048.parameters),
    ],
    ids=["P-256", "RSA-2048"],
)
def test_the_holder_of_the_storage_key_reads_the_blob(key: SoftwareKey) -> None:
    blob = make_import_blob(key.public, secret=SECRET, auth_policy=AUTH_POLICY, fresh=FRESH)
    seed = seed_of(key, blob.encrypted_seed, b"DUPLICATE")
    sensitive = Reader(unwrapped(key, blob.duplicate, seed=seed, name=blob.public.name))
    content = Reader(sensitive.tpm2b(512, "sensitive"))
    assert content.u16("type") == Algorithm.KEYEDHASH
    assert content.tpm2b(32, "authValue") == b""
    assert content.tpm2b(32, "obfuscation") == FRESH.obfuscation
    assert content.tpm2b(128, "secret") == SECRET
    content.end("TPMT_SENSITIVE")
    assert blob.public.encode()[:10] == bytes.fromhex("0008000b000004800020")
    assert len(blob.public.encode()) == 78
    assert len(blob.duplicate) == 108


@pytest.mark.negative
@pytest.mark.parametrize("secret", [b"", b"k" * 129])
def test_secrets_that_no_tpm_takes_are_refused(secret: bytes) -> None:
    with pytest.raises(DecodeError):
        make_import_blob(
            ecc_key(STORAGE_ECC_P256).public, secret=secret, auth_policy=AUTH_POLICY, fresh=FRESH
        )


@pytest.mark.negative
@pytest.mark.parametrize("auth_policy", [b"", b"\xa0" * 31, b"\xa0" * 48])
def test_a_blob_without_a_whole_policy_is_not_made(auth_policy: bytes) -> None:
    with pytest.raises(DecodeError):
        make_import_blob(
            ecc_key(STORAGE_ECC_P256).public, secret=SECRET, auth_policy=auth_policy, fresh=FRESH
        )


@pytest.mark.negative
def test_an_obfuscation_value_has_32_bytes() -> None:
    fresh = replace(FRESH, obfuscation=b"\x0b" * 31)
    with pytest.raises(DecodeError):
        make_import_blob(
            ecc_key(STORAGE_ECC_P256).public, secret=SECRET, auth_policy=AUTH_POLICY, fresh=fresh
        )


@pytest.mark.check("A30")
@pytest.mark.negative
def test_no_blob_is_made_for_a_key_that_may_live_outside_a_tpm() -> None:
    key = ecc_key(STORAGE_ECC_P256)
    outside = key.changed(attributes=key.public.attributes & ~ObjectAttributes.FIXED_TPM)
    with pytest.raises(VerificationError, match="A30"):
        make_import_blob(outside.public, secret=SECRET, auth_policy=AUTH_POLICY, fresh=FRESH)


def sealed_object() -> Public:
    return make_import_blob(
        ecc_key(STORAGE_ECC_P256).public, secret=SECRET, auth_policy=AUTH_POLICY, fresh=FRESH
    ).public


@pytest.mark.check("A31")
def test_the_receiver_takes_what_the_sender_makes() -> None:
    assert check_import_public(sealed_object(), auth_policy=AUTH_POLICY) == sealed_object().name


@pytest.mark.check("A31")
@pytest.mark.negative
@pytest.mark.parametrize("attribute", list(ObjectAttributes), ids=lambda one: str(one.name))
def test_no_attribute_of_a_sealed_object_may_differ(attribute: ObjectAttributes) -> None:
    public = sealed_object()
    with pytest.raises(VerificationError, match="A31"):
        check_import_public(
            replace(public, attributes=public.attributes ^ attribute), auth_policy=AUTH_POLICY
        )


@pytest.mark.check("A31")
@pytest.mark.negative
@pytest.mark.parametrize("auth_policy", [b"", b"\xa1" * 32])
def test_the_policy_of_a_sealed_object_is_the_receivers_own(auth_policy: bytes) -> None:
    public = sealed_object()
    with pytest.raises(VerificationError, match="A31"):
        check_import_public(replace(public, auth_policy=auth_policy), auth_policy=AUTH_POLICY)
    with pytest.raises(VerificationError, match="A31"):
        check_import_public(replace(public, auth_policy=auth_policy), auth_policy=b"")


@pytest.mark.check("A31")
@pytest.mark.negative
def test_only_a_sealed_object_is_a_sealed_object() -> None:
    public = sealed_object()
    keyed = Scheme(algorithm=Algorithm.HMAC, hash_algorithm=Algorithm.SHA256)
    for other in (
        ecc_key(STORAGE_ECC_P256).public,
        replace(public, name_algorithm=Algorithm.SHA384),
        replace(public, parameters=KeyedHashParameters(scheme=keyed)),
    ):
        with pytest.raises(VerificationError, match="A31"):
            check_import_public(other, auth_policy=AUTH_POLICY)


def test_fresh_secrets_come_from_the_given_source() -> None:
    drawn: list[int] = []

    def source(size: int) -> bytes:
        drawn.append(size)
        return bytes([len(drawn)]) * size

    for kind, sizes in (("RSA-2048", [32]), ("P-256", [40]), ("P-384", [56])):
        drawn.clear()
        key = RECEIVERS[kind]
        shared = share_fresh_secret(key.public, label=b"SECRET", random_bytes=source)
        assert drawn == sizes
        assert seed_of(key, shared.encrypted, b"SECRET") == shared.seed
        assert shared.seed.hex() not in repr(shared)


@pytest.mark.parametrize("drawn", [b"\x00", b"\xff"])
def test_an_ephemeral_key_is_in_range_whatever_is_drawn(drawn: bytes) -> None:
    for curve in (ec.SECP256R1(), ec.SECP384R1()):
        assert ephemeral_key(curve, lambda size: drawn * size).private_numbers().private_value > 0
    with pytest.raises(DecodeError):
        ephemeral_key(ec.SECP521R1(), lambda size: drawn * size)


def test_a_sealed_object_has_no_symmetric_algorithm_and_no_key() -> None:
    assert sealed_object().symmetric.algorithm == Algorithm.NULL
    with pytest.raises(DecodeError):
        sealed_object().public_key()
