"""Keys that others hand in: odd ones are refused, and none makes the TPM fail."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from lab.software_tpm.objects import Sensitive
from standards.tpm2.constants import Algorithm, Handle, ObjectAttributes
from standards.tpm2.structures import EccPoint, Public, Signature
from standards.tpm2.templates import AK_ECC_P256, AK_RSA_2048, STORAGE_RSA_2048
from tests.fakes.software_tpm import BenchTpm
from tests.unit.lab.software_tpm.refusals import refused
from tests.vectors.slow_keys import private_rsa_key

SIGNING = ObjectAttributes.SIGN | ObjectAttributes.USER_WITH_AUTH | ObjectAttributes.NO_DA


def sensitive_of(kind: Algorithm, secret: bytes) -> bytes:
    return Sensitive(type=kind, auth_value=b"", seed_value=b"", secret=secret).encode()


@pytest.fixture(scope="module")
def rsa_numbers() -> rsa.RSAPrivateNumbers:
    return private_rsa_key().private_numbers()


@pytest.fixture(scope="module")
def rsa_public(rsa_numbers: rsa.RSAPrivateNumbers) -> Public:
    modulus = rsa_numbers.public_numbers.n.to_bytes(256, "big")
    return replace(AK_RSA_2048, attributes=SIGNING, unique=modulus)


def test_a_software_key_loads_and_signs(
    bench: BenchTpm, rsa_numbers: rsa.RSAPrivateNumbers, rsa_public: Public
) -> None:
    sensitive = sensitive_of(Algorithm.RSA, rsa_numbers.q.to_bytes(128, "big"))
    key = bench.connection.load_external(rsa_public, hierarchy=Handle.NULL, sensitive=sensitive)
    assert bench.connection.quote(key, extra_data=b"nonce", selection=()).signature
    with refused(0x282):
        bench.connection.evict_control(Handle.OWNER, subject=key, persistent=0x81000001)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("prime", "rc"),
    [
        (b"", 0x1C7),
        (b"\x01", 0x1C7),
        ((3).to_bytes(128, "big"), 0x1C7),
        (b"\x80" + bytes(127), 0x0A5),
        (b"\xff" * 128, 0x0A5),
    ],
)
def test_what_is_no_prime_of_the_modulus_is_refused(
    bench: BenchTpm, rsa_public: Public, prime: bytes, rc: int
) -> None:
    with refused(rc):
        bench.connection.load_external(
            rsa_public, hierarchy=Handle.NULL, sensitive=sensitive_of(Algorithm.RSA, prime)
        )


@pytest.mark.negative
def test_a_factor_that_is_not_prime_is_refused(bench: BenchTpm) -> None:
    factor = (1 << 1024) - 1
    public = replace(AK_RSA_2048, attributes=SIGNING, unique=(factor * factor).to_bytes(256, "big"))
    sensitive = sensitive_of(Algorithm.RSA, factor.to_bytes(128, "big"))
    with refused(0x0A5):
        bench.connection.load_external(public, hierarchy=Handle.NULL, sensitive=sensitive)


@pytest.mark.negative
@pytest.mark.parametrize("modulus", [b"\x80" + bytes(255), bytes(255) + b"\x01", b"\xff" * 255])
def test_what_cannot_be_a_modulus_is_refused(bench: BenchTpm, modulus: bytes) -> None:
    attributes = ObjectAttributes.RESTRICTED | ObjectAttributes.DECRYPT
    with refused(0x2DC):
        bench.connection.load_external(replace(STORAGE_RSA_2048, attributes=attributes, unique=modulus))


@pytest.mark.negative
def test_a_point_off_the_curve_and_another_keys_point_are_refused(bench: BenchTpm) -> None:
    numbers = ec.derive_private_key(7, ec.SECP256R1()).public_key().public_numbers()
    point = EccPoint(x=numbers.x.to_bytes(32, "big"), y=numbers.y.to_bytes(32, "big"))
    public = replace(AK_ECC_P256, attributes=SIGNING, unique=point)
    with refused(0x2E7):
        bench.connection.load_external(replace(public, unique=replace(point, y=bytes(32))))
    for scalar in (0, 8, (1 << 256) - 1):
        sensitive = sensitive_of(Algorithm.ECC, scalar.to_bytes(32, "big"))
        with refused(0x0A5):
            bench.connection.load_external(public, hierarchy=Handle.NULL, sensitive=sensitive)


@pytest.mark.negative
@pytest.mark.parametrize(("r", "s"), [(0, 0), (0, 1), ((1 << 256) - 1, (1 << 256) - 1)])
def test_a_signature_of_nothing_is_refused(bench: BenchTpm, r: int, s: int) -> None:
    numbers = ec.derive_private_key(7, ec.SECP256R1()).public_key().public_numbers()
    point = EccPoint(x=numbers.x.to_bytes(32, "big"), y=numbers.y.to_bytes(32, "big"))
    key = bench.connection.load_external(replace(AK_ECC_P256, attributes=SIGNING, unique=point))
    signature = Signature(
        algorithm=Algorithm.ECDSA,
        hash_algorithm=Algorithm.SHA256,
        r=r.to_bytes(32, "big"),
        s=s.to_bytes(32, "big"),
    )
    with refused(0x2DB):
        bench.connection.verify_signature(key, digest=bytes(32), signature=signature)


@pytest.mark.negative
def test_a_key_that_claims_to_be_of_a_tpm_does_not_load_with_its_private_half(bench: BenchTpm) -> None:
    sensitive = sensitive_of(Algorithm.ECC, (7).to_bytes(32, "big"))
    numbers = ec.derive_private_key(7, ec.SECP256R1()).public_key().public_numbers()
    point = EccPoint(x=numbers.x.to_bytes(32, "big"), y=numbers.y.to_bytes(32, "big"))
    claims = ObjectAttributes.FIXED_TPM | ObjectAttributes.FIXED_PARENT | ObjectAttributes.RESTRICTED
    for claim in claims:
        public = replace(AK_ECC_P256, attributes=SIGNING | claim, unique=point)
        with refused(0x2C2):
            bench.connection.load_external(public, hierarchy=Handle.NULL, sensitive=sensitive)
    with refused(0x3C5):
        bench.connection.load_external(
            replace(AK_ECC_P256, attributes=SIGNING, unique=point),
            hierarchy=Handle.OWNER,
            sensitive=sensitive,
        )
