"""Certified storage keys and counters, right in every respect and wrong in one: A30, A5, A9-A11."""

from dataclasses import replace

import pytest

from standards.tpm2.attestation import verify_certified_key, verify_certified_nv
from standards.tpm2.constants import Algorithm, Handle, NvAttributes, ObjectAttributes
from standards.tpm2.errors import VerificationError
from standards.tpm2.names import qualified_name
from standards.tpm2.structures import Attest, CertifyInfo, NvCertifyInfo, NvPublic, Public
from standards.tpm2.templates import GENERATION_COUNTER, STORAGE_ECC_P256
from tests.unit.standards.tpm2.attester import EXTRA_DATA, SoftwareKey, attest, ecc_key, quote_of

AK = ecc_key()
STORAGE = ecc_key(STORAGE_ECC_P256, scalar=0x57).public
COUNTER = GENERATION_COUNTER.written()


def certified(storage: Public = STORAGE, ak: Public = AK.public) -> Attest:
    name = storage.name
    return attest(ak, CertifyInfo(name=name, qualified_name=qualified_name(Handle.OWNER, name)))


def counted(value: int = 7) -> NvCertifyInfo:
    return NvCertifyInfo(index_name=COUNTER.name, offset=0, contents=value.to_bytes(8, "big"))


def verify_key(value: Attest, *, key: SoftwareKey = AK, storage: Public = STORAGE) -> Attest:
    data = value.encode()
    return verify_certified_key(
        data, signature=key.sign(data), ak=key.public, certified=storage, extra_data=EXTRA_DATA
    )


def verify_counter(value: Attest, *, key: SoftwareKey = AK, index: NvPublic = COUNTER) -> NvCertifyInfo:
    data = value.encode()
    return verify_certified_nv(
        data, signature=key.sign(data), ak=key.public, index=index, extra_data=EXTRA_DATA
    )


def test_a_certified_storage_key_passes() -> None:
    assert verify_key(certified()) == certified()


def test_a_certified_counter_passes() -> None:
    assert verify_counter(attest(AK.public, counted(9))).contents == (9).to_bytes(8, "big")


@pytest.mark.check("A30")
@pytest.mark.negative
def test_the_certification_of_another_key_is_refused() -> None:
    other = ecc_key(STORAGE_ECC_P256, scalar=0x58).public
    with pytest.raises(VerificationError, match="A30: Name of the certified key"):
        verify_key(certified(other))


@pytest.mark.check("A30")
@pytest.mark.negative
def test_an_imported_key_is_refused_though_the_ak_certified_it() -> None:
    imported = replace(
        STORAGE,
        attributes=STORAGE.attributes & ~(ObjectAttributes.FIXED_TPM | ObjectAttributes.FIXED_PARENT),
    )
    with pytest.raises(VerificationError, match="A30: attributes"):
        verify_key(certified(imported), storage=imported)


@pytest.mark.check("A30")
@pytest.mark.negative
@pytest.mark.parametrize("place", [Handle.ENDORSEMENT, Handle.PLATFORM, Handle.NULL, STORAGE.name])
def test_a_storage_key_elsewhere_than_under_owner_is_refused(place: int | bytes) -> None:
    info = CertifyInfo(name=STORAGE.name, qualified_name=qualified_name(place, STORAGE.name))
    with pytest.raises(VerificationError, match="A30: qualifiedName"):
        verify_key(attest(AK.public, info))


@pytest.mark.check("A9")
@pytest.mark.negative
def test_an_ak_elsewhere_than_under_endorsement_certifies_nothing() -> None:
    signer = qualified_name(Handle.OWNER, AK.public.name)
    for verify, value in ((verify_key, certified()), (verify_counter, attest(AK.public, counted()))):
        with pytest.raises(VerificationError, match="A9"):
            verify(replace(value, qualified_signer=signer))


@pytest.mark.check("A5")
@pytest.mark.negative
def test_a_certification_of_another_exchange_is_refused() -> None:
    for verify, value in ((verify_key, certified()), (verify_counter, attest(AK.public, counted()))):
        with pytest.raises(VerificationError, match="A5"):
            verify(replace(value, extra_data=b"\x43" * 32))


@pytest.mark.check("A11")
@pytest.mark.negative
def test_a_key_that_is_no_ak_certifies_nothing() -> None:
    free = AK.changed(attributes=AK.public.attributes & ~ObjectAttributes.RESTRICTED)
    with pytest.raises(VerificationError, match="A11"):
        verify_key(certified(ak=free.public), key=free)
    with pytest.raises(VerificationError, match="A11"):
        verify_counter(attest(free.public, counted()), key=free)


@pytest.mark.check("A4")
@pytest.mark.negative
def test_the_certification_of_another_ak_is_refused() -> None:
    data = certified().encode()
    other = ecc_key(scalar=0xBAD)
    with pytest.raises(VerificationError, match="A4"):
        verify_certified_key(
            data, signature=other.sign(data), ak=AK.public, certified=STORAGE, extra_data=EXTRA_DATA
        )


@pytest.mark.check("A3")
@pytest.mark.negative
def test_one_attestation_does_not_stand_for_another() -> None:
    quote = Attest.decode(quote_of(AK.public))
    for value in (quote, attest(AK.public, counted())):
        with pytest.raises(VerificationError, match="A3"):
            verify_key(value)
    for value in (quote, certified()):
        with pytest.raises(VerificationError, match="A3"):
            verify_counter(value)


@pytest.mark.check("A10")
@pytest.mark.negative
@pytest.mark.parametrize(
    "index",
    [
        GENERATION_COUNTER,
        replace(COUNTER, index=COUNTER.index + 1),
        replace(COUNTER, attributes=COUNTER.attributes | NvAttributes.OWNERWRITE),
        replace(COUNTER, auth_policy=b"\x01" * 32),
        replace(COUNTER, name_algorithm=Algorithm.SHA1),
    ],
    ids=["unwritten", "index", "attributes", "policy", "SHA-1"],
)
def test_another_index_than_the_expected_is_refused(index: NvPublic) -> None:
    with pytest.raises(VerificationError, match="A10"):
        verify_counter(attest(AK.public, counted()), index=index)


@pytest.mark.check("A1")
@pytest.mark.negative
@pytest.mark.parametrize(("offset", "contents"), [(0, b"\x00" * 7), (1, b"\x00" * 7), (0, b"")])
def test_a_part_of_the_counter_is_not_the_counter(offset: int, contents: bytes) -> None:
    info = NvCertifyInfo(index_name=COUNTER.name, offset=offset, contents=contents)
    with pytest.raises(VerificationError, match="A1: the certified NV contents"):
        verify_counter(attest(AK.public, info))
