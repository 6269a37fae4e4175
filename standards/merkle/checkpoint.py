"""Checkpoints: what a log has signed of its size and root (C2SP signed-note, tlog-checkpoint).

Rule: a checkpoint is believed under one verifier key that the reader has from elsewhere; signatures of others (witnesses)
are passed over. The first line is the log's origin, and equals the name of its key.

    origin                      pva-1.example.net/log
    size                        1842
    root, base64                N3Y...=
                                (empty line)
    - name base64(id || sig)    id: first four bytes of SHA-256(name, 0x0A, 0x01, public key)
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from standards.merkle.tree import HASH_SIZE, SIZE_MAX, MerkleError

NOTE_BYTES_MAX: Final = 16 * 1024
NAME_MAX: Final = 200
_SIGNATURES_MAX: Final = 32
_ED25519: Final = b"\x01"
_ID_SIZE: Final = 4
_SIGNATURE_SIZE: Final = 64
_NAME = re.compile(r"[^\s+\x00-\x20\x7f]{1,200}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
_MARK: Final = "\N{EM DASH} "


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """Name and public key of a log; `str()` is its one text form, `name+id+base64`, which people hand on."""

    name: str
    public_key: Ed25519PublicKey

    @property
    def id(self) -> bytes:
        """First four bytes of the digest of name and key: names the key in a signature line."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self._raw).digest()[:_ID_SIZE]

    @property
    def _raw(self) -> bytes:
        return self.public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self._raw).decode()}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form. Raises MerkleError."""
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        data = _decoded(encoded) if len(text) <= NAME_MAX * 2 else None
        if check_name(name) and data is not None and data[:1] == _ED25519 and len(data) == 1 + HASH_SIZE:
            key = cls(name=name, public_key=Ed25519PublicKey.from_public_bytes(data[1:]))
            if key.id.hex() == key_id:
                return key
        raise MerkleError("verifier key", expected="name+id+base64 of an Ed25519 key", got="another text")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Size and root of a log at one time."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def check_name(name: str) -> bool:
    """Whether a log may have this name: no spaces, no plus sign, at most 200 characters."""
    return _NAME.fullmatch(name) is not None


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The signed note of a checkpoint whose origin is the key's name."""
    verifier = VerifierKey(name=checkpoint.origin, public_key=key.public_key())
    signature = base64.b64encode(verifier.id + key.sign(checkpoint.text.encode())).decode()
    return f"{checkpoint.text}\n{_MARK}{checkpoint.origin} {signature}\n"


def open_checkpoint(note: bytes, key: VerifierKey) -> Checkpoint:
    """The checkpoint in a note that `key` signed; further lines before the empty one are extensions. Raises MerkleError."""
    text, signatures = _split(note)
    if not any(_signed_by(key, line, text) for line in signatures):
        raise MerkleError("checkpoint", expected=f"a signature of {key.name}", got="none that verifies")
    lines = text.split("\n")
    if len(lines) < 4 or lines[0] != key.name or not _SIZE.fullmatch(lines[1]):  # noqa: PLR2004  # origin, size, root, end
        raise MerkleError("checkpoint", expected=f"origin {key.name}, size and root", got="other lines")
    root, size = _decoded(lines[2]), int(lines[1])
    if root is None or len(root) != HASH_SIZE or size > SIZE_MAX:
        raise MerkleError("checkpoint", expected="a size and a root of 32 bytes", got="others")
    return Checkpoint(origin=lines[0], size=size, root=root)


def _split(note: bytes) -> tuple[str, list[str]]:
    if len(note) > NOTE_BYTES_MAX:
        raise MerkleError("signed note", expected=f"at most {NOTE_BYTES_MAX} bytes", got=str(len(note)))
    try:
        whole = note.decode("utf-8")
    except UnicodeDecodeError:
        raise MerkleError("signed note", expected="UTF-8", got="other bytes") from None
    body, gap, tail = whole.rpartition("\n\n")
    signatures = tail.removesuffix("\n").split("\n")
    if not gap or not tail.endswith("\n") or len(signatures) > _SIGNATURES_MAX:
        raise MerkleError("signed note", expected="text, an empty line, signatures", got="another form")
    return body + "\n", signatures


def _signed_by(key: VerifierKey, line: str, text: str) -> bool:
    name, _, encoded = line.removeprefix(_MARK).partition(" ")
    data = _decoded(encoded)
    if not line.startswith(_MARK) or name != key.name or data is None or data[:_ID_SIZE] != key.id:
        return False
    if len(data) != _ID_SIZE + _SIGNATURE_SIZE:
        return False
    try:
        key.public_key.verify(data[_ID_SIZE:], text.encode())
    except InvalidSignature:
        return False
    return True


def _decoded(text: str) -> bytes | None:
    """Base64 in its one spelling, or None."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None
