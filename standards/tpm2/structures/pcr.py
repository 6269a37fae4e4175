"""PCR selections: which registers of which banks (Part 2, 10.6.1, 10.6.2, 10.9.7)."""

from dataclasses import dataclass, field
from functools import lru_cache
from struct import Struct

from standards.tpm2.errors import DecodeError
from standards.tpm2.marshal import Reader, Writer

SELECT_BYTES = 3
"""Bitmap of a PC Client TPM: 24 PCRs."""
_SELECT_BYTES_MAX = 32
_BANKS_MAX = 16
_SELECTIONS_KEPT = 256
_HEAD = Struct(">HB")


@dataclass(frozen=True, slots=True, kw_only=True)
class PcrSelection:
    """TPMS_PCR_SELECTION: a bank (TPM_ALG_ID of its hash) and ascending PCR indices.

    `select_bytes` is the size of the bitmap (sizeofSelect); selections that differ only there are equal.
    """

    bank: int
    indices: tuple[int, ...]
    select_bytes: int = field(default=SELECT_BYTES, compare=False)

    def __post_init__(self) -> None:
        if list(self.indices) != sorted(set(self.indices)):
            raise DecodeError("PCR selection", expected="ascending indices", got=str(self.indices))
        if self.indices and not 0 <= self.indices[0] <= self.indices[-1] < 8 * self.select_bytes:
            raise DecodeError(
                "PCR selection", expected=f"indices below {8 * self.select_bytes}", got=str(self.indices)
            )

    @classmethod
    def read(cls, reader: Reader) -> "PcrSelection":
        """The selection at the cursor."""
        bank, size = reader.fixed(_HEAD, "bank and sizeofSelect of a PCR selection")
        if size > _SELECT_BYTES_MAX:
            raise DecodeError("sizeofSelect", expected=f"at most {_SELECT_BYTES_MAX}", got=str(size))
        return _selection(bank, reader.take(size, "pcrSelect"))

    def encode(self) -> bytes:
        """TPMS_PCR_SELECTION as bytes."""
        bitmap = sum(1 << index for index in self.indices)
        select = bitmap.to_bytes(self.select_bytes, "little")
        return Writer().u16(self.bank).u8(self.select_bytes).raw(select).done()


@lru_cache(maxsize=_SELECTIONS_KEPT)
def _selection(bank: int, bitmap: bytes) -> PcrSelection:
    """A value by its bytes: a fleet is asked for the same few selections."""
    bits, size = int.from_bytes(bitmap, "little"), len(bitmap)
    indices = tuple([index for index in range(8 * size) if bits >> index & 1])
    return PcrSelection(bank=bank, indices=indices, select_bytes=size)


def read_pcr_selections(reader: Reader) -> tuple[PcrSelection, ...]:
    """TPML_PCR_SELECTION at the cursor; empty lists and doubled banks are for the checks to judge (A6)."""
    count = reader.u32("count of PCR selections")
    if count > _BANKS_MAX:
        raise DecodeError("count of PCR selections", expected=f"at most {_BANKS_MAX}", got=str(count))
    return tuple([PcrSelection.read(reader) for _ in range(count)])


def decode_pcr_selections(data: bytes) -> tuple[PcrSelection, ...]:
    """TPML_PCR_SELECTION and nothing after it."""
    reader = Reader(data)
    selections = read_pcr_selections(reader)
    reader.end("TPML_PCR_SELECTION")
    return selections


def encode_pcr_selections(selections: tuple[PcrSelection, ...]) -> bytes:
    """TPML_PCR_SELECTION as bytes."""
    writer = Writer().u32(len(selections))
    for selection in selections:
        writer.raw(selection.encode())
    return writer.done()
