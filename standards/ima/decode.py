"""Bytes of `binary_runtime_measurements` -> `ImaList`.

Rule: sizes are judged against what is left before anything is taken; the same bytes give the same list or `ImaError`,
and no other error; time and memory grow with the bytes alone. Numbers are little-endian, as every platform that this
project knows writes them, and others with `ima_canonical_fmt`.
What is NOT checked here: template digests and PCRs (`replay`), and what the template data say (`measured`), which
is read only of entries that a replay has proven.
Source: Linux, security/integrity/ima/ima_fs.c (ima_measurements_show).
"""

import struct
from typing import Final, NoReturn

from standards.ima.entries import SHA1_SIZE, ImaList
from standards.ima.errors import ImaError
from standards.ima.templates import BUILT_IN, LEGACY, TEMPLATE_NAME_SIZE_MAX, Template, read_template

LIST_BYTES_MAX: Final = 1 << 22
ENTRIES_MAX: Final = 50_000
LEGACY_NAME_SIZE_MAX: Final = 255
LEGACY_NAME_ROOM: Final = LEGACY_NAME_SIZE_MAX + 1

_HEADER: Final = struct.Struct("<I20sI")
_HEADER_SIZE: Final = _HEADER.size
_LENGTH: Final = 4
_LEGACY: Final = BUILT_IN[LEGACY.encode("ascii")]


def decode_binary_list(
    data: bytes, *, first: int = 0, bytes_max: int = LIST_BYTES_MAX, entries_max: int = ENTRIES_MAX
) -> ImaList:
    """Decode a list, or the part of it that begins with entry `first` of its boot; no bytes are no entries.

    Raises:
        ImaError: for bytes that are not whole entries of known templates, or too many of them.
    """
    if len(data) > bytes_max:
        raise ImaError(what="size", expected=f"at most {bytes_max} bytes", got=str(len(data)))
    pcrs: list[int] = []
    digests: list[bytes] = []
    of_entries: list[Template] = []
    hashed: list[bytes] = []
    templates: dict[bytes, Template] = dict(BUILT_IN)
    position, size = 0, len(data)
    usual, usual_name, usual_template = _HEADER, b"", _LEGACY
    # one loop over columns, without a call an entry: ten thousand entries come with a quote
    while position < size:
        if usual_name and position + usual.size <= size:  # most entries are of the template of the one before
            pcr, digest, name_size, name, data_size = usual.unpack_from(data, position)
            start = position + usual.size
            if name_size == len(usual_name) and name == usual_name and start + data_size <= size:
                position = start + data_size
                hashed.append(data[start:position])
                pcrs.append(pcr)
                digests.append(digest)
                of_entries.append(usual_template)
                continue
        start = position + _HEADER_SIZE
        if start > size:
            _cut("header", _HEADER_SIZE, size - position, first + len(pcrs))
        pcr, digest, name_size = _HEADER.unpack_from(data, position)
        name_end = start + name_size
        name = data[start:name_end]
        template = templates.get(name)
        if template is None:
            template = templates[name] = _template(name, name_size, entry=first + len(pcrs))
        if template is _LEGACY:
            position = _legacy_end(data, name_end, entry=first + len(pcrs))
            hashed.append(_legacy_data(data[name_end:position]))
        else:
            start = name_end + _LENGTH
            position = start + int.from_bytes(data[name_end:start], "little")
            if position > size:
                _cut("template data", position - name_end, size - name_end, first + len(pcrs))
            hashed.append(data[start:position])
            usual, usual_name, usual_template = struct.Struct(f"<I20sI{name_size}sI"), name, template
        pcrs.append(pcr)
        digests.append(digest)
        of_entries.append(template)
    if len(pcrs) > entries_max:
        _wrong("length", f"at most {entries_max} entries", len(pcrs), None)
    return ImaList(
        first=first,
        pcrs=tuple(pcrs),
        template_digests=tuple(digests),
        templates=tuple(of_entries),
        data=tuple(hashed),
    )


def entries_begin_at(data: bytes, number: int) -> int | None:
    """Where entry `number` of a whole list begins, its length where it has just so many; None where it has fewer.

    Raises:
        ImaError: what comes before is not whole entries of known templates.
    """
    position, size = 0, len(data)
    for entry in range(number):
        if position >= size:
            return None
        start = position + _HEADER_SIZE
        if start > size:
            _cut("header", _HEADER_SIZE, size - position, entry)
        name_size = _HEADER.unpack_from(data, position)[2]
        name_end = start + name_size
        template = _template(data[start:name_end], name_size, entry=entry)
        if template is _LEGACY:
            position = _legacy_end(data, name_end, entry=entry)
            continue
        start = name_end + _LENGTH
        position = start + int.from_bytes(data[name_end:start], "little")
        if position > size:
            _cut("template data", position - name_end, size - name_end, entry)
    return position


def _template(name: bytes, name_size: int, *, entry: int) -> Template:
    """A template that was not met before."""
    if not 0 < name_size <= TEMPLATE_NAME_SIZE_MAX:
        _wrong("template name size", f"1 to {TEMPLATE_NAME_SIZE_MAX}", name_size, entry)
    if len(name) != name_size:
        _cut("template name", name_size, len(name), entry)
    return read_template(name, entry=entry)


def _legacy_end(data: bytes, position: int, *, entry: int) -> int:
    """Where the data of the template `ima` end: digest, length of the name, name without its NUL."""
    start = position + SHA1_SIZE + _LENGTH
    if start > len(data):
        _cut("template data", SHA1_SIZE + _LENGTH, len(data) - position, entry)
    name_size = int.from_bytes(data[start - _LENGTH : start], "little")
    if name_size > LEGACY_NAME_SIZE_MAX:
        _wrong("name size", f"at most {LEGACY_NAME_SIZE_MAX}", name_size, entry)
    if start + name_size > len(data):
        _cut("name", name_size, len(data) - start, entry)
    return start + name_size


def _legacy_data(data: bytes) -> bytes:
    """The same as it is hashed."""
    return data[:SHA1_SIZE] + data[SHA1_SIZE + _LENGTH :].ljust(LEGACY_NAME_ROOM, b"\x00")


def _cut(what: str, expected: int, left: int, entry: int) -> NoReturn:
    raise ImaError(what=what, expected=f"{expected} bytes", got=f"{max(left, 0)} left", entry=entry)


def _wrong(what: str, expected: str, got: int, entry: int | None) -> NoReturn:
    raise ImaError(what=what, expected=expected, got=str(got), entry=entry)
