"""What an entry says: digest, name, signature, buffer.

Rule: read only what a replay has proven; of a violation and of a template's name nothing is (see the package). The fields must fill the template data exactly; a name is bytes without NUL,
whatever else they are; a digest has the size of its algorithm.
Source: Linux, Documentation/security/IMA-templates.rst; ima_template_lib.c; crypto/hash_info.c (names and sizes).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from standards.ima.entries import SHA1_SIZE, ImaEntry, ImaList
from standards.ima.errors import ImaError
from standards.ima.templates import BUILT_IN

BOOT_AGGREGATE: Final = b"boot_aggregate"

DIGEST_SIZES: Final = MappingProxyType(
    {"md5": 16, "md4": 16, "rmd128": 16, "tgr128": 16}
    | {"sha1": 20, "rmd160": 20, "tgr160": 20, "tgr192": 24, "sha224": 28, "rmd320": 40}
    | dict.fromkeys(("sha256", "rmd256", "wp256", "sm3", "sm3-256", "streebog256", "sha3-256"), 32)
    | dict.fromkeys(("sha384", "wp384", "sha3-384"), 48)
    | dict.fromkeys(("sha512", "wp512", "streebog512", "sha3-512"), 64)
)
"""Bytes of a digest by the kernel's name of the algorithm."""

_SEPARATOR: Final = b":\x00"
_LENGTH: Final = 4
_SHOWN_MAX: Final = 32
_PLAIN_START: Final = (len("sha256") + 2 + 32).to_bytes(_LENGTH, "little") + b"sha256" + _SEPARATOR
_FILE_TEMPLATE: Final = BUILT_IN[b"ima-ng"]
_PLAIN_NAME: Final = len(_PLAIN_START) + 32 + _LENGTH
_ALGORITHMS: Final[Mapping[str, Mapping[bytes, tuple[str | None, int]]]] = MappingProxyType(
    {
        "d-ng": {name.encode("ascii"): (name, size) for name, size in DIGEST_SIZES.items()},
        "d-ngv2": {
            f"{kind}:{name}".encode("ascii"): (prefix + name, size)
            for name, size in DIGEST_SIZES.items()
            for kind, prefix in (("ima", ""), ("verity", "verity:"))
        },
    }
)
"""Of each field with a digest: its prefix -> algorithm (see `Measured`) and bytes of a digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What an entry measured; None (algorithm, digest, name) or nothing where its template has no such field.

    `algorithm` is the kernel's name, `verity:` in front where the digest is fs-verity's and not the file's.
    `fields` are the bytes of every field.
    """

    algorithm: str | None
    digest: bytes | None
    name: bytes | None
    signature: bytes
    buffer: bytes
    fields: Mapping[str, bytes]


def read_measured(entry: ImaEntry) -> Measured:
    """Read the template data of an entry.

    Raises:
        ImaError: they are not the fields of its template.
    """
    fields = _fields(entry)
    algorithm, digest = _digest(fields, entry=entry)
    return Measured(
        algorithm=algorithm,
        digest=digest,
        name=_name(fields, entry=entry),
        signature=fields.get("sig", b""),
        buffer=fields.get("buf", b""),
        fields=MappingProxyType(fields),
    )


def file_data(name: bytes, *, digest: bytes) -> bytes:
    """Template data of `ima-ng` for a file with this SHA-256: what the kernel extends for it, and nothing else."""
    return _PLAIN_START + digest + (len(name) + 1).to_bytes(_LENGTH, "little") + name + b"\x00"


def other_data(entries: ImaList, places: Iterable[int]) -> list[int]:
    """Those of the places whose entry is not, well-formed to the last byte, `ima-ng` of a file with a SHA-256.

    One loop without a call of its own: ten thousand entries come with a quote, and nearly all of them are such.
    """
    templates, of_entries = entries.templates, entries.data
    others, to_number, begins, name = [], int.from_bytes, len(_PLAIN_START), _PLAIN_NAME
    for place in places:
        data = of_entries[place]
        end = len(data) - 1
        if (
            templates[place] is not _FILE_TEMPLATE
            or data[:begins] != _PLAIN_START
            or data.find(b"\x00", name) != end
            or to_number(data[name - _LENGTH : name], "little") != end + 1 - name
        ):
            others.append(place)
    return others


def shown_name(name: bytes) -> str:
    """A name for people: one line of printable characters, everything else (and the backslash) escaped."""
    text = name.decode("utf-8", "surrogateescape")
    return "".join(each if each.isprintable() and each != "\\" else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # noqa: PLR2004 - the range of "surrogateescape": a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def _fields(entry: ImaEntry) -> dict[str, bytes]:
    if entry.template.legacy:
        name = entry.data[SHA1_SIZE:].rstrip(b"\x00") + b"\x00"
        return {"d": entry.data[:SHA1_SIZE], "n": name}
    fields: dict[str, bytes] = {}
    position = 0
    for field in entry.template.fields:
        start = position + _LENGTH
        position = start + int.from_bytes(entry.data[start - _LENGTH : start], "little")
        if max(start, position) > len(entry.data):
            left = len(entry.data) - start
            raise _malformed(f"field {field}", f"{position - start} bytes", f"{left} left", entry)
        fields[field] = entry.data[start:position]
    if position != len(entry.data):
        raise _malformed("template data", "their end", f"{len(entry.data) - position} more bytes", entry)
    return fields


def _digest(fields: Mapping[str, bytes], *, entry: ImaEntry) -> tuple[str | None, bytes | None]:
    """Algorithm and digest of the first field that holds the digest of what was measured."""
    if "d" in fields:
        if len(fields["d"]) != SHA1_SIZE:
            raise _malformed("field d", f"{SHA1_SIZE} bytes", str(len(fields["d"])), entry)
        return "sha1", fields["d"]
    field = next((each for each in ("d-ng", "d-ngv2") if each in fields), None)
    if field is None:
        return None, None
    prefix, separator, digest = fields[field].partition(_SEPARATOR)
    algorithm, size = _ALGORITHMS[field].get(prefix, (None, 0))
    if not separator or algorithm is None:
        got = prefix[:_SHOWN_MAX].decode("ascii", "backslashreplace")
        raise _malformed(f"field {field}", "a hash algorithm, a colon and NUL", repr(got), entry)
    # of a violation, and of a boot without a TPM, the kernel writes twenty zeros under any name
    if len(digest) != size and digest != bytes(SHA1_SIZE):
        raise _malformed(f"field {field}", f"{size} bytes of {algorithm}", str(len(digest)), entry)
    return algorithm, digest


def _name(fields: Mapping[str, bytes], *, entry: ImaEntry) -> bytes | None:
    """The name without its NUL; an absent one is no bytes at all."""
    data = fields.get("n-ng", fields.get("n"))
    if data and data.find(b"\x00") != len(data) - 1:
        raise _malformed("name", "one NUL, at its end", "another", entry)
    return None if data is None else data[:-1]


def _malformed(what: str, expected: str, got: str, entry: ImaEntry) -> ImaError:
    return ImaError(what=what, expected=expected, got=got, entry=entry.number)
