"""Tickets: what a TPM gives itself to remember, such as a verified signature (Part 2, 10.7)."""

from dataclasses import dataclass

from standards.tpm2.constants import DIGEST_BYTES_MAX, Handle, StructureTag
from standards.tpm2.marshal import Reader, Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """TPMT_TK_VERIFIED, TPMT_TK_AUTH and their kin; valid in the TPM that made it, until TPM2_Clear."""

    tag: int
    hierarchy: int
    digest: bytes

    @classmethod
    def null(cls, tag: StructureTag) -> "Ticket":
        """The ticket that vouches for nothing."""
        return cls(tag=tag, hierarchy=Handle.NULL, digest=b"")

    @classmethod
    def read(cls, reader: Reader) -> "Ticket":
        """The ticket at the cursor."""
        tag, hierarchy = reader.u16("tag of the ticket"), reader.u32("hierarchy of the ticket")
        return cls(
            tag=tag, hierarchy=hierarchy, digest=reader.tpm2b(DIGEST_BYTES_MAX, "digest of the ticket")
        )

    @classmethod
    def decode(cls, data: bytes) -> "Ticket":
        """A ticket and nothing after it: one may be kept on disk."""
        reader = Reader(data)
        ticket = cls.read(reader)
        reader.end("ticket")
        return ticket

    def encode(self) -> bytes:
        """The ticket as bytes."""
        return Writer().u16(self.tag).u32(self.hierarchy).tpm2b(self.digest).done()
