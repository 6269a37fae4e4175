"""TPML_PCR_SELECTION as a TPM takes it: banks that exist as hashes, bitmaps of exactly 24 bits (Part 2, 10.6.1)."""

from standards.tpm2.constants import Algorithm
from standards.tpm2.errors import DecodeError
from standards.tpm2.marshal import Reader
from standards.tpm2.structures import PcrSelection
from standards.tpm2.structures.pcr import SELECT_BYTES

PCR_HASHES = (Algorithm.SHA1, Algorithm.SHA256, Algorithm.SHA384, Algorithm.SHA512)
"""Hashes that may name a bank; which banks there are is another question."""


def read_selections(reader: Reader) -> tuple[PcrSelection, ...]:
    """The list at the cursor, at most one selection a hash."""
    count = reader.u32("count of PCR selections")
    if count > len(PCR_HASHES):
        raise DecodeError("count of PCR selections", expected=f"at most {len(PCR_HASHES)}", got=str(count))
    return tuple(_read_selection(reader) for _ in range(count))


def _read_selection(reader: Reader) -> PcrSelection:
    bank = reader.u16("hash of a PCR selection")
    if bank not in PCR_HASHES:
        raise DecodeError("hash of a PCR selection", expected="a hash of this TPM", got=f"0x{bank:04x}")
    size = reader.u8("sizeofSelect")
    if size != SELECT_BYTES:
        raise DecodeError("sizeofSelect", expected=str(SELECT_BYTES), got=str(size))
    bitmap = int.from_bytes(reader.take(size, "pcrSelect"), "little")
    return PcrSelection(bank=bank, indices=tuple(index for index in range(8 * size) if bitmap >> index & 1))
