"""Any message of this project as a tree: what is inside it is opened, changed in one place, and closed again.

Rule: nothing here knows a message by its name. Maps and lists, compact JWS, deterministic CBOR in bytes, and base64url
over it, are opened for as deep as they go; what cannot be opened is a leaf. So a field that is added to a message is altered
without being named.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from joserfc.util import urlsafe_b64decode

from messages.encoding import decode_deterministic, encode_deterministic
from messages.errors import MessageError
from standards.rats.fields import encode_base64url

HEADER, CLAIMS, SIGNATURE = "header", "claims", "signature"
"""The three parts of a token, as they stand in a path."""
INNER = "inside"
BYTES_MAX = 1 << 22
_BASE64_MIN = 8
Path = tuple[str | int, ...]
Rebuild = Callable[[dict[Any, Any]], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The members of something, and how it is made of them again."""

    members: dict[Any, Any]
    close: Rebuild
    is_token: bool = False


def opened(value: object) -> Opened | None:
    """What is inside a value; None for a leaf."""
    if isinstance(value, Mapping):
        return Opened(members=dict(value), close=dict)
    if isinstance(value, list | tuple):
        return Opened(members=dict(enumerate(value)), close=lambda members: list(members.values()))
    if isinstance(value, bytes):
        return _opened_bytes(value)
    return _opened_text(value) if isinstance(value, str) else None


def nodes(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    """Every place of a tree with what stands there, the whole first."""
    yield path, value
    inside = opened(value)
    if inside is not None:
        for name, member in inside.members.items():
            yield from nodes(member, (*path, name))


def at(value: object, path: Path) -> object:
    """What stands at a place. Raises LookupError where there is no such place."""
    for name in path:
        inside = opened(value)
        if inside is None:
            raise LookupError(path)
        value = inside.members[name]
    return value


def changed(value: object, path: Path, change: Callable[[dict[Any, Any]], None]) -> Any:
    """The tree with the members at a place changed by `change`, everything around it closed again."""
    inside = opened(value)
    if inside is None:
        raise LookupError(path)
    members = dict(inside.members)
    if path:
        members[path[0]] = changed(members[path[0]], path[1:], change)
    else:
        change(members)
    return inside.close(members)


def replaced(value: object, path: Path, new: object) -> Any:
    """The tree with something else at a place."""
    if not path:
        return new

    def put(members: dict[Any, Any]) -> None:
        members[path[-1]] = new

    return changed(value, path[:-1], put)


def shown(path: Path) -> str:
    """A place for people."""
    return ".".join(str(name) for name in path) or "the whole"


def as_base64(text: str) -> tuple[bytes, Callable[[bytes], str]] | None:
    """The bytes that a text stands for, and how others are written the same way; None for a text that is one."""
    if len(text) < _BASE64_MIN:
        return None
    for read, write in ((_base64url, encode_base64url), (_base64, _as_text)):
        try:
            octets = read(text)
        except ValueError:
            continue
        if write(octets) == text:
            return octets, write
    return None


def _opened_bytes(value: bytes) -> Opened | None:
    try:
        inner = decode_deterministic(value, bytes_max=BYTES_MAX)
    except MessageError:
        return None
    if not isinstance(inner, dict | list) or not inner:
        return None
    return Opened(members={INNER: inner}, close=lambda members: _encoded(members, otherwise=value))


def _encoded(members: dict[Any, Any], *, otherwise: bytes) -> bytes:
    try:
        return encode_deterministic(members[INNER])
    except (MessageError, KeyError):
        return otherwise[:-1]  # what cannot be written in the encoding is a torn message


def _opened_text(value: str) -> Opened | None:
    segments = value.split(".")
    if len(segments) == len((HEADER, CLAIMS, SIGNATURE)):
        try:
            header, claims = (json.loads(_base64url(each)) for each in segments[:2])
            signature = _base64url(segments[2])
        except ValueError:
            return None
        return Opened(
            members={HEADER: header, CLAIMS: claims, SIGNATURE: signature}, close=_token, is_token=True
        )
    written = as_base64(value)
    inside = None if written is None else _opened_bytes(written[0])
    if written is None or inside is None:
        return None
    return Opened(members=inside.members, close=lambda members: written[1](inside.close(members)))


def _token(members: dict[Any, Any]) -> str:
    parts = [
        encode_base64url(json.dumps(members[name], separators=(",", ":"), ensure_ascii=False).encode())
        for name in (HEADER, CLAIMS)
        if name in members
    ]
    signature = members.get(SIGNATURE)
    return ".".join([*parts, *([encode_base64url(signature)] if isinstance(signature, bytes) else [])])


def _base64url(text: str) -> bytes:
    return bytes(urlsafe_b64decode(text.encode("ascii")))


def _base64(text: str) -> bytes:
    return b64decode(text, validate=True)


def _as_text(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")
