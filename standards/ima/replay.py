"""How many entries of a list a quoted PCR proves, and whether the list's own digests are true (A22).

Rule: what is extended is always computed anew from the template data; the list's SHA-1 digests say only which entries
are violations. Entries for other PCRs are passed over, so they are never proven by this one.
Theory: a state (`Replayed`) is how far a boot's list was replayed, and the value there. From it the next quote of the
same boot costs what its new entries cost. That it *is* the same boot (resetCount of the quote) is the caller's to know.
Source: Linux, security/integrity/ima/ima_queue.c (ima_add_template_entry, ima_pcr_extend), ima_crypto.c.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Final

from standards.ima.entries import IMA_PCR, SHA1_SIZE, VIOLATION, ImaList
from standards.ima.errors import ImaError

SHA1: Final = "sha1"
BANK_SIZES: Final[Mapping[str, int]] = MappingProxyType({SHA1: 20, "sha256": 32, "sha384": 48, "sha512": 64})
"""Banks by name, with the size of their digests."""

_REGISTERS_BEFORE_KERNEL_5_8: Final = 8
_REGISTERS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """The first `count` entries of a boot's list lead to `value` of the PCR."""

    count: int
    value: bytes


def replayed_prefix(
    entries: ImaList,
    target: bytes,
    *,
    bank: str,
    start: Replayed | None = None,
    pcr: int = IMA_PCR,
    padded_sha1: bool = False,
) -> Replayed | None:
    """The shortest prefix that reaches `target`; None where no prefix does.

    `start` is where an earlier replay of the same boot's list ended, and `entries` begin there; else the list begins
    with the first entry and the PCR with zeros. `padded_sha1` is the rule of kernels before 5.8, which extended every
    bank with the SHA-1 digest, zeros behind it: it proves no more than SHA-1 does, so it must be asked for.

    Raises:
        ImaError: an unknown bank, or `entries` do not begin where `start` ended.
    """
    size = _size(bank)
    begun = start or Replayed(count=0, value=bytes(size))
    if entries.first != begun.count or len(begun.value) != size:
        raise ImaError(what="first entry", expected=f"{begun.count}, of bank {bank}", got=str(entries.first))
    value = begun.value
    if value == target:
        return begun
    fresh, hashed = hashlib.new(bank).copy, hashlib.new(SHA1 if padded_sha1 else bank).copy
    ones = (b"\xff" * (SHA1_SIZE if padded_sha1 else size)).ljust(size, b"\x00")
    rows = zip(entries.pcrs, entries.template_digests, entries.data, strict=True)
    for number, (entry_pcr, digest, data) in enumerate(rows, start=begun.count + 1):
        if entry_pcr != pcr:
            continue
        extended = ones
        if digest != VIOLATION:
            of_data = hashed()
            of_data.update(data)
            extended = of_data.digest()
        step = fresh()
        step.update(value + (extended.ljust(size, b"\x00") if padded_sha1 else extended))
        value = step.digest()
        if value == target:
            return Replayed(count=number, value=value)
    return None


def verify_template_digests(entries: ImaList, *, up_to: int | None = None) -> None:
    """See that the SHA-1 digest of each entry below number `up_to` (None: all) is that of its template data.

    Raises:
        ImaError: one is not; a violation, which has no digest, is passed over.
    """
    fresh = hashlib.sha1(usedforsecurity=False).copy
    count = len(entries) if up_to is None else max(up_to - entries.first, 0)
    rows = zip(entries.template_digests, entries.data, strict=True)
    for place, (digest, data) in enumerate(islice(rows, count)):
        of_data = fresh()
        of_data.update(data)
        if of_data.digest() != digest and digest != VIOLATION:
            number, got = entries.first + place, digest.hex()
            raise ImaError(what="template digest", expected=of_data.hexdigest(), got=got, entry=number)


def boot_aggregate(values: Mapping[int, bytes], *, bank: str, registers: int = _REGISTERS) -> bytes:
    """Digest of the boot PCRs (index -> value) that the kernel lists first, as `boot_aggregate`.

    `registers` is 10 (PCR 0 to 9), or 8 for the bank sha1 and for kernels before 5.8.

    Raises:
        ImaError: an unknown bank, another number of registers, or one whose value is missing or of another size.
    """
    size = _size(bank)
    if registers not in {_REGISTERS_BEFORE_KERNEL_5_8, _REGISTERS}:
        raise ImaError(what="boot_aggregate", expected="8 or 10 registers", got=str(registers))
    missing = [str(pcr) for pcr in range(registers) if len(values.get(pcr, b"")) != size]
    if missing:
        expected = f"values of {size} bytes of PCR 0 to {registers - 1}"
        raise ImaError(what="boot_aggregate", expected=expected, got=f"none of {', '.join(missing)}")
    return hashlib.new(bank, b"".join(values[pcr] for pcr in range(registers))).digest()


def _size(bank: str) -> int:
    size = BANK_SIZES.get(bank)
    if size is None:
        raise ImaError(what="PCR bank", expected=", ".join(BANK_SIZES), got=repr(bank))
    return size
