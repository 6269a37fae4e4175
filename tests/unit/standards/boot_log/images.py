"""Small portable executables, made on purpose, and the digest that their makers would expect."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ALIGNMENT = 512
STUB = b"#### LoaderInfo: systemd-stub 255.4-1 ####\x00"


@dataclass(frozen=True, kw_only=True)
class Built:
    """The bytes of an image, and those of them that its digest is over, put together while it was built."""

    data: bytes
    measured: bytes


def image(
    sections: Mapping[str, bytes] | Sequence[tuple[str, bytes]],
    *,
    wide: bool = True,
    after: bytes = b"",
    signature: bytes = b"",
    memory: Mapping[str, int] | None = None,
) -> Built:
    """An image with these sections, something after them, and a certificate table."""
    rows = list(sections.items() if isinstance(sections, Mapping) else sections)
    directories = 16
    optional_size = (112 if wide else 96) + 8 * directories
    table_at = 64 + 4 + 20 + optional_size
    headers_size = _aligned(table_at + 40 * len(rows))
    bodies, table, offset = b"", b"", headers_size
    for name, content in rows:
        body = content.ljust(_aligned(len(content)), b"\x00")
        size = (memory or {}).get(name, len(content))
        table += struct.pack("<8sIIIIIIHHI", name.encode(), size, 0x1000, len(body), offset, 0, 0, 0, 0, 0x40)
        bodies, offset = bodies + body, offset + len(body)
    content_end = offset + len(after)
    optional = bytearray(optional_size)
    struct.pack_into("<H", optional, 0, 0x20B if wide else 0x10B)
    struct.pack_into("<I", optional, 60, headers_size)
    struct.pack_into("<I", optional, 64, 0xDEADBEEF)
    struct.pack_into("<I", optional, 108 if wide else 92, directories)
    entry = (112 if wide else 96) + 32
    struct.pack_into("<II", optional, entry, content_end if signature else 0, len(signature))
    dos = b"MZ".ljust(60, b"\x00") + struct.pack("<I", 64)
    coff = struct.pack("<HHIIIHH", 0x8664, len(rows), 0, 0, 0, optional_size, 0x2022)
    head = dos + b"PE\x00\x00" + coff
    tail = table.ljust(headers_size - table_at, b"\x00") + bodies + after
    covered = bytes(optional[:64]) + bytes(optional[68:entry]) + bytes(optional[entry + 8 :])
    return Built(data=head + bytes(optional) + tail + signature, measured=head + covered + tail)


def unified(**changed: bytes) -> dict[str, bytes]:
    """Sections of a unified kernel image, in an order that is not the order of measurement."""
    kernel = image({".text": b"kernel code"}).data
    parts = {".sdmagic": STUB, ".cmdline": b"root=/dev/vda ro", ".linux": kernel, ".initrd": b"initrd"}
    return parts | {f".{name}": content for name, content in changed.items()}


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
