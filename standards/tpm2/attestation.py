"""Verification of what a TPM attests: quotes, certified keys, certified NV contents (A1-A11, A30).

One rule: the signature is checked over the received bytes, by the algorithm that the key's own public area
names, before any parsed field is looked at. Each function raises VerificationError with the number of the
check, and returns only what it proved.

Theory: a restricted signing key signs digests only of data that its TPM made, and everything a TPM makes
starts with TPM_GENERATED_VALUE. So magic, type and the AK's attributes together say "a TPM said so";
extraData says "for this exchange"; pcrDigest says "in this state".
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from types import MappingProxyType
from typing import cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.padding import AsymmetricPadding
from cryptography.hazmat.primitives.hashes import HashAlgorithm

from standards.tpm2.constants import TPM_GENERATED_VALUE, Algorithm, Handle, StructureTag
from standards.tpm2.errors import DecodeError, VerificationError
from standards.tpm2.foreseen_quote import foreseen_quote
from standards.tpm2.hashing import digest, digest_size, hash_object
from standards.tpm2.key_checks import (
    AttestationKey,
    StorageKey,
    accept_ak,
    accept_storage_key,
    check_key_strength,
    check_signing_scheme,
    recomputed_name,
)
from standards.tpm2.marshal import Reader
from standards.tpm2.names import qualified_name
from standards.tpm2.structures import (
    Attest,
    CertifyInfo,
    NvCertifyInfo,
    NvPublic,
    PcrSelection,
    Public,
    QuoteInfo,
    Scheme,
    Signature,
)
from standards.tpm2.structures.pcr import SELECT_BYTES
from standards.tpm2.structures.public import PublicKey

ATTEST_BYTES_MAX = 2048
SIGNATURE_BYTES_MAX = 1024
_HEAD = Struct(">IH")
_ECDSA = int(Algorithm.ECDSA)

PcrValues = Mapping[int, Mapping[int, bytes]]
"""Bank (TPM_ALG_ID) -> PCR index -> digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedQuote:
    """A quote that passed A1-A8, and the PCR values that its digest covers."""

    attest: Attest
    pcr_selections: tuple[PcrSelection, ...]
    pcr_digest: bytes
    pcr_values: PcrValues


def verify_attestation(
    attest: bytes, *, signature: bytes, public: Public | AttestationKey, expected_type: int
) -> Attest:
    """A TPMS_ATTEST of `expected_type` that `public` signed (A1-A4).

    Not checked here: whether `public` is an AK to be trusted (`check_ak`, and its enrolment), extraData.
    """
    _verify_signed(attest, signature=signature, public=public)
    return _decode_attest(attest, expected_type)


def verify_quote(  # one parameter for each thing that the Verifier brings to a quote
    attest: bytes,
    *,
    signature: bytes,
    ak: Public | AttestationKey,
    extra_data: bytes,
    selection: tuple[PcrSelection, ...],
    pcr_values: PcrValues,
) -> VerifiedQuote:
    """A quote by `ak` over exactly `selection`, for this exchange, that covers `pcr_values` (A1-A8, A10, A11).

    `ak` is the enrolled AK, `extra_data` the one expected value, `selection` what was asked for. Not checked
    here: the AK's place (`check_qualified_signer`, A9), clock and firmware (A14, A15).
    """
    key = _accepted(ak)
    _verify_signed(attest, signature=signature, public=key)
    verified = foreseen_quote(
        attest, ak=key, extra_data=extra_data, selection=selection, pcr_values=pcr_values
    ) or _examined_quote(attest, ak=key, extra_data=extra_data, selection=selection, pcr_values=pcr_values)
    quote = cast("QuoteInfo", verified.attested)
    return VerifiedQuote(
        attest=verified,
        pcr_selections=quote.pcr_selections,
        pcr_digest=quote.pcr_digest,
        pcr_values=MappingProxyType(
            {bank: MappingProxyType(dict(bank_values)) for bank, bank_values in pcr_values.items()}
        ),
    )


def verify_certified_key(
    attest: bytes,
    *,
    signature: bytes,
    ak: Public | AttestationKey,
    certified: Public | StorageKey,
    extra_data: bytes,
) -> Attest:
    """A storage key that `ak` certified in its own TPM, for this exchange (A1-A5, A9-A11, A30).

    An AK certifies keys that were imported from software too: the attributes of `certified` are the only
    barrier, and its place in the OWNER hierarchy is what makes it end with TPM2_Clear.
    """
    key = _accepted(ak)
    storage_key = certified if isinstance(certified, StorageKey) else accept_storage_key(certified)
    verified = verify_attestation(
        attest, signature=signature, public=key, expected_type=StructureTag.ATTEST_CERTIFY
    )
    _check_extra_data(verified, extra_data)
    check_qualified_signer(verified, ak=key)
    certify = verified.attested
    if not isinstance(certify, CertifyInfo):
        raise _wrong_type(verified.type, StructureTag.ATTEST_CERTIFY)
    _check_equal("A30", "Name of the certified key", certify.name, storage_key.name)
    _check_equal(
        "A30",
        "qualifiedName of the certified key: not a primary object of the OWNER hierarchy",
        certify.qualified_name,
        storage_key.qualified_name,
    )
    return verified


def verify_certified_nv(
    attest: bytes, *, signature: bytes, ak: Public | AttestationKey, index: NvPublic, extra_data: bytes
) -> NvCertifyInfo:
    """Contents of the NV index `index` that `ak` certified, whole and for this exchange (A1-A5, A9-A11).

    `index` is the public area that is expected, with WRITTEN set; its Name is recomputed.
    """
    key = _accepted(ak)
    verified = verify_attestation(
        attest, signature=signature, public=key, expected_type=StructureTag.ATTEST_NV
    )
    _check_extra_data(verified, extra_data)
    check_qualified_signer(verified, ak=key)
    contents = verified.attested
    if not isinstance(contents, NvCertifyInfo):
        raise _wrong_type(verified.type, StructureTag.ATTEST_NV)
    try:
        name = index.name
    except DecodeError as error:
        raise VerificationError("A10", error.what, expected=error.expected, got=error.got) from error
    _check_equal("A10", "Name of the certified NV index", contents.index_name, name)
    if contents.offset != 0 or len(contents.contents) != index.data_size:
        raise VerificationError(
            "A1",
            "the certified NV contents are not the whole index",
            expected=f"{index.data_size} bytes from offset 0",
            got=f"{len(contents.contents)} from offset {contents.offset}",
        )
    return contents


def check_qualified_signer(
    attest: Attest, *, ak: Public | AttestationKey, parent: bytes | int = Handle.ENDORSEMENT
) -> None:
    """The signer stands below `parent`, by default as a primary object of ENDORSEMENT (A9).

    `parent` is the handle of a hierarchy or the Qualified Name of the parent. An AK under OWNER would
    sign obfuscated reset counters (Part 1, 36), one elsewhere belongs to another enrolment.
    """
    if isinstance(ak, AttestationKey):
        under_endorsement = parent == Handle.ENDORSEMENT
        expected = ak.qualified_name if under_endorsement else qualified_name(parent, ak.name)
    else:
        expected = qualified_name(parent, recomputed_name("A10", ak))
    _check_equal("A9", "qualifiedSigner", attest.qualified_signer, expected)


def _examined_quote(
    attest: bytes,
    *,
    ak: AttestationKey,
    extra_data: bytes,
    selection: tuple[PcrSelection, ...],
    pcr_values: PcrValues,
) -> Attest:
    """A quote, check by check: what is not as expected is named."""
    verified = _decode_attest(attest, StructureTag.ATTEST_QUOTE)
    _check_extra_data(verified, extra_data)
    quote = verified.attested
    if not isinstance(quote, QuoteInfo):
        raise _wrong_type(verified.type, StructureTag.ATTEST_QUOTE)
    _check_selection(quote.pcr_selections, selection)
    values = _selected_values(quote.pcr_selections, pcr_values)
    _check_pcr_digest(quote.pcr_digest, values, ak.public.scheme.hash_algorithm)
    return verified


def _verify_signed(attest: bytes, *, signature: bytes, public: Public | AttestationKey) -> None:
    """The signature over the received bytes (A4), of which there are not too many."""
    _check_size("TPMS_ATTEST", attest, ATTEST_BYTES_MAX)
    _check_size("TPMT_SIGNATURE", signature, SIGNATURE_BYTES_MAX)
    decoded = _decode_signature(signature)
    if isinstance(public, AttestationKey):
        _verify_signature(attest, decoded, key=public.key, scheme=public.public.scheme)
    else:
        check_signing_scheme("A4", public)
        _verify_signature(attest, decoded, key=check_key_strength("A4", public), scheme=public.scheme)


def _decode_attest(attest: bytes, expected_type: int) -> Attest:
    _check_magic_and_type(attest, expected_type)
    try:
        return Attest.decode(attest)
    except DecodeError as error:
        raise _malformed(error) from error


def _check_size(what: str, data: bytes, size_max: int) -> None:
    if len(data) > size_max:
        raise VerificationError(
            "A1", f"{what} is too long", expected=f"at most {size_max} bytes", got=str(len(data))
        )


def _malformed(error: DecodeError) -> VerificationError:
    return VerificationError("A1", error.what, expected=error.expected, got=error.got)


def _decode_signature(signature: bytes) -> Signature:
    try:
        return Signature.decode(signature)
    except DecodeError as error:
        raise _malformed(error) from error


def _accepted(ak: Public | AttestationKey) -> AttestationKey:
    """The AK, judged now where it was not before (A10, A11)."""
    return ak if isinstance(ak, AttestationKey) else accept_ak(ak)


def _verify_signature(data: bytes, signature: Signature, *, key: PublicKey, scheme: Scheme) -> None:
    if (signature.algorithm, signature.hash_algorithm) != (scheme.algorithm, scheme.hash_algorithm):
        raise VerificationError(
            "A4",
            "the signature is not of the key's scheme",
            expected=f"0x{scheme.algorithm:04x} with 0x{scheme.hash_algorithm:04x}",
            got=f"0x{signature.algorithm:04x} with 0x{signature.hash_algorithm:04x}",
        )
    how = _verification(scheme.algorithm, scheme.hash_algorithm)
    try:
        if scheme.algorithm == _ECDSA:
            cast("ec.EllipticCurvePublicKey", key).verify(signature.der(), data, how.ecdsa)
        else:
            cast("rsa.RSAPublicKey", key).verify(signature.rsa, data, how.padding, how.hash_algorithm)
    except InvalidSignature:
        raise VerificationError(
            "A4", "the signature does not verify", expected="a signature by this key", got="another"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verification:
    """What tells `cryptography` to verify by a scheme: `ecdsa`, or `padding` with `hash_algorithm`."""

    ecdsa: ec.ECDSA
    padding: AsymmetricPadding
    hash_algorithm: HashAlgorithm


@lru_cache(maxsize=16)
def _verification(algorithm: int, hash_algorithm: int) -> _Verification:
    """Made once for each of the few schemes that a key may have."""
    hashed = hash_object(hash_algorithm)
    # B.7: the TPM salts with as much as fits, or with a digest's length in FIPS mode
    pss = padding.PSS(mgf=padding.MGF1(hashed), salt_length=padding.PSS.AUTO)
    return _Verification(
        ecdsa=ec.ECDSA(hashed),
        padding=pss if algorithm == Algorithm.RSAPSS else padding.PKCS1v15(),
        hash_algorithm=hashed,
    )


def _check_magic_and_type(attest: bytes, expected_type: int) -> None:
    if attest[: _HEAD.size] == _HEAD.pack(TPM_GENERATED_VALUE, expected_type):
        return
    try:
        magic, kind = Reader(attest).fixed(_HEAD, "magic and type of TPMS_ATTEST")
    except DecodeError as error:
        raise _malformed(error) from error
    if magic != TPM_GENERATED_VALUE:
        raise VerificationError(
            "A2", "not made by a TPM", expected=f"magic 0x{TPM_GENERATED_VALUE:08x}", got=f"0x{magic:08x}"
        )
    if kind != expected_type:
        raise _wrong_type(kind, expected_type)


def _wrong_type(kind: int, expected_type: int) -> VerificationError:
    return VerificationError(
        "A3", "another kind of attestation", expected=f"0x{expected_type:04x}", got=f"0x{kind:04x}"
    )


def _check_extra_data(attest: Attest, extra_data: bytes) -> None:
    if not extra_data:
        raise VerificationError("A5", "no extraData to compare with", expected="a digest", got="nothing")
    _check_equal("A5", "extraData: made for another exchange", attest.extra_data, extra_data)


def _check_equal(check: str, reason: str, got: bytes, expected: bytes) -> None:
    if not hmac.compare_digest(got, expected):
        raise VerificationError(check, reason, expected=expected.hex(), got=got.hex())


def _check_selection(signed: tuple[PcrSelection, ...], asked: tuple[PcrSelection, ...]) -> None:
    banks = {selection.bank for selection in signed}
    if not signed or not all(selection.indices for selection in signed):
        raise VerificationError("A6", "no PCR is selected", expected="PCRs in every bank", got=_words(signed))
    if len(banks) != len(signed):
        raise VerificationError("A6", "a bank is selected twice", expected="each once", got=_words(signed))
    if any(selection.select_bytes < SELECT_BYTES for selection in signed):
        sizes = str([selection.select_bytes for selection in signed])
        raise VerificationError(
            "A6", "sizeofSelect is too small", expected=f"at least {SELECT_BYTES}", got=sizes
        )
    if signed != asked:
        raise VerificationError("A7", "other PCRs were quoted", expected=_words(asked), got=_words(signed))


def _words(selections: tuple[PcrSelection, ...]) -> str:
    return ", ".join(f"0x{one.bank:04x}:{list(one.indices)}" for one in selections) or "nothing"


def _selected_values(selections: tuple[PcrSelection, ...], pcr_values: PcrValues) -> list[bytes]:
    """The values in the order of the signed selection, if there are exactly those, each of its bank's size."""
    signed = {one.bank: one.indices for one in selections}
    sent = {bank: tuple(sorted(values)) for bank, values in pcr_values.items()}
    if sent != signed:
        raise VerificationError(
            "A8",
            "the PCR values are not those that were quoted",
            expected=_words(selections),
            got=str({f"0x{bank:04x}": list(indices) for bank, indices in sent.items()}),
        )
    ordered = []
    for one in selections:
        size, of_bank = _bank_digest_size(one.bank), pcr_values[one.bank]
        for index in one.indices:
            value = of_bank[index]
            if len(value) != size:
                raise VerificationError(
                    "A8", f"size of PCR {index}", expected=f"{size} bytes", got=str(len(value))
                )
            ordered.append(value)
    return ordered


def _bank_digest_size(bank: int) -> int:
    try:
        return digest_size(bank)
    except DecodeError as error:
        raise VerificationError("A8", error.what, expected=error.expected, got=error.got) from error


def _check_pcr_digest(pcr_digest: bytes, values: list[bytes], algorithm: int) -> None:
    computed = digest(algorithm, b"".join(values))
    if not hmac.compare_digest(pcr_digest, computed):
        raise VerificationError(
            "A8",
            "the PCR values do not give the quoted digest",
            expected=pcr_digest.hex(),
            got=computed.hex(),
        )
