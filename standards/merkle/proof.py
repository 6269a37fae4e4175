"""Proofs that a leaf is in a log, verified offline (C2SP tlog-proof).

Rule: a proof is believed under a verifier key that the reader has from elsewhere, for a leaf that the reader knows.

    c2sp.org/tlog-proof@v1
    index 73894
    gSKyXoYZ...=                one line a digest, from the leaf's sibling up (RFC 9162, 2.1.3)
                                (empty line)
    pva-1.example.net/log       the signed checkpoint
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final, Self

from standards.merkle.checkpoint import NOTE_BYTES_MAX, Checkpoint, VerifierKey, open_checkpoint
from standards.merkle.tree import HASH_SIZE, MerkleError, leaf_digest, verify_inclusion

PROOF_BYTES_MAX: Final = NOTE_BYTES_MAX + 4_096
_HEAD: Final = "c2sp.org/tlog-proof@v1"
_DIGESTS_MAX: Final = 63
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafProof:
    """That a leaf is in the log: its index, the digests of its inclusion proof, and the signed checkpoint."""

    index: int
    proof: tuple[bytes, ...]
    note: str

    def encode(self) -> str:
        """The proof as text."""
        digests = (base64.b64encode(each).decode() for each in self.proof)
        return "\n".join([_HEAD, f"index {self.index}", *digests, "", self.note])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a proof without opaque extra data; nothing is verified. Raises MerkleError."""
        try:
            text = data.decode("utf-8") if len(data) <= PROOF_BYTES_MAX else ""
        except UnicodeDecodeError:
            text = ""
        head, gap, note = text.partition("\n\n")
        first, *lines = head.split("\n")
        found = _INDEX.fullmatch(lines[0]) if first == _HEAD and lines else None
        digests = [_digest(each) for each in lines[1:]]
        if not gap or found is None or len(digests) > _DIGESTS_MAX:
            raise MerkleError(
                "proof", expected=f"{_HEAD}, an index, digests, a checkpoint", got="another text"
            )
        return cls(index=int(found[1]), proof=tuple(digests), note=note)

    def verify(self, leaf_hash: bytes, key: VerifierKey) -> Checkpoint:
        """The checkpoint, signed by `key`, that the leaf is under. Raises MerkleError."""
        checkpoint = open_checkpoint(self.note.encode(), key)
        verify_inclusion(
            leaf_digest(leaf_hash),
            index=self.index,
            size=checkpoint.size,
            proof=self.proof,
            root=checkpoint.root,
        )
        return checkpoint


def _digest(line: str) -> bytes:
    try:
        digest = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != HASH_SIZE or base64.b64encode(digest).decode() != line:
        raise MerkleError("proof", expected="digests of 32 bytes in base64", got="another line")
    return digest
