"""Tickets: the TPM's notes to itself, keyed by the proof of a hierarchy (Part 1, 11.4.6.3; Part 2, 10.7)."""

import hmac as constant_time
from dataclasses import dataclass

from lab.software_tpm.machine import Machine
from standards.tpm2.constants import DIGEST_BYTES_MAX, Algorithm, Handle, StructureTag
from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import hmac_digest
from standards.tpm2.marshal import Reader, Writer

_HIERARCHIES = (Handle.OWNER, Handle.ENDORSEMENT, Handle.PLATFORM, Handle.NULL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """TPMT_TK_CREATION, _VERIFIED, _AUTH or _HASHCHECK; an empty digest is the NULL ticket."""

    tag: int
    hierarchy: int
    digest: bytes

    @classmethod
    def read(cls, reader: Reader, *, tag: StructureTag) -> "Ticket":
        """The ticket at the cursor, which must have `tag`."""
        found = reader.u16("tag of a ticket")
        if found != tag:
            raise DecodeError("tag of a ticket", expected=f"0x{tag:04x}", got=f"0x{found:04x}")
        hierarchy = reader.u32("hierarchy of a ticket")
        if hierarchy not in _HIERARCHIES:
            raise DecodeError("hierarchy of a ticket", expected="a hierarchy", got=f"0x{hierarchy:08x}")
        return cls(
            tag=found, hierarchy=hierarchy, digest=reader.tpm2b(DIGEST_BYTES_MAX, "digest of a ticket")
        )

    def encode(self) -> bytes:
        """The ticket as bytes."""
        return Writer().u16(self.tag).u32(self.hierarchy).tpm2b(self.digest).done()


def make_ticket(machine: Machine, tag: StructureTag, *, hierarchy: int, content: bytes) -> Ticket:
    """A ticket over `content`; the NULL hierarchy gives none, since its proof ends with the next reset."""
    if hierarchy == Handle.NULL:
        return null_ticket(tag)
    return Ticket(tag=tag, hierarchy=hierarchy, digest=_mac(machine, tag, hierarchy, content))


def null_ticket(tag: StructureTag) -> Ticket:
    """The ticket that proves nothing."""
    return Ticket(tag=tag, hierarchy=Handle.NULL, digest=b"")


def is_ticket_valid(machine: Machine, ticket: Ticket, *, content: bytes) -> bool:
    """Whether this TPM made `ticket` over `content`, and its hierarchy has not been cleared since."""
    expected = _mac(machine, ticket.tag, ticket.hierarchy, content)
    return constant_time.compare_digest(expected, ticket.digest)


def _mac(machine: Machine, tag: int, hierarchy: int, content: bytes) -> bytes:
    proof = machine.hierarchy(hierarchy).proof
    return hmac_digest(Algorithm.SHA512, proof, tag.to_bytes(2, "big") + content)
