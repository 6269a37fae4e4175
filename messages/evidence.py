"""The evidence message: a device's answer to a challenge (D3).

Rule: this codec checks shapes and sizes and proves nothing; every field is what an unknown sender says. TPM
structures stay the bytes that were received, since signatures are checked over those.
Wire form: a CMW record whose value is a CBOR map with the integer keys 1 to 11.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol

from messages.challenge import IMA_COUNT_MAX
from messages.encoding import decode_fields, encode_deterministic
from messages.errors import MessageError, refusal
from messages.pcr import PcrValues, decode_values, encode_values
from standards.rats.cmw import encode_record, value_of_record
from standards.rats.errors import RatsError
from standards.rats.fields import Fields

EVIDENCE_MEDIA_TYPE: Final = "application/vnd.openpva.evidence+cbor"

TOKEN_SIZE_MAX: Final = 16_384
BODY_SIZE_MAX: Final = 4_096
ATTEST_SIZE_MAX: Final = 2_048
SIGNATURE_SIZE_MAX: Final = 1_024
PUBLIC_SIZE_MAX: Final = 1_024
NV_PUBLIC_SIZE_MAX: Final = 256
CERTIFICATE_SIZE_MAX: Final = 8_192
CERTIFICATE_SIZES: Final = range(1, CERTIFICATE_SIZE_MAX + 1)
CHAIN_LENGTH_MAX: Final = 6
BOOT_LOG_SIZE_MAX: Final = 1 << 22
IMA_LOG_SIZE_MAX: Final = 1 << 22
IMA_PCR_VALUE_SIZE: Final = 32
_IMA: Final = 8
_FIRST: Final = 5
_ATTEST_SIZES: Final = (1, ATTEST_SIZE_MAX)
_SIGNATURE_SIZES: Final = (1, SIGNATURE_SIZE_MAX)
_SIZES: Final = MappingProxyType(
    {
        2: (1, BODY_SIZE_MAX),
        3: _ATTEST_SIZES,
        4: _SIGNATURE_SIZES,
        7: (0, BOOT_LOG_SIZE_MAX),
        11: (1, PUBLIC_SIZE_MAX),
    }
)
"""Of the byte strings of the message: key -> least and largest size."""
_CERTIFIED_SIZES: Final = MappingProxyType(
    {
        size_max: MappingProxyType({1: (1, size_max), 2: _ATTEST_SIZES, 3: _SIGNATURE_SIZES})
        for size_max in (PUBLIC_SIZE_MAX, NV_PUBLIC_SIZE_MAX)
    }
)
EVIDENCE_BYTES_MAX: Final = BOOT_LOG_SIZE_MAX + IMA_LOG_SIZE_MAX + (1 << 17)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedStructure:
    """A TPM public area, and the AK's statement about it.

    `public` is a TPMT_PUBLIC (storage key) or a TPMS_NV_PUBLIC (counter), `attest` a TPMS_ATTEST, `signature` a
    TPMT_SIGNATURE, each without a size field in front.
    """

    public: bytes
    attest: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ImaEvidence:
    """The IMA list (`binary_runtime_measurements`, read after the quote), and a quote over PCR 10 of the bank sha256.

    Apart from the quote over the boot's PCRs, because PCR 10 moves all the time: what is compared with a later quote,
    or approved, is the state of the boot. `first` is the number of the first entry that came: 0, or what the challenge said
    that the PVA knows (`ima_after`).
    """

    log: bytes
    attest: bytes
    signature: bytes
    pcr_value: bytes
    first: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceMessage:
    """What a device sends; nothing in it is proven.

    `body` is the context of the challenge as the TRE built it; `pfc_chain` is DER, PfC first, without the root;
    `boot_log` is the TCG2 log as the firmware and the kernel left it, empty where the machine has none; `ak_public` is
    the AK's TPMT_PUBLIC, from which the verifier makes the Name itself.
    """

    challenge_token: str
    body: bytes
    attest: bytes
    signature: bytes
    pfc_chain: tuple[bytes, ...]
    pcr_values: PcrValues
    boot_log: bytes
    ima: ImaEvidence | None
    storage_key: CertifiedStructure
    generation_counter: CertifiedStructure
    ak_public: bytes


def encode_evidence(message: EvidenceMessage) -> bytes:
    """The CMW record of a message."""
    value: dict[int, Any] = {
        1: message.challenge_token,
        2: message.body,
        3: message.attest,
        4: message.signature,
        5: list(message.pfc_chain),
        6: encode_values(message.pcr_values),
        7: message.boot_log,
        9: encode_certified(message.storage_key),
        10: encode_certified(message.generation_counter),
        11: message.ak_public,
    }
    if message.ima is not None:
        ima = message.ima
        value[_IMA] = {1: ima.log, 2: ima.attest, 3: ima.signature, 4: ima.pcr_value}
        if ima.first:
            value[_IMA][_FIRST] = ima.first
    return encode_record(EVIDENCE_MEDIA_TYPE, encode_deterministic(value))


class Layouts(Protocol):
    """How messages were laid out that this codec accepted (`messages.evidence_layout`)."""

    def read(self, encoded: bytes) -> EvidenceMessage | None:
        """The message, where one that was accepted was laid out like this; None says nothing about it."""

    def note(self, encoded: bytes, message: EvidenceMessage) -> None:
        """Hear of a message that was accepted."""


def decode_evidence(data: bytes, *, layouts: Layouts | None = None) -> EvidenceMessage:
    """Decode a CMW record of at most `EVIDENCE_BYTES_MAX` bytes.

    Raises:
        MessageError: for any bytes that are not one well-formed evidence message.
    """
    encoded = _unwrap(data)
    if layouts is None:
        return _decode(encoded)
    message = layouts.read(encoded)
    if message is None:
        message = _decode(encoded)
        layouts.note(encoded, message)
    return message


def _decode(encoded: bytes) -> EvidenceMessage:
    fields = decode_fields(encoded, what="evidence", bytes_max=EVIDENCE_BYTES_MAX)
    body, attest, signature, boot_log, ak_public = fields.byte_strings(_SIZES)
    message = EvidenceMessage(
        challenge_token=fields.text(1, size_max=TOKEN_SIZE_MAX),
        body=body,
        attest=attest,
        signature=signature,
        pfc_chain=read_chain(fields, 5),
        pcr_values=decode_values(fields.raw(6), what="evidence.6"),
        boot_log=boot_log,
        ima=_read_ima(fields.nested(_IMA)) if _IMA in fields else None,
        storage_key=read_certified(fields.nested(9), public_size_max=PUBLIC_SIZE_MAX),
        generation_counter=read_certified(fields.nested(10), public_size_max=NV_PUBLIC_SIZE_MAX),
        ak_public=ak_public,
    )
    fields.close()
    return message


def _read_ima(fields: Fields) -> ImaEvidence:
    ima = ImaEvidence(
        log=fields.octets(1, size_max=IMA_LOG_SIZE_MAX),
        attest=fields.octets(2, size_min=1, size_max=ATTEST_SIZE_MAX),
        signature=fields.octets(3, size_min=1, size_max=SIGNATURE_SIZE_MAX),
        pcr_value=fields.octets(4, size_min=IMA_PCR_VALUE_SIZE, size_max=IMA_PCR_VALUE_SIZE),
        first=fields.integer(_FIRST, low=1, high=IMA_COUNT_MAX) if _FIRST in fields else 0,
    )
    fields.close()
    return ima


def encode_certified(certified: CertifiedStructure) -> dict[int, bytes]:
    """CBOR form `{1: public, 2: attest, 3: signature}`."""
    return {1: certified.public, 2: certified.attest, 3: certified.signature}


def read_certified(fields: Fields, *, public_size_max: int) -> CertifiedStructure:
    """Read the CBOR form."""
    public, attest, signature = fields.byte_strings(_CERTIFIED_SIZES[public_size_max])
    fields.close()
    return CertifiedStructure(public=public, attest=attest, signature=signature)


def read_chain(fields: Fields, key: int) -> tuple[bytes, ...]:
    """Read a certificate chain: 1 to 6 DER certificates, leaf first."""
    items = fields.items(key, size_min=1, size_max=CHAIN_LENGTH_MAX)
    if set(map(type, items)) == {bytes} and all(map(CERTIFICATE_SIZES.__contains__, map(len, items))):
        return tuple(items)
    chain = Fields(dict(enumerate(items)), what=f"certificate chain in key {key}", refusal=refusal)
    return tuple([chain.octets(i, size_min=1, size_max=CERTIFICATE_SIZE_MAX) for i in range(len(items))])


def _unwrap(data: bytes) -> bytes:
    try:
        return value_of_record(data, media_type=EVIDENCE_MEDIA_TYPE, bytes_max=EVIDENCE_BYTES_MAX)
    except RatsError as error:
        raise MessageError(what=error.what, expected=error.expected, got=error.got) from error
