"""The PCR file of tpm2-tools: C structures as they lie in memory, little-endian.

u32 count of selections, 16 x {u16 bank, u8 size, u8[3] bitmap, 2 padding}, u32 count of lists, then the lists of
at most 8 digests: u32 count, 8 x {u16 size, u8[64]}.
"""

import struct

from standards.tpm2.attestation import PcrValues
from standards.tpm2.structures import PcrSelection

_SELECTIONS = 16
_DIGESTS = 8
_DIGEST_BYTES = 64


def pcr_file(selection: tuple[PcrSelection, ...], values: PcrValues) -> bytes:
    """The file for `tpm2_checkquote -f`."""
    entries = [
        struct.pack("<HB3s2x", one.bank, 3, sum(1 << index for index in one.indices).to_bytes(3, "little"))
        for one in selection
    ]
    entries += [bytes(8)] * (_SELECTIONS - len(entries))
    digests = [values[one.bank][index] for one in selection for index in one.indices]
    lists = [digests[start : start + _DIGESTS] for start in range(0, len(digests), _DIGESTS)]
    head = struct.pack("<I", len(selection)) + b"".join(entries) + struct.pack("<I", len(lists))
    return head + b"".join(_digest_list(one) for one in lists)


def _digest_list(digests: list[bytes]) -> bytes:
    slots = [struct.pack(f"<H{_DIGEST_BYTES}s", len(one), one) for one in digests]
    slots += [bytes(2 + _DIGEST_BYTES)] * (_DIGESTS - len(digests))
    return struct.pack("<I", len(digests)) + b"".join(slots)
