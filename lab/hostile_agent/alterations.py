"""Everything that can be done to one message: each of its places altered, parts of another put in, tokens forged.

Rule: for each place of a tree, by its kind, and for no message by its name. An alteration is a changed copy with a name that
says what was done where; what it must lead to is not said here.
"""

import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab.hostile_agent.structure import (
    CLAIMS,
    HEADER,
    SIGNATURE,
    Path,
    as_base64,
    at,
    changed,
    nodes,
    opened,
    replaced,
    shown,
)
from lab.rogue import rogue_signer
from standards.pki.extensions import OperatorRole
from standards.pki.fingerprints import decode_certificate

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_HALF = 32
UNKNOWN = "unknown-member"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alteration:
    """What is done to a message; `change` gives the changed copy of it, or of another message of the same shape."""

    what: str
    change: Callable[[Any], Any]


def altered(message: object, *, grows: bool = True) -> Iterator[Alteration]:
    """Each place of a message: its value changed, removed, of another kind; each map with one member more.

    `grows` is False where the outermost map is no message itself.
    """
    for path, value in nodes(message):
        if path:
            for what, change in _value_changes(value):
                yield Alteration(what=f"{shown(path)}: {what}", change=partial(_revalued, path, change))
            yield Alteration(what=f"{shown(path)}: removed", change=partial(_removed, path))
        inside = opened(value)
        if inside is not None and isinstance(value, dict) and (path or grows):
            yield Alteration(what=f"{shown(path)}: one more", change=partial(_grown, path))


def spliced(message: object, other: object) -> Iterator[Alteration]:
    """A message with one part of another one of its type, for each part that both have and that differs."""
    for path, value in nodes(message):
        if not path:
            continue
        try:
            theirs = at(other, path)
        except LookupError:
            continue
        change = partial(_put, path, theirs)
        if theirs != value and change(message) != other:  # all of another one is no mixture
            yield Alteration(what=f"{shown(path)}: of another", change=change)


def forged(message: object) -> Iterator[Alteration]:
    """Each token of a message: without a signature, with a public key as a secret, and by a signer of the attacker's own."""
    for path, value in nodes(message):
        inside = opened(value)
        if inside is not None and inside.is_token and isinstance(value, str):
            for what, token in _forgeries(value, inside.members):
                yield Alteration(what=f"{shown(path)}: {what}", change=partial(_put, path, token))


def rewritten(message: object) -> Iterator[Alteration]:
    """Each token with the other signature that anybody can make of a good one, (r, n - s): the same word."""
    for path, value in nodes(message):
        inside = opened(value)
        if inside is not None and inside.is_token:
            yield Alteration(
                what=f"{shown(path)}: (r, n - s)",
                change=partial(_revalued, (*path, SIGNATURE), _other_signature),
            )


def _revalued(path: Path, change: Callable[[Any], Any], message: object) -> Any:
    return replaced(message, path, change(at(message, path)))


def _put(path: Path, new: object, message: object) -> Any:
    return replaced(message, path, new)


def _removed(path: Path, message: object) -> Any:
    return changed(message, path[:-1], lambda members: members.pop(path[-1]))


def _grown(path: Path, message: object) -> Any:
    return changed(message, path, lambda members: members.update({_new_key(members): 0}))


def _other_signature(signature: bytes) -> bytes:
    s = P256_ORDER - int.from_bytes(signature[_HALF:], "big")
    return signature[:_HALF] + s.to_bytes(_HALF, "big")


def _forgeries(token: str, members: dict[str, Any]) -> Iterator[tuple[str, str]]:
    header, claims = members[HEADER], members[CLAIMS]
    yield "alg none", _part(token, {**header, "alg": "none"}, b"")
    leaf = _leaf(header)
    public = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    unsigned = _part(token, {**header, "alg": "HS256"}, b"")
    mac = hmac.digest(public, unsigned.rpartition(".")[0].encode(), sha256)
    yield "HS256 with the public key", _part(token, {**header, "alg": "HS256"}, mac)
    yield "a signature of zeros", _part(token, header, bytes(2 * _HALF))
    role = OperatorRole.of(leaf)
    rogue = rogue_signer(role.role if role else "sho", role.id if role else "sho-1")
    yield "by a rogue of the same name", rogue.sign(claims, typ=header["typ"])
    own = rogue.sign(claims, typ=header["typ"])
    yield "signed by a rogue, with the genuine x5c", replaced(own, (HEADER, "x5c"), header["x5c"])


def _part(token: str, header: dict[str, Any], signature: bytes) -> str:
    return str(replaced(replaced(token, (HEADER,), header), (SIGNATURE,), signature))


def _leaf(header: dict[str, Any]) -> x509.Certificate:
    written = as_base64(header["x5c"][0])
    if written is None:
        raise LookupError("x5c")
    return decode_certificate(written[0])


def _value_changes(value: object) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Other values in place of one, by its kind; each differs from it."""
    if isinstance(value, str) and (written := as_base64(value)) is not None:
        for what, change in _byte_changes(written[0]):
            yield what, partial(_in_base64, change)
    elif isinstance(value, bytes):
        yield from _byte_changes(value)
    elif isinstance(value, str):
        yield "another text", lambda text: text[:-1] + ("y" if text.endswith("x") else "x")
        if value:
            yield "empty", lambda _: ""
    elif isinstance(value, bool):
        yield "the other", lambda is_so: not is_so
    elif isinstance(value, int):
        yield "one more", lambda number: number + 1
        yield "very large", lambda _: (1 << 62) + 1
        yield "zero", lambda number: 0 if number else 2
    elif isinstance(value, list) and value:
        yield "the last left out", lambda items: items[:-1]
        yield "the first twice", lambda items: [items[0], *items]
    yield "of another kind", lambda of: 0 if isinstance(of, str | bytes | list | dict) else "0"


def _byte_changes(value: bytes) -> Iterator[tuple[str, Callable[[bytes], bytes]]]:
    for what, place in (("first", 0), ("middle", len(value) // 2), ("last", -1)):
        if value:
            yield f"{what} byte", partial(_flipped, place)
    yield "one byte more", lambda octets: octets + b"\x00"
    if value:
        yield "cut in half", lambda octets: octets[: len(octets) // 2]
    if len(value) > 1:
        yield "empty", lambda _: b""


def _flipped(place: int, octets: bytes) -> bytes:
    place %= len(octets)
    return octets[:place] + bytes([octets[place] ^ 1]) + octets[place + 1 :]


def _in_base64(change: Callable[[bytes], bytes], text: str) -> str:
    written = as_base64(text)
    return text + "=" if written is None else written[1](change(written[0]))


def _new_key(members: dict[Any, Any]) -> Any:
    """A key that is not there, of the kind of the others."""
    if members and all(isinstance(key, int) for key in members):
        return max(members) + 1
    return UNKNOWN
