"""Portable executables as firmware measures them: sections, and the bytes that an Authenticode digest is over.

Rule: a bounded reader: every offset and size is checked against the file before a byte is taken, sections are counted, and
what is no well-formed image is refused. It says what is measured, not whether the image is signed by anybody.
Source: Microsoft, PE Format; Windows Authenticode Portable Executable Signature Format, "Calculating the PE Image Hash"; TCG
PC Client Platform Firmware Profile 1.06, section 10.2.3 (an image's digest in PCR 2 and 4 is this one).
"""

from dataclasses import dataclass
from typing import Final

from standards.boot_log.errors import BootLogError

SECTIONS_MAX: Final = 96  # as loaders of Windows have it
FILL_BYTES_MAX: Final = 1 << 20
_DOS_MAGIC, _PE_MAGIC = b"MZ", b"PE\x00\x00"
_PE_OFFSET_AT: Final = 0x3C
_COFF_SIZE, _SECTION_SIZE = 20, 40
_PE32, _PE32_PLUS = 0x10B, 0x20B
_CHECKSUM_AT, _HEADERS_SIZE_AT = 64, 60
_DIRECTORY_COUNT_AT: Final = {_PE32: 92, _PE32_PLUS: 108}
_CERTIFICATE_TABLE: Final = 4
_DIRECTORY_SIZE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section: its name, where its bytes are in the file, and how many of memory it takes."""

    name: str
    offset: int
    size: int
    memory_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A well-formed image. `ranges` are (from, to) of the file, in the order in which its digest takes them."""

    data: bytes
    sections: tuple[Section, ...]
    ranges: tuple[tuple[int, int], ...]

    @property
    def measured(self) -> bytes:
        """The bytes that the Authenticode digest is over: all but checksum, certificate table and its entry."""
        return b"".join(self.data[start:end] for start, end in self.ranges)

    def content(self, section: Section) -> bytes:
        """A section as it is in memory: cut or filled with zeros to its size there.

        Raises BootLogError: it is filled with more zeros than the sections that are measured ever need.
        """
        if section.memory_size - section.size > FILL_BYTES_MAX:
            raise _refused(f"section {section.name}", f"up to {FILL_BYTES_MAX} zeros", "more")
        stored = self.data[section.offset : section.offset + min(section.size, section.memory_size)]
        return stored.ljust(section.memory_size, b"\x00")


def decode_image(data: bytes) -> Image:
    """Read an image's headers.

    Raises:
        BootLogError: for anything but a PE32 or PE32+ image that is whole.
    """
    if data[:2] != _DOS_MAGIC:
        raise _refused("image", "a portable executable (MZ)", "another file")
    header = _u32(data, _PE_OFFSET_AT, "offset of the PE header")
    if _take(data, header, len(_PE_MAGIC), "PE header") != _PE_MAGIC:
        raise _refused("PE header", "PE", "another signature")
    coff = header + len(_PE_MAGIC)
    count, optional_size = _u16(data, coff + 2, "NumberOfSections"), _u16(data, coff + 16, "optional header")
    if not 1 <= count <= SECTIONS_MAX:
        raise _refused("NumberOfSections", f"1 to {SECTIONS_MAX}", str(count))
    optional = coff + _COFF_SIZE
    table = optional + optional_size
    certificates = _certificate_entry(data, optional, optional_size=optional_size)
    sections = tuple(_section(data, table + number * _SECTION_SIZE) for number in range(count))
    return Image(
        data=data,
        sections=sections,
        ranges=_ranges(
            data,
            optional,
            certificates=certificates,
            sections=sections,
            headers_end=table + count * _SECTION_SIZE,
        ),
    )


def _certificate_entry(data: bytes, optional: int, *, optional_size: int) -> int | None:
    """Where the data directory has its entry of the certificate table, None where it has none."""
    magic = _u16(data, optional, "magic of the optional header")
    count_at = _DIRECTORY_COUNT_AT.get(magic)
    if count_at is None:
        raise _refused("optional header", "PE32 or PE32+", f"magic 0x{magic:04x}")
    entry = count_at + 4 + _CERTIFICATE_TABLE * _DIRECTORY_SIZE
    if _u32(data, optional + count_at, "NumberOfRvaAndSizes") <= _CERTIFICATE_TABLE:
        return None
    if entry + _DIRECTORY_SIZE > optional_size:
        raise _refused("optional header", "room for the data directory", f"{optional_size} bytes")
    return optional + entry


def _section(data: bytes, at: int) -> Section:
    row = _take(data, at, _SECTION_SIZE, "section header")
    name = row[:8].rstrip(b"\x00")
    if not name.isascii() or not name.decode("ascii").isprintable():
        raise _refused("section header", "a printable name", "another one")
    size, offset = int.from_bytes(row[16:20], "little"), int.from_bytes(row[20:24], "little")
    memory_size = int.from_bytes(row[8:12], "little")
    if size:
        _take(data, offset, size, f"section {name.decode('ascii')}")
    return Section(name=name.decode("ascii"), offset=offset, size=size, memory_size=memory_size)


def _ranges(
    data: bytes, optional: int, *, certificates: int | None, sections: tuple[Section, ...], headers_end: int
) -> tuple[tuple[int, int], ...]:
    """What is hashed: headers without two fields, sections by their place in the file, and what follows them."""
    headers = _u32(data, optional + _HEADERS_SIZE_AT, "SizeOfHeaders")
    if not headers_end <= headers <= len(data):
        raise _refused("SizeOfHeaders", f"{headers_end} to {len(data)}", str(headers))
    checksum = optional + _CHECKSUM_AT
    signature_size = 0
    ranges = [(0, checksum)]
    if certificates is None:
        ranges.append((checksum + 4, headers))
    else:
        ranges += [(checksum + 4, certificates), (certificates + _DIRECTORY_SIZE, headers)]
        signature_size = _u32(data, certificates + 4, "size of the certificate table")
        starts = _u32(data, certificates, "certificate table")
        if signature_size and starts + signature_size != len(data):
            raise _refused("certificate table", "the end of the file", "another place")
    hashed = headers
    for each in sorted((each for each in sections if each.size), key=lambda each: each.offset):
        if each.offset < hashed:
            raise _refused(f"section {each.name}", "sections that do not overlap", "one inside of another")
        ranges.append((each.offset, each.offset + each.size))
        hashed = each.offset + each.size
    total = headers + sum(each.size for each in sections)
    if total < len(data) - signature_size:
        ranges.append((total, len(data) - signature_size))
    elif total > len(data) - signature_size:
        raise _refused("certificate table", "room for every section before it", "an overlap")
    return tuple(ranges)


def _take(data: bytes, at: int, size: int, what: str) -> bytes:
    if at + size > len(data):
        raise _refused(what, f"{size} bytes at {at}", f"a file of {len(data)}")
    return data[at : at + size]


def _u16(data: bytes, at: int, what: str) -> int:
    return int.from_bytes(_take(data, at, 2, what), "little")


def _u32(data: bytes, at: int, what: str) -> int:
    return int.from_bytes(_take(data, at, 4, what), "little")


def _refused(what: str, expected: str, got: str) -> BootLogError:
    return BootLogError(what=what, expected=expected, got=got)
