"""Step 4 of a validation: the quote, the storage key and the generation counter, under one enrolled AK.

Rule: signatures are checked over the received bytes, first; everything that is said about the device afterwards
comes out of signed structures: PCR indices, clock, firmware version, Names. The statements of an exchange share
its nonce and its context and differ in their label (D3), so none can stand for another (A23). PCR 10, which the running
kernel extends, has a quote of its own: the first one stays a statement about the boot (docs/adr/0027-ima.md).
Checks: A1-A11 and A30 are done in `standards.tpm2`; A9 is recomputed, the AK being a primary object of ENDORSEMENT.
"""

import hmac
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

from messages.binding import PVA_EVIDENCE, PVA_IMA, PVA_KEY, extra_data
from messages.challenge import Challenge
from messages.evidence import CertifiedStructure, EvidenceMessage, ImaEvidence
from pva.appraisal.credential import PlatformCredential
from pva.appraisal.known import KnownKeys
from pva.refusals import RefusalCode, RefusalError
from standards.boot_log.algorithms import SHA256
from standards.ima.entries import IMA_PCR
from standards.tpm2.attestation import (
    VerifiedQuote,
    check_qualified_signer,
    verify_certified_key,
    verify_certified_nv,
    verify_quote,
)
from standards.tpm2.errors import Tpm2Error, VerificationError
from standards.tpm2.key_checks import AttestationKey, StorageKey
from standards.tpm2.structures import ClockInfo, NvPublic, PcrSelection
from standards.tpm2.templates import GENERATION_COUNTER

_CODES: Mapping[str, RefusalCode] = {
    "A5": RefusalCode.NONCE_MISMATCH,
    "A9": RefusalCode.QUALIFIED_SIGNER_MISMATCH,
}
_QUOTE_CODES: Mapping[str, RefusalCode] = {
    **_CODES,
    "A4": RefusalCode.QUOTE_SIGNATURE_INVALID,
    "A7": RefusalCode.SELECTION_MISMATCH,
    "A8": RefusalCode.PCR_VALUES_MISMATCH,
}
_SELECTIONS_KEPT = 64
_COUNTER = GENERATION_COUNTER.written()
_COUNTER_OCTETS = _COUNTER.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformQuote:
    """What the TPM of the challenged device signed for this exchange.

    `pcr_values` is bank -> index -> value, covered by the signed digest; `ima_pcr` the value of PCR 10 (bank sha256) out of
    the second quote, None where it was not asked for or is not there; Names are TPM Names; `storage_public` is the
    certified storage key's TPMT_PUBLIC.
    """

    device_id: str
    ak_name: bytes
    qualified_signer: bytes
    pcr_values: Mapping[int, Mapping[int, bytes]]
    pcr_digest: bytes
    clock_info: ClockInfo
    firmware_version: int
    storage_key_name: bytes
    storage_public: bytes
    generation_counter_name: bytes
    generation_counter: int
    ima_pcr: bytes | None = None


def verify_platform_quote(
    message: EvidenceMessage,
    *,
    challenge: Challenge,
    credential: PlatformCredential,
    keys: KnownKeys | None = None,
) -> PlatformQuote:
    """Verify the signed structures of the evidence against the challenge, under the credential's key.

    `keys` knows public areas that were judged before. Raises RefusalError naming the first check that failed.
    """
    keys = KnownKeys() if keys is None else keys
    ak = _enrolled_ak(message.ak_public, credential=credential, keys=keys)
    context = challenge.context()
    if not hmac.compare_digest(message.body, context):
        raise RefusalError(
            RefusalCode.NONCE_MISMATCH,
            subject="context of the evidence",
            reason="it is not the context of this challenge: the quote belongs to another exchange",
        )
    quote = _verify_quote(message, challenge=challenge, context=context, ak=ak)
    key_data = extra_data(PVA_KEY, nonce=challenge.nonce, body=context)
    storage_key = _verify_storage_key(message.storage_key, ak=ak, data=key_data, keys=keys)
    index, counter = _verify_counter(message.generation_counter, ak=ak, data=key_data)
    return PlatformQuote(
        device_id=credential.device_id,
        ak_name=ak.name,
        qualified_signer=quote.attest.qualified_signer,
        pcr_values=quote.pcr_values,
        pcr_digest=quote.pcr_digest,
        clock_info=quote.attest.clock_info,
        firmware_version=quote.attest.firmware_version,
        storage_key_name=storage_key.name,
        storage_public=storage_key.public.encode(),
        generation_counter_name=index.name,
        generation_counter=counter,
        ima_pcr=_verify_ima_quote(message.ima, challenge=challenge, ak=ak, boot=quote),
    )


def _enrolled_ak(ak_public: bytes, *, credential: PlatformCredential, keys: KnownKeys) -> AttestationKey:
    """The AK whose key the Platform Credential certifies, with the attributes of an AK (A10, A11)."""
    with _refused("AK", RefusalCode.AK_UNACCEPTABLE):
        ak = keys.accepted(ak_public)
        certified = credential.certifies(ak.spki)
    if not certified:
        raise RefusalError(
            RefusalCode.AK_MISMATCH,
            subject="AK",
            reason="its public area is not that of the key that the Platform Credential certifies",
        )
    return ak


def _verify_quote(
    message: EvidenceMessage, *, challenge: Challenge, context: bytes, ak: AttestationKey
) -> VerifiedQuote:
    asked = sorted(challenge.pcr_selections.items())
    with _refused("quote", RefusalCode.QUOTE_INVALID, codes=_QUOTE_CODES):
        quote = verify_quote(
            message.attest,
            signature=message.signature,
            ak=ak,
            extra_data=extra_data(PVA_EVIDENCE, nonce=challenge.nonce, body=context),
            selection=_selections(tuple([(bank, tuple(indices)) for bank, indices in asked])),
            pcr_values=message.pcr_values,
        )
        check_qualified_signer(quote.attest, ak=ak)
    return quote


@lru_cache(maxsize=_SELECTIONS_KEPT)
def _selections(asked: tuple[tuple[int, tuple[int, ...]], ...]) -> tuple[PcrSelection, ...]:
    """By bank and indices: a fleet is asked for the same few."""
    return tuple([PcrSelection(bank=bank, indices=indices) for bank, indices in asked])


def _verify_ima_quote(
    ima: ImaEvidence | None, *, challenge: Challenge, ak: AttestationKey, boot: VerifiedQuote
) -> bytes | None:
    """PCR 10 as quoted for this challenge in the boot of the first quote; None where there is no such quote."""
    if ima is None:
        return None
    if not challenge.ima:
        raise RefusalError(
            RefusalCode.IMA_NOT_APPRAISED,
            subject="IMA list",
            reason="the challenge did not ask for it, and nobody shall believe that it was judged",
        )
    codes = dict.fromkeys(_QUOTE_CODES, RefusalCode.IMA_QUOTE_INVALID)
    with _refused("quote of PCR 10", RefusalCode.IMA_QUOTE_INVALID, codes=codes):
        quote = verify_quote(
            ima.attest,
            signature=ima.signature,
            ak=ak,
            extra_data=extra_data(PVA_IMA, nonce=challenge.nonce, body=challenge.context()),
            selection=(PcrSelection(bank=SHA256, indices=(IMA_PCR,)),),
            pcr_values={SHA256: {IMA_PCR: ima.pcr_value}},
        )
        check_qualified_signer(quote.attest, ak=ak)
    if _boot_of(quote) != _boot_of(boot):
        raise RefusalError(
            RefusalCode.IMA_QUOTE_INVALID,
            subject="quote of PCR 10",
            reason="it was made in another boot than the quote of the boot's PCRs",
        )
    return ima.pcr_value


def _boot_of(quote: VerifiedQuote) -> tuple[int, int]:
    """What counts resets and restarts of the TPM."""
    return quote.attest.clock_info.reset_count, quote.attest.clock_info.restart_count


def _verify_storage_key(
    certified: CertifiedStructure, *, ak: AttestationKey, data: bytes, keys: KnownKeys
) -> StorageKey:
    with _refused("storage key", RefusalCode.STORAGE_KEY_UNACCEPTABLE):
        key = keys.accepted_storage(certified.public)
        verify_certified_key(
            certified.attest, signature=certified.signature, ak=ak, certified=key, extra_data=data
        )
    return key


def _verify_counter(
    certified: CertifiedStructure, *, ak: AttestationKey, data: bytes
) -> tuple[NvPublic, int]:
    """The generation counter's public area and value: a counter as the template defines it, written."""
    with _refused("generation counter", RefusalCode.COUNTER_UNACCEPTABLE):
        index = _COUNTER if certified.public == _COUNTER_OCTETS else NvPublic.decode(certified.public)
        contents = verify_certified_nv(
            certified.attest, signature=certified.signature, ak=ak, index=index, extra_data=data
        )
    expected = _COUNTER
    if index != expected:
        raise RefusalError(
            RefusalCode.COUNTER_UNACCEPTABLE,
            subject="generation counter",
            reason=f"expected index 0x{expected.index:08x} with attributes 0x{expected.attributes:08x}, "
            f"got 0x{index.index:08x} with 0x{index.attributes:08x}",
        )
    return index, int.from_bytes(contents.contents, "big")


@contextmanager
def _refused(subject: str, code: RefusalCode, *, codes: Mapping[str, RefusalCode] = _CODES) -> Iterator[None]:
    """Turn a failed check of the TPM structures into a refusal; some checks have codes of their own."""
    try:
        yield
    except VerificationError as error:
        raise RefusalError(codes.get(error.check, code), subject=subject, reason=str(error)) from None
    except Tpm2Error as error:
        raise RefusalError(code, subject=subject, reason=str(error)) from None
