"""Tickets: the TPM's notes to itself, keyed by the proof of a hierarchy (Part 2, 10.7)."""

import hmac as constant_time

from lab.software_tpm.machine import Machine
from standards.tpm2.constants import Algorithm, Handle, StructureTag
from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import hmac_digest
from standards.tpm2.marshal import Reader
from standards.tpm2.structures import Ticket

_HIERARCHIES = (Handle.OWNER, Handle.ENDORSEMENT, Handle.PLATFORM, Handle.NULL)


def read_ticket(reader: Reader, *, tag: StructureTag) -> Ticket:
    """The ticket at the cursor, which must have `tag` and a hierarchy."""
    ticket = Ticket.read(reader)
    if ticket.tag != tag:
        raise DecodeError("tag of a ticket", expected=f"0x{tag:04x}", got=f"0x{ticket.tag:04x}")
    if ticket.hierarchy not in _HIERARCHIES:
        raise DecodeError("hierarchy of a ticket", expected="a hierarchy", got=f"0x{ticket.hierarchy:08x}")
    return ticket


def make_ticket(machine: Machine, tag: StructureTag, *, hierarchy: int, content: bytes) -> Ticket:
    """A ticket over `content`; the NULL hierarchy gives none, since its proof ends with the next reset."""
    if hierarchy == Handle.NULL:
        return Ticket.null(tag)
    return Ticket(tag=tag, hierarchy=hierarchy, digest=_mac(machine, tag, hierarchy, content))


def is_ticket_valid(machine: Machine, ticket: Ticket, *, content: bytes) -> bool:
    """Whether this TPM made `ticket` over `content`, and its hierarchy has not been cleared since."""
    expected = _mac(machine, ticket.tag, ticket.hierarchy, content)
    return constant_time.compare_digest(expected, ticket.digest)


def _mac(machine: Machine, tag: int, hierarchy: int, content: bytes) -> bytes:
    proof = machine.hierarchy(hierarchy).proof
    return hmac_digest(Algorithm.SHA512, proof, tag.to_bytes(2, "big") + content)
