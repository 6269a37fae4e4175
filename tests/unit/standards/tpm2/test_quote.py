"""A quote that is right in every respect, and the same wrong in one: A1-A11."""

from dataclasses import replace

import pytest

from standards.tpm2.attestation import (
    ATTEST_BYTES_MAX,
    PcrValues,
    VerifiedQuote,
    check_qualified_signer,
    verify_attestation,
    verify_quote,
)
from standards.tpm2.constants import Algorithm, EccCurve, Handle, ObjectAttributes, StructureTag
from standards.tpm2.errors import VerificationError
from standards.tpm2.hashing import digest
from standards.tpm2.names import qualified_name
from standards.tpm2.structures import Attest, CertifyInfo, PcrSelection, Public, QuoteInfo, Scheme, Signature
from tests.unit.standards.tpm2.attester import (
    CLOCK,
    EXTRA_DATA,
    PCR_VALUES,
    SELECTION,
    SoftwareKey,
    attest,
    ecc_key,
    quote_of,
    rsa_key,
)

AK = ecc_key()
KEYS = {
    "ECDSA P-256 SHA-256": AK,
    "ECDSA P-256 SHA-512": ecc_key(hash_algorithm=Algorithm.SHA512),
    "ECDSA P-384 SHA-384": ecc_key(curve=EccCurve.NIST_P384, hash_algorithm=Algorithm.SHA384),
    "RSASSA SHA-256": rsa_key(),
    "RSASSA SHA-384": rsa_key(hash_algorithm=Algorithm.SHA384),
    "RSAPSS SHA-256": rsa_key(scheme=Algorithm.RSAPSS),
    "RSAPSS SHA-512": rsa_key(scheme=Algorithm.RSAPSS, hash_algorithm=Algorithm.SHA512),
}


def verify(
    data: bytes,
    *,
    key: SoftwareKey = AK,
    signature: bytes | None = None,
    ak: Public | None = None,
    selection: tuple[PcrSelection, ...] = SELECTION,
    pcr_values: PcrValues = PCR_VALUES,
) -> VerifiedQuote:
    """Verify with what a Verifier expects, except where a test says otherwise."""
    return verify_quote(
        data,
        signature=key.sign(data) if signature is None else signature,
        ak=ak or key.public,
        extra_data=EXTRA_DATA,
        selection=selection,
        pcr_values=pcr_values,
    )


def refused_by(check: str, data: bytes, **changes: object) -> VerificationError:
    with pytest.raises(VerificationError) as caught:
        verify(data, **changes)  # type: ignore[arg-type]  # each test names the ones it changes
    assert caught.value.check == check, str(caught.value)
    return caught.value


@pytest.mark.requirement("R71")
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_good_quote_passes(key: SoftwareKey) -> None:
    data = quote_of(key.public)
    verified = verify(data, key=key)
    assert verified.pcr_selections == SELECTION
    assert verified.pcr_values[Algorithm.SHA256] == PCR_VALUES[Algorithm.SHA256]
    assert verified.attest.clock_info == CLOCK
    assert verified.attest.raw == data
    check_qualified_signer(verified.attest, ak=key.public)


@pytest.mark.check("A1")
@pytest.mark.negative
def test_a_signed_structure_with_trailing_bytes_is_refused() -> None:
    refused_by("A1", quote_of(AK.public) + b"\x00")


@pytest.mark.check("A1")
@pytest.mark.negative
def test_every_signed_prefix_of_a_quote_is_refused() -> None:
    data = quote_of(AK.public)
    for size in range(len(data)):
        refused_by("A1", data[:size])


@pytest.mark.check("A1")
@pytest.mark.negative
def test_a_quote_over_two_kibibytes_is_refused_before_anything_else() -> None:
    refused_by("A1", bytes(ATTEST_BYTES_MAX + 1), signature=b"")


@pytest.mark.check("A1")
@pytest.mark.negative
@pytest.mark.parametrize("wrong", [b"", b"\x00", b"\x00\x18\x00\x0b", bytes(1025)])
def test_a_malformed_signature_is_refused(wrong: bytes) -> None:
    refused_by("A1", quote_of(AK.public), signature=wrong)


@pytest.mark.check("A1")
@pytest.mark.negative
def test_a_signature_with_trailing_bytes_is_refused() -> None:
    data = quote_of(AK.public)
    refused_by("A1", data, signature=AK.sign(data) + b"\x00")


@pytest.mark.check("A2")
@pytest.mark.negative
def test_data_that_no_tpm_made_is_refused() -> None:
    refused_by("A2", b"\xff\x54\x43\x46" + quote_of(AK.public)[4:])


@pytest.mark.check("A3")
@pytest.mark.negative
@pytest.mark.parametrize("tag", [StructureTag.ATTEST_CREATION, StructureTag.ATTEST_TIME, 0x1234])
def test_another_kind_of_attestation_is_refused(tag: int) -> None:
    data = quote_of(AK.public)
    refused_by("A3", data[:4] + tag.to_bytes(2, "big") + data[6:])


@pytest.mark.check("A3")
@pytest.mark.negative
def test_a_certification_is_no_quote() -> None:
    refused_by("A3", attest(AK.public, CertifyInfo(name=b"n", qualified_name=b"q")).encode())


@pytest.mark.check("A4")
@pytest.mark.negative
@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_a_signature_over_other_bytes_is_refused(key: SoftwareKey) -> None:
    data = quote_of(key.public)
    refused_by("A4", data, key=key, signature=key.sign(data + b"\x00"))


@pytest.mark.check("A4")
@pytest.mark.negative
def test_a_signature_by_another_key_is_refused() -> None:
    data = quote_of(AK.public)
    refused_by("A4", data, signature=ecc_key(scalar=0xBAD).sign(data))


@pytest.mark.check("A4")
@pytest.mark.negative
def test_the_signature_is_judged_before_any_field() -> None:
    data = b"\x00" * 60
    refused_by("A4", data, signature=ecc_key(scalar=0xBAD).sign(data))


@pytest.mark.check("A4")
@pytest.mark.negative
def test_a_good_signature_of_another_scheme_than_the_keys_is_refused() -> None:
    for used, claimed in ((Algorithm.SHA512, Algorithm.SHA256), (Algorithm.SHA256, Algorithm.SHA384)):
        key = ecc_key(hash_algorithm=claimed)
        data = quote_of(key.public)
        scheme = Scheme(algorithm=Algorithm.ECDSA, hash_algorithm=used)
        refused_by("A4", data, key=key, signature=key.signature(data, scheme).encode())
    key = KEYS["RSAPSS SHA-256"]
    data = quote_of(key.public)
    scheme = Scheme(algorithm=Algorithm.RSASSA, hash_algorithm=Algorithm.SHA256)
    refused_by("A4", data, key=key, signature=key.signature(data, scheme).encode())


@pytest.mark.check("A4")
@pytest.mark.negative
@pytest.mark.parametrize("key", [ecc_key(), KEYS["RSASSA SHA-256"]], ids=["ECDSA", "RSASSA"])
def test_sha_1_is_refused_even_where_the_key_names_it(key: SoftwareKey) -> None:
    sha_1 = Scheme(algorithm=key.public.scheme.algorithm, hash_algorithm=Algorithm.SHA1)
    weak = key.changed(parameters=replace(key.public.parameters, scheme=sha_1))
    data = quote_of(key.public)
    with pytest.raises(VerificationError) as caught:
        verify_attestation(
            data,
            signature=key.signature(data, sha_1).encode(),
            public=weak.public,
            expected_type=StructureTag.ATTEST_QUOTE,
        )
    assert caught.value.check == "A4"


@pytest.mark.check("A4")
@pytest.mark.negative
@pytest.mark.parametrize(
    "key",
    [
        rsa_key(bits=1024),
        rsa_key(exponent=3),
        ecc_key(curve=EccCurve.NIST_P521, hash_algorithm=Algorithm.SHA512),
    ],
    ids=["RSA-1024", "exponent 3", "P-521"],
)
def test_weak_and_foreign_keys_are_refused(key: SoftwareKey) -> None:
    data = quote_of(key.public)
    with pytest.raises(VerificationError) as caught:
        verify_attestation(
            data,
            signature=key.sign(data),
            public=key.public,
            expected_type=StructureTag.ATTEST_QUOTE,
        )
    assert caught.value.check == "A4"


@pytest.mark.check("A4")
@pytest.mark.negative
def test_a_key_without_a_scheme_of_its_own_is_refused() -> None:
    free = AK.changed(parameters=replace(AK.public.parameters, scheme=Scheme()))
    data = quote_of(AK.public)
    with pytest.raises(VerificationError) as caught:
        verify_attestation(
            data,
            signature=AK.sign(data),
            public=free.public,
            expected_type=StructureTag.ATTEST_QUOTE,
        )
    assert caught.value.check == "A4"


@pytest.mark.check("A4")
@pytest.mark.negative
@pytest.mark.parametrize("r", [b"", b"\x00" * 32, b"\xff" * 32])
def test_degenerate_ecdsa_values_are_refused(r: bytes) -> None:
    signature = Signature(algorithm=Algorithm.ECDSA, hash_algorithm=Algorithm.SHA256, r=r, s=r)
    refused_by("A4", quote_of(AK.public), signature=signature.encode())


@pytest.mark.check("A5")
@pytest.mark.negative
@pytest.mark.parametrize("extra_data", [b"", b"\x42" * 31, b"\x42" * 33, b"\x43" * 32])
def test_a_quote_for_another_exchange_is_refused(extra_data: bytes) -> None:
    refused_by("A5", quote_of(AK.public, change=lambda value: replace(value, extra_data=extra_data)))


@pytest.mark.check("A5")
@pytest.mark.negative
def test_an_empty_expectation_is_no_expectation() -> None:
    data = quote_of(AK.public, change=lambda value: replace(value, extra_data=b""))
    with pytest.raises(VerificationError) as caught:
        verify_quote(
            data,
            signature=AK.sign(data),
            ak=AK.public,
            extra_data=b"",
            selection=SELECTION,
            pcr_values=PCR_VALUES,
        )
    assert caught.value.check == "A5"


def quoted(selection: tuple[PcrSelection, ...], values: PcrValues) -> bytes:
    """A quote that the AK signs over whatever selection."""
    concatenated = b"".join(
        values.get(one.bank, {}).get(index, b"") for one in selection for index in one.indices
    )
    info = QuoteInfo(pcr_selections=selection, pcr_digest=digest(Algorithm.SHA256, concatenated))
    return attest(AK.public, info).encode()


@pytest.mark.check("A6")
@pytest.mark.negative
@pytest.mark.parametrize(
    "selection",
    [
        (),
        (PcrSelection(bank=Algorithm.SHA256, indices=()),),
        (*SELECTION, PcrSelection(bank=Algorithm.SHA384, indices=())),
        (*SELECTION, *SELECTION),
        (PcrSelection(bank=Algorithm.SHA256, indices=(0, 4, 7), select_bytes=2),),
    ],
    ids=["empty", "no index", "second bank without index", "bank twice", "two bytes of bitmap"],
)
def test_a_selection_without_shape_is_refused_even_if_asked_for(
    selection: tuple[PcrSelection, ...],
) -> None:
    refused_by("A6", quoted(selection, PCR_VALUES), selection=selection)


@pytest.mark.check("A7")
@pytest.mark.negative
@pytest.mark.parametrize(
    "signed",
    [
        (PcrSelection(bank=Algorithm.SHA256, indices=(0, 4)),),
        (PcrSelection(bank=Algorithm.SHA256, indices=(0, 4, 7, 8)),),
        (PcrSelection(bank=Algorithm.SHA256, indices=(16, 17, 23)),),
        (PcrSelection(bank=Algorithm.SHA1, indices=(0, 4, 7)),),
        (*SELECTION, PcrSelection(bank=Algorithm.SHA384, indices=(0,))),
    ],
    ids=["fewer", "more", "others", "other bank", "another bank"],
)
def test_a_quote_of_other_registers_is_refused(signed: tuple[PcrSelection, ...]) -> None:
    values: PcrValues = {one.bank: dict.fromkeys(one.indices, b"\x01" * 32) for one in signed}
    refused_by("A7", quoted(signed, values), pcr_values=values)


def test_a_wider_bitmap_of_the_same_registers_is_the_same_selection() -> None:
    wide = (replace(SELECTION[0], select_bytes=4),)
    assert verify(quoted(wide, PCR_VALUES)).pcr_digest


@pytest.mark.check("A8")
@pytest.mark.negative
@pytest.mark.parametrize(
    "values",
    [
        {0: b"\x00" * 32, 4: b"\x05" * 32, 7: b"\x07" * 32},
        {0: b"\x04" * 32, 4: b"\x00" * 32, 7: b"\x07" * 32},
        {0: b"\x00" * 32, 4: b"\x04" * 32},
        {0: b"\x00" * 32, 4: b"\x04" * 32, 7: b"\x07" * 32, 8: b""},
        {0: b"\x00" * 31, 4: b"\x00" + b"\x04" * 32, 7: b"\x07" * 32},
        {},
    ],
    ids=["one changed", "two swapped", "one missing", "one too many", "boundary moved", "none"],
)
def test_values_that_the_digest_does_not_cover_are_refused(values: dict[int, bytes]) -> None:
    refused_by("A8", quote_of(AK.public), pcr_values={Algorithm.SHA256: values})


@pytest.mark.check("A8")
@pytest.mark.negative
def test_values_of_a_bank_that_was_not_quoted_are_refused() -> None:
    refused_by("A8", quote_of(AK.public), pcr_values={**PCR_VALUES, Algorithm.SHA384: {0: bytes(48)}})
    refused_by("A8", quote_of(AK.public), pcr_values={})


@pytest.mark.check("A8")
def test_the_digest_is_by_the_hash_of_the_signing_scheme_not_of_the_bank() -> None:
    key = ecc_key(curve=EccCurve.NIST_P384, hash_algorithm=Algorithm.SHA384)
    assert len(verify(quote_of(key.public), key=key).pcr_digest) == 48


@pytest.mark.check("A8")
def test_two_banks_are_digested_in_the_order_of_the_selection() -> None:
    selection = (
        PcrSelection(bank=Algorithm.SHA384, indices=(1,)),
        PcrSelection(bank=Algorithm.SHA256, indices=(0, 4)),
    )
    values: PcrValues = {
        Algorithm.SHA384: {1: b"\x31" * 48},
        Algorithm.SHA256: {4: b"\x04" * 32, 0: bytes(32)},
    }
    verified = verify(quoted(selection, values), selection=selection, pcr_values=values)
    assert verified.pcr_digest == digest(Algorithm.SHA256, b"\x31" * 48 + bytes(32) + b"\x04" * 32)


@pytest.mark.check("A9")
@pytest.mark.negative
@pytest.mark.parametrize("parent", [Handle.OWNER, Handle.PLATFORM, b"\x00\x0b" + b"\x01" * 32])
def test_an_ak_in_another_place_is_refused(parent: int | bytes) -> None:
    signer = qualified_name(parent, AK.public.name)
    data = quote_of(AK.public, change=lambda value: replace(value, qualified_signer=signer))
    verified = verify(data)
    with pytest.raises(VerificationError) as caught:
        check_qualified_signer(verified.attest, ak=AK.public)
    assert caught.value.check == "A9"
    check_qualified_signer(verified.attest, ak=AK.public, parent=parent)


@pytest.mark.check("A10")
@pytest.mark.negative
def test_the_name_is_that_of_the_public_area_at_hand() -> None:
    """The same key in another public area is another object, whatever Name was sent with it."""
    other = AK.changed(attributes=AK.public.attributes & ~ObjectAttributes.NO_DA)
    verified = verify(quote_of(AK.public), ak=other.public)
    with pytest.raises(VerificationError) as caught:
        check_qualified_signer(verified.attest, ak=other.public)
    assert caught.value.check == "A9"
    assert other.public.name != AK.public.name


@pytest.mark.check("A10")
@pytest.mark.negative
def test_an_ak_named_by_sha_1_is_refused() -> None:
    weak = AK.changed(name_algorithm=Algorithm.SHA1)
    refused_by("A10", quote_of(AK.public), ak=weak.public)
    with pytest.raises(VerificationError) as caught:
        check_qualified_signer(Attest.decode(quote_of(AK.public)), ak=weak.public)
    assert caught.value.check == "A10"


@pytest.mark.check("A11")
@pytest.mark.negative
def test_a_key_that_signs_anything_makes_no_quote() -> None:
    """An unrestricted key of the same TPM signs a forged TPMS_ATTEST that verifies in all else."""
    free = AK.changed(attributes=AK.public.attributes & ~ObjectAttributes.RESTRICTED)
    refused_by("A11", quote_of(free.public), key=free)
