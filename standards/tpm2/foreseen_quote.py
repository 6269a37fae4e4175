"""A quote that says what was expected of it, octet by octet.

Theory: who asked knows all that an honest TPM signs but its clock and its firmware version. So the TPMS_ATTEST is made from
what was asked for and compared (A1-A3, A5-A9 at once); what compares equal needs no decoding. This module affirms or says nothing:
what is wrong with another quote is for `standards.tpm2.attestation` to find.
"""

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct

from standards.tpm2.constants import TPM_GENERATED_VALUE, StructureTag
from standards.tpm2.hashing import digest, digest_size
from standards.tpm2.key_checks import AttestationKey
from standards.tpm2.structures import Attest, ClockInfo, PcrSelection, QuoteInfo
from standards.tpm2.structures.pcr import encode_pcr_selections

_OWN = Struct(">QIIBQ")
"""TPMS_CLOCK_INFO and firmwareVersion: what the TPM alone knows."""
_SIZE = Struct(">H")
_MADE = Struct(">IH").pack(TPM_GENERATED_VALUE, StructureTag.ATTEST_QUOTE)
_SELECTIONS_KEPT = 64


def foreseen_quote(
    attest: bytes,
    *,
    ak: AttestationKey,
    extra_data: bytes,
    selection: tuple[PcrSelection, ...],
    pcr_values: Mapping[int, Mapping[int, bytes]],
) -> Attest | None:
    """The quote of exactly these values by an AK under ENDORSEMENT for this exchange; None where the octets are others.

    Its signature is not looked at here.
    """
    joined = _joined(selection, pcr_values)
    if not joined or not extra_data:
        return None
    pcr_digest = digest(ak.public.scheme.hash_algorithm, joined)
    signer = ak.qualified_name
    begin = b"".join((_MADE, _SIZE.pack(len(signer)), signer, _SIZE.pack(len(extra_data)), extra_data))
    end = b"".join((_end(selection), _SIZE.pack(len(pcr_digest)), pcr_digest))
    own = len(begin)
    if len(attest) != own + _OWN.size + len(end) or not (attest.startswith(begin) and attest.endswith(end)):
        return None
    clock, resets, restarts, safe, firmware_version = _OWN.unpack_from(attest, own)
    if safe > 1:
        return None
    return Attest(
        type=StructureTag.ATTEST_QUOTE,
        qualified_signer=signer,
        extra_data=extra_data,
        clock_info=ClockInfo(clock=clock, reset_count=resets, restart_count=restarts, safe=safe == 1),
        firmware_version=firmware_version,
        attested=QuoteInfo(pcr_selections=selection, pcr_digest=pcr_digest),
    )


def _joined(
    selection: tuple[PcrSelection, ...], pcr_values: Mapping[int, Mapping[int, bytes]]
) -> bytes | None:
    """The selected values, one after the other; None unless there are exactly those, each of its bank's size."""
    if len(pcr_values) != len(selection):
        return None
    ordered: list[bytes] = []
    for one in selection:
        of_bank = pcr_values.get(one.bank)
        if of_bank is None or tuple(of_bank) != one.indices:
            return None
        values = of_bank.values()
        if set(map(len, values)) != {digest_size(one.bank)}:
            return None
        ordered += values
    return b"".join(ordered)


@lru_cache(maxsize=_SELECTIONS_KEPT)
def _end(selection: tuple[PcrSelection, ...]) -> bytes:
    """By what was asked for: a fleet is asked for the same few selections."""
    return encode_pcr_selections(selection)
