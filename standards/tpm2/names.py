"""Names: what an object or NV index *is*, as a digest of its public area (Part 1, 16).

One rule: a Name is always recomputed from the public area, never taken from whoever sent it.
"""

from standards.tpm2.hashing import digest
from standards.tpm2.marshal import Reader, Writer


def object_name(name_algorithm: int, public_area: bytes) -> bytes:
    """Name of an object: nameAlg || H(TPMT_PUBLIC) (Part 1, 16). DecodeError for SHA-1 and unknown hashes."""
    return Writer().u16(name_algorithm).raw(digest(name_algorithm, public_area)).done()


def nv_name(name_algorithm: int, nv_public_area: bytes) -> bytes:
    """Name of an NV index: nameAlg || H(TPMS_NV_PUBLIC) (Part 1, 16)."""
    return object_name(name_algorithm, nv_public_area)


def handle_name(handle: int) -> bytes:
    """Name of an entity without a public area (hierarchy, PCR, session): its handle (Part 1, 16)."""
    return handle.to_bytes(4, "big")


def qualified_name(parent: bytes | int, name: bytes) -> bytes:
    """Qualified Name below `parent`: nameAlg || H(QN_parent || Name) (Part 1, 16).

    `parent` is the parent's Qualified Name, or the handle of a hierarchy for a primary object.
    """
    above = handle_name(parent) if isinstance(parent, int) else parent
    name_algorithm = Reader(name).u16("nameAlg of the Name")
    return Writer().u16(name_algorithm).raw(digest(name_algorithm, above + name)).done()
