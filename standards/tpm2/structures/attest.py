"""TPMS_ATTEST: what a TPM says and signs (Part 2, 10.12)."""

from dataclasses import dataclass
from struct import Struct

from standards.tpm2.constants import (
    DIGEST_BYTES_MAX,
    NAME_BYTES_MAX,
    NONCE_BYTES_MAX,
    TPM_GENERATED_VALUE,
    StructureTag,
)
from standards.tpm2.errors import DecodeError
from standards.tpm2.marshal import Reader, Writer
from standards.tpm2.structures.pcr import PcrSelection, encode_pcr_selections, read_pcr_selections

_NV_CONTENTS_BYTES_MAX = 2048
_HEAD = Struct(">IH")
_CLOCK_INFO = Struct(">QIIB")
_FIRMWARE_VERSION = Struct(">Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockInfo:
    """TPMS_CLOCK_INFO: `clock` in milliseconds of powered time; counts since TPM2_Clear (Part 2, 10.11)."""

    clock: int
    reset_count: int
    restart_count: int
    safe: bool

    @classmethod
    def read(cls, reader: Reader) -> "ClockInfo":
        """The structure at the cursor."""
        clock, resets, restarts, safe = reader.fixed(_CLOCK_INFO, "clockInfo")
        if safe > 1:
            raise DecodeError("safe", expected="0 or 1", got=str(safe))
        return cls(clock=clock, reset_count=resets, restart_count=restarts, safe=bool(safe))

    def encode(self) -> bytes:
        """TPMS_CLOCK_INFO as bytes."""
        writer = Writer().u64(self.clock).u32(self.reset_count).u32(self.restart_count)
        return writer.u8(int(self.safe)).done()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteInfo:
    """TPMS_QUOTE_INFO: the digest is over the selected PCRs in the order of the selection (Part 2, 10.12)."""

    pcr_selections: tuple[PcrSelection, ...]
    pcr_digest: bytes

    @classmethod
    def read(cls, reader: Reader) -> "QuoteInfo":
        """The structure at the cursor."""
        selections = read_pcr_selections(reader)
        return cls(pcr_selections=selections, pcr_digest=reader.tpm2b(DIGEST_BYTES_MAX, "pcrDigest"))

    def encode(self) -> bytes:
        """TPMS_QUOTE_INFO as bytes."""
        return Writer().raw(encode_pcr_selections(self.pcr_selections)).tpm2b(self.pcr_digest).done()


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifyInfo:
    """TPMS_CERTIFY_INFO: Name and Qualified Name of the certified object (Part 2, 10.12)."""

    name: bytes
    qualified_name: bytes

    @classmethod
    def read(cls, reader: Reader) -> "CertifyInfo":
        """The structure at the cursor."""
        name = reader.tpm2b(NAME_BYTES_MAX, "certified Name")
        return cls(name=name, qualified_name=reader.tpm2b(NAME_BYTES_MAX, "certified qualifiedName"))

    def encode(self) -> bytes:
        """TPMS_CERTIFY_INFO as bytes."""
        return Writer().tpm2b(self.name).tpm2b(self.qualified_name).done()


@dataclass(frozen=True, slots=True, kw_only=True)
class NvCertifyInfo:
    """TPMS_NV_CERTIFY_INFO: Name of an index and `contents` from `offset` on (Part 2, 10.12)."""

    index_name: bytes
    offset: int
    contents: bytes

    @classmethod
    def read(cls, reader: Reader) -> "NvCertifyInfo":
        """The structure at the cursor."""
        return cls(
            index_name=reader.tpm2b(NAME_BYTES_MAX, "indexName"),
            offset=reader.u16("offset of NV contents"),
            contents=reader.tpm2b(_NV_CONTENTS_BYTES_MAX, "nvContents"),
        )

    def encode(self) -> bytes:
        """TPMS_NV_CERTIFY_INFO as bytes."""
        return Writer().tpm2b(self.index_name).u16(self.offset).tpm2b(self.contents).done()


Attested = QuoteInfo | CertifyInfo | NvCertifyInfo
_ATTESTED: dict[int, type[Attested]] = {
    StructureTag.ATTEST_QUOTE: QuoteInfo,
    StructureTag.ATTEST_CERTIFY: CertifyInfo,
    StructureTag.ATTEST_NV: NvCertifyInfo,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Attest:
    """TPMS_ATTEST of a quote, a Certify or an NV_Certify; decoded only, says nothing about its signature."""

    type: int
    qualified_signer: bytes
    extra_data: bytes
    clock_info: ClockInfo
    firmware_version: int
    attested: Attested

    @classmethod
    def decode(cls, data: bytes) -> "Attest":
        """TPMS_ATTEST and nothing after it; DecodeError unless a TPM could have made it."""
        reader = Reader(data)
        magic, tag = reader.fixed(_HEAD, "magic and type of TPMS_ATTEST")
        if magic != TPM_GENERATED_VALUE:
            raise DecodeError("magic", expected=f"0x{TPM_GENERATED_VALUE:08x}", got=f"0x{magic:08x}")
        attested = _ATTESTED.get(tag)
        if attested is None:
            raise DecodeError("type of TPMS_ATTEST", expected="quote, certify or NV", got=f"0x{tag:04x}")
        attest = cls(
            type=tag,
            qualified_signer=reader.tpm2b(NAME_BYTES_MAX, "qualifiedSigner"),
            extra_data=reader.tpm2b(NONCE_BYTES_MAX, "extraData"),
            clock_info=ClockInfo.read(reader),
            firmware_version=reader.fixed(_FIRMWARE_VERSION, "firmwareVersion")[0],
            attested=attested.read(reader),
        )
        reader.end("TPMS_ATTEST")
        return attest

    def encode(self) -> bytes:
        """TPMS_ATTEST as bytes; equal to what was decoded."""
        writer = Writer().u32(TPM_GENERATED_VALUE).u16(self.type)
        writer.tpm2b(self.qualified_signer).tpm2b(self.extra_data)
        writer.raw(self.clock_info.encode()).u64(self.firmware_version)
        return writer.raw(self.attested.encode()).done()

    @property
    def raw(self) -> bytes:
        """The bytes that the TPM signed."""
        return self.encode()
