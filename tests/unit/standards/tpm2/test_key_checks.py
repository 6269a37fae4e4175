"""What public areas of AK, storage key and EK must say: A10, A11, A12, A30."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from standards.tpm2.constants import Algorithm, EccCurve, ObjectAttributes
from standards.tpm2.errors import VerificationError
from standards.tpm2.key_checks import check_ak, check_ek, check_storage_key
from standards.tpm2.structures import EccParameters, Public, Scheme, SymmetricDefinition
from standards.tpm2.templates import (
    AES_256_CFB,
    EK_ECC_P256,
    EK_ECC_P256_HIGH,
    EK_ECC_P384,
    EK_RSA_2048,
    EK_RSA_2048_HIGH,
    STORAGE_ECC_P256,
    STORAGE_RSA_2048,
)
from tests.unit.standards.tpm2.attester import ecc_key, rsa_key

AK = ecc_key().public
STORAGE = ecc_key(STORAGE_ECC_P256).public
MODULUS = rsa_key().public.unique
EKS = {
    "L-1": replace(EK_RSA_2048, unique=MODULUS),
    "L-2": ecc_key(EK_ECC_P256).public,
    "H-1": replace(EK_RSA_2048_HIGH, unique=MODULUS),
    "H-2": ecc_key(EK_ECC_P256_HIGH).public,
    "H-3": ecc_key(EK_ECC_P384, curve=EccCurve.NIST_P384).public,
}
MADE_IN_TPM = [
    ObjectAttributes.FIXED_TPM,
    ObjectAttributes.FIXED_PARENT,
    ObjectAttributes.SENSITIVE_DATA_ORIGIN,
    ObjectAttributes.RESTRICTED,
]


def refused_by(check: str, judge: Callable[[Public], bytes], public: Public) -> None:
    with pytest.raises(VerificationError) as caught:
        judge(public)
    assert caught.value.check == check, str(caught.value)


def without(public: Public, attribute: ObjectAttributes) -> Public:
    return replace(public, attributes=public.attributes & ~attribute)


def with_also(public: Public, attribute: ObjectAttributes) -> Public:
    return replace(public, attributes=public.attributes | attribute)


@pytest.mark.check("A10")
@pytest.mark.parametrize("public", [AK, rsa_key().public, rsa_key(scheme=Algorithm.RSAPSS).public])
def test_a_good_ak_has_its_name(public: Public) -> None:
    assert check_ak(public) == public.name


@pytest.mark.check("A11")
@pytest.mark.negative
@pytest.mark.parametrize("attribute", [*MADE_IN_TPM, ObjectAttributes.SIGN], ids=lambda one: str(one.name))
def test_an_ak_lacks_no_attribute(attribute: ObjectAttributes) -> None:
    refused_by("A11", check_ak, without(AK, attribute))


@pytest.mark.check("A11")
@pytest.mark.negative
def test_an_ak_does_not_decrypt() -> None:
    refused_by("A11", check_ak, with_also(AK, ObjectAttributes.DECRYPT))


@pytest.mark.check("A11")
@pytest.mark.negative
@pytest.mark.parametrize(
    "scheme",
    [
        Scheme(),
        Scheme(algorithm=Algorithm.ECDSA, hash_algorithm=Algorithm.SHA1),
        Scheme(algorithm=Algorithm.ECDSA, hash_algorithm=Algorithm.SM3_256),
        Scheme(algorithm=Algorithm.ECDAA, hash_algorithm=Algorithm.SHA256, detail=1),
        Scheme(algorithm=Algorithm.RSASSA, hash_algorithm=Algorithm.SHA256),
    ],
    ids=["NULL", "SHA-1", "SM3", "ECDAA", "of another kind of key"],
)
def test_an_ak_has_a_scheme_that_is_accepted(scheme: Scheme) -> None:
    refused_by("A11", check_ak, replace(AK, parameters=replace(AK.parameters, scheme=scheme)))


@pytest.mark.check("A11")
@pytest.mark.negative
@pytest.mark.parametrize(
    "public",
    [
        rsa_key(bits=1024).public,
        rsa_key(exponent=3).public,
        ecc_key(curve=EccCurve.NIST_P521, hash_algorithm=Algorithm.SHA512).public,
        replace(AK, unique=replace(AK.unique, x=b"\x01" * 32)),  # type: ignore[type-var]  # a point
    ],
    ids=["RSA-1024", "exponent 3", "P-521", "off the curve"],
)
def test_an_ak_is_a_strong_key(public: Public) -> None:
    refused_by("A11", check_ak, public)


@pytest.mark.check("A10")
@pytest.mark.negative
@pytest.mark.parametrize("algorithm", [Algorithm.SHA1, Algorithm.NULL, Algorithm.SM3_256])
def test_a_name_by_a_weak_or_unknown_hash_is_refused(algorithm: Algorithm) -> None:
    refused_by("A10", check_ak, replace(AK, name_algorithm=algorithm))
    refused_by("A30", check_storage_key, replace(STORAGE, name_algorithm=algorithm))


@pytest.mark.check("A30")
@pytest.mark.parametrize("public", [STORAGE, replace(STORAGE_RSA_2048, unique=MODULUS)], ids=["ECC", "RSA"])
def test_a_good_storage_key_has_its_name(public: Public) -> None:
    assert check_storage_key(public) == public.name


@pytest.mark.check("A30")
@pytest.mark.negative
@pytest.mark.parametrize("attribute", [*MADE_IN_TPM, ObjectAttributes.DECRYPT], ids=lambda one: str(one.name))
def test_a_storage_key_lacks_no_attribute(attribute: ObjectAttributes) -> None:
    refused_by("A30", check_storage_key, without(STORAGE, attribute))


@pytest.mark.check("A30")
@pytest.mark.negative
def test_a_storage_key_does_not_sign() -> None:
    refused_by("A30", check_storage_key, with_also(STORAGE, ObjectAttributes.SIGN))


@pytest.mark.check("A30")
@pytest.mark.negative
@pytest.mark.parametrize("symmetric", [SymmetricDefinition(), AES_256_CFB], ids=["NULL", "AES-256"])
def test_a_storage_key_protects_with_the_cipher_of_the_packages(symmetric: SymmetricDefinition) -> None:
    assert isinstance(STORAGE.parameters, EccParameters)
    changed = replace(STORAGE, parameters=replace(STORAGE.parameters, symmetric=symmetric))
    refused_by("A30", check_storage_key, changed)


@pytest.mark.check("A12")
@pytest.mark.parametrize("public", EKS.values(), ids=EKS)
def test_an_ek_of_the_profile_passes(public: Public) -> None:
    assert check_ek(public) == public.name


@pytest.mark.check("A12")
@pytest.mark.negative
@pytest.mark.parametrize("name", EKS)
def test_an_ek_differs_from_its_template_in_nothing(name: str) -> None:
    ek = EKS[name]
    for attribute in ObjectAttributes:
        refused_by("A12", check_ek, replace(ek, attributes=ek.attributes ^ attribute))
    refused_by("A12", check_ek, replace(ek, auth_policy=bytes(len(ek.auth_policy))))
    refused_by("A12", check_ek, replace(ek, name_algorithm=Algorithm.SHA512))
    scheme = Scheme(algorithm=Algorithm.RSAES)
    refused_by("A12", check_ek, replace(ek, parameters=replace(ek.parameters, scheme=scheme)))


@pytest.mark.check("A12")
@pytest.mark.negative
def test_an_ek_has_a_key_that_exists() -> None:
    refused_by("A12", check_ek, EK_RSA_2048)
    refused_by("A12", check_ek, EK_ECC_P256)
