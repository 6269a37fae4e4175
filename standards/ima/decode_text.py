r"""Text of `ascii_runtime_measurements` -> `ImaList`.

Rule: the text is the weaker form: the kernel writes names into it as they are, so a file named with a line feed makes
lines that no kernel measured. Such a list is refused here where a line is no entry, and by its template digests
(`replay.verify_template_digests`) where it looks like one. Evidence should carry the binary form.
What is NOT checked here: as in `decode`.
Source: Linux, security/integrity/ima/ima_fs.c (ima_ascii_measurements_show), ima_template_lib.c (field_show).
"""

import re
import struct
from typing import Final

from standards.ima.decode import (
    ENTRIES_MAX,
    LEGACY_NAME_ROOM,
    LEGACY_NAME_SIZE_MAX,
    LIST_BYTES_MAX,
)
from standards.ima.entries import SHA1_SIZE, ImaList
from standards.ima.errors import ImaError
from standards.ima.templates import FIELDS, FieldForm, Template, read_template

_LINE: Final = re.compile(rb" ?([0-9]{1,2}) ([0-9a-f]{40}) ([^ \n]{1,128}) ([^\n]*)")
_HEXADECIMAL: Final = re.compile(rb"(?:[0-9a-f]{2})*")
_DECIMAL: Final = re.compile(rb"0|[1-9][0-9]{0,9}")
_NUMBERS: Final = {FieldForm.U16: struct.Struct("<H"), FieldForm.U32: struct.Struct("<I")}


def decode_text_list(
    data: bytes, *, first: int = 0, bytes_max: int = LIST_BYTES_MAX, entries_max: int = ENTRIES_MAX
) -> ImaList:
    """Decode a list, or the part of it that begins with entry `first` of its boot; each line ends in a line feed.

    Raises:
        ImaError: for bytes that are not lines of known templates, or too many of them.
    """
    if len(data) > bytes_max:
        raise ImaError(what="size", expected=f"at most {bytes_max} bytes", got=str(len(data)))
    if data and not data.endswith(b"\n"):
        raise ImaError(what="last line", expected="a line feed at its end", got="none")
    lines = data.split(b"\n")[:-1]
    if len(lines) > entries_max:
        raise ImaError(what="length", expected=f"at most {entries_max} entries", got=str(len(lines)))
    records = [_record(line, entry=first + place) for place, line in enumerate(lines)]
    pcrs, digests, templates, hashed = zip(*records, strict=True) if records else ((), (), (), ())
    return ImaList(first=first, pcrs=pcrs, template_digests=digests, templates=templates, data=hashed)


def _record(line: bytes, *, entry: int) -> tuple[int, bytes, Template, bytes]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise ImaError(
            what="line", expected="PCR, template digest, template, fields", got="another", entry=entry
        )
    pcr, digest, name, rest = match.groups()
    template = read_template(name, entry=entry)
    # the kernel writes "_" for a space in a name; a space that is there all the same can only be in the last field
    texts = rest.split(b" ", len(template.fields) - 1)
    if len(texts) != len(template.fields):
        got = str(len(texts))
        raise ImaError(what="fields", expected=f"{len(template.fields)} fields", got=got, entry=entry)
    fields = [_octets(field, text, entry=entry) for field, text in zip(template.fields, texts, strict=True)]
    record = int(pcr), bytes.fromhex(digest.decode("ascii")), template
    if template.legacy:
        return *record, _legacy_data(fields, entry=entry)
    return *record, b"".join(len(each).to_bytes(4, "little") + each for each in fields)


def _legacy_data(fields: list[bytes], *, entry: int) -> bytes:
    digest, name = fields
    if len(digest) != SHA1_SIZE or len(name) > LEGACY_NAME_SIZE_MAX + 1:
        expected = f"{SHA1_SIZE} bytes of digest and a name of at most {LEGACY_NAME_SIZE_MAX}"
        raise ImaError(what="fields", expected=expected, got=f"{len(digest)} and {len(name)}", entry=entry)
    return digest + name.ljust(LEGACY_NAME_ROOM, b"\x00")


def _octets(field: str, text: bytes, *, entry: int) -> bytes:
    """Data of one field from its text; an empty field is written as nothing."""
    form = FIELDS[field]
    if not text:
        return b""
    if form is FieldForm.TEXT:
        return text + b"\x00"
    if form in _NUMBERS:
        return _number(field, text, number=_NUMBERS[form], entry=entry)
    algorithm = b""
    if form is FieldForm.NAMED_DIGEST:
        algorithm, _, text = text.rpartition(b":")
        algorithm += b":\x00"
    if not _HEXADECIMAL.fullmatch(text):
        raise ImaError(what=f"field {field}", expected="lower-case hexadecimal", got="another", entry=entry)
    return algorithm + bytes.fromhex(text.decode("ascii"))


def _number(field: str, text: bytes, *, number: struct.Struct, entry: int) -> bytes:
    if _DECIMAL.fullmatch(text) and int(text) < 1 << 8 * number.size:
        return number.pack(int(text))
    raise ImaError(
        what=f"field {field}", expected=f"a number of {number.size} bytes", got="another", entry=entry
    )
