r"""The Merkle tree of a log: digests, proofs, and their verification (RFC 9162, section 2.1).

Rule: a verifier raises or returns nothing; what it was given is proven then, for exactly the sizes that were named.

Theory: the tree over n entries splits at the largest power of two below n. So everything left of the right edge is
made of perfect subtrees that never change, and `NodeReader` gives just those:

    level 2          n2,0                 n2,0 is perfect: once the fourth entry is there it is final
               /            \
    level 1  n1,0          n1,1
            /    \        /    \
    level 0 0     1      2      3     4   <- the fifth entry makes a new right edge
"""

import hashlib
import hmac
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
SIZE_MAX: Final = (1 << 63) - 1
_PROOF_MAX: Final = 64
_LEAF, _NODE = b"\x00", b"\x01"


class MerkleError(Exception):
    """A proof, checkpoint or tile that does not show what it should: what, expected, got."""

    def __init__(self, what: str, *, expected: str, got: str) -> None:
        super().__init__(f"{what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


class NodeReader(Protocol):
    """Gives digests of perfect subtrees."""

    def node(self, level: int, index: int) -> bytes:
        """Digest (32 bytes) over the entries from `index << level` on, `1 << level` of them.

        Raises MerkleError where it has none.
        """


def leaf_digest(entry: bytes) -> bytes:
    """Digest of an entry of the log."""
    return hashlib.sha256(_LEAF + entry).digest()


def node_digest(left: bytes, right: bytes) -> bytes:
    """Digest of an inner node."""
    return hashlib.sha256(_NODE + left + right).digest()


def perfect_root(digests: Sequence[bytes]) -> bytes:
    """Root over `digests`, whose number is a power of two."""
    row = list(digests)
    while len(row) > 1:
        row = [node_digest(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def tree_root(size: int, nodes: NodeReader) -> bytes:
    """Root of the tree over the first `size` entries (2.1.1)."""
    return EMPTY_ROOT if size == 0 else _range_root(0, size, nodes)


def inclusion_proof(index: int, size: int, nodes: NodeReader) -> tuple[bytes, ...]:
    """Proof that the tree of `size` entries holds the one at `index` (2.1.3.1). Raises MerkleError."""
    if not 0 <= index < size:
        raise MerkleError("inclusion proof", expected=f"an index below {size}", got=str(index))
    proof: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            proof.append(_range_root(middle, end, nodes))
            end = middle
        else:
            proof.append(_range_root(begin, middle, nodes))
            begin = middle
    return tuple(reversed(proof))


def consistency_proof(first: int, second: int, nodes: NodeReader) -> tuple[bytes, ...]:
    """Proof that the tree of `second` entries begins with that of `first` (2.1.4.1). Raises MerkleError."""
    if not 0 <= first <= second:
        raise MerkleError("consistency proof", expected=f"a size up to {second}", got=str(first))
    if first in {0, second}:
        return ()
    proof: list[bytes] = []
    begin, end, known = 0, second, True
    while end != first:
        middle = begin + _split(end - begin)
        if first <= middle:
            proof.append(_range_root(middle, end, nodes))
            end = middle
        else:
            proof.append(_range_root(begin, middle, nodes))
            begin, known = middle, False
    if not known:
        proof.append(_range_root(begin, end, nodes))
    return tuple(reversed(proof))


def verify_inclusion(digest: bytes, *, index: int, size: int, proof: Iterable[bytes], root: bytes) -> None:
    """Verify that the entry with this leaf digest is at `index` in the tree of `size` with `root` (2.1.3.2).

    Raises MerkleError.
    """
    path = _checked(proof, "inclusion proof")
    if not 0 <= index < size:
        raise MerkleError("inclusion proof", expected=f"an index below {size}", got=str(index))
    found = digest
    for sibling, left in _sides(index, size - 1, path, "inclusion proof"):
        found = node_digest(sibling, found) if left else node_digest(found, sibling)
    if not hmac.compare_digest(found, root):
        raise MerkleError("inclusion proof", expected=f"root {root.hex()}", got=found.hex())


def verify_consistency(
    *, first: int, first_root: bytes, second: int, second_root: bytes, proof: Iterable[bytes]
) -> None:
    """Verify that the second tree holds the first, unchanged, at its beginning (2.1.4.2). Raises MerkleError."""
    path = _checked(proof, "consistency proof")
    if not 0 <= first <= second:
        raise MerkleError("consistency proof", expected=f"a size up to {second}", got=str(first))
    if first in {0, second}:
        _verify_trivial(first, first_root, second, second_root, path)
        return
    if first & (first - 1) == 0:
        path = (first_root, *path)
    if not path:
        raise MerkleError("consistency proof", expected="digests", got="none")
    position, last = first - 1, second - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old = new = path[0]
    for digest, left in _sides(position, last, path[1:], "consistency proof"):
        new = node_digest(digest, new) if left else node_digest(new, digest)
        old = node_digest(digest, old) if left else old
    if not hmac.compare_digest(old, first_root):
        raise MerkleError("consistency proof", expected=f"first root {first_root.hex()}", got=old.hex())
    if not hmac.compare_digest(new, second_root):
        raise MerkleError("consistency proof", expected=f"second root {second_root.hex()}", got=new.hex())


def _sides(position: int, last: int, path: tuple[bytes, ...], what: str) -> Iterator[tuple[bytes, bool]]:
    """Each digest of the way from node `position` of `last` + 1 up to the root, and whether it stands to the left."""
    for digest in path:
        if last == 0:
            raise MerkleError(what, expected="fewer digests", got=str(len(path)))
        left = bool(position & 1) or position == last
        yield digest, left
        while left and not position & 1 and position:
            position >>= 1
            last >>= 1
        position >>= 1
        last >>= 1
    if last:
        raise MerkleError(what, expected="more digests", got=str(len(path)))


def _verify_trivial(
    first: int, first_root: bytes, second: int, second_root: bytes, path: tuple[bytes, ...]
) -> None:
    if path:
        raise MerkleError("consistency proof", expected="no digests for these sizes", got=str(len(path)))
    expected = second_root if first == second else EMPTY_ROOT
    if not hmac.compare_digest(first_root, expected):
        raise MerkleError("consistency proof", expected=f"root {expected.hex()}", got=first_root.hex())


def _checked(proof: Iterable[bytes], what: str) -> tuple[bytes, ...]:
    path = tuple(proof)
    if len(path) > _PROOF_MAX or any(len(digest) != HASH_SIZE for digest in path):
        raise MerkleError(what, expected=f"at most {_PROOF_MAX} digests of {HASH_SIZE} bytes", got="others")
    return path


def _split(count: int) -> int:
    """Largest power of two below `count`, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def _range_root(begin: int, end: int, nodes: NodeReader) -> bytes:
    """Root over the entries from `begin` (a multiple of the power of two that covers the rest) to `end`."""
    count = end - begin
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return nodes.node(level, begin >> level)
    middle = begin + _split(count)
    return node_digest(_range_root(begin, middle, nodes), _range_root(middle, end, nodes))
