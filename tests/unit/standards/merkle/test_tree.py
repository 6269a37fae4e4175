"""The tree of RFC 9162 against its definition, written down a second time, and against known roots."""

import hashlib
from dataclasses import dataclass
from functools import partial

import pytest

from standards.merkle.tree import (
    EMPTY_ROOT,
    MerkleError,
    consistency_proof,
    inclusion_proof,
    leaf_digest,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

ENTRIES = [bytes.fromhex(each) for each in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
ENTRIES.append(bytes(range(0x60, 0x70)))
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""Of the first 1 to 8 of ENTRIES, as the implementations of certificate transparency have them."""
SIZES = range(1, 34)


def defined_root(entries: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, word for word."""
    if not entries:
        return hashlib.sha256().digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = 1
    while k * 2 < len(entries):
        k *= 2
    return hashlib.sha256(b"\x01" + defined_root(entries[:k]) + defined_root(entries[k:])).digest()


@dataclass(frozen=True)
class Known:
    """Nodes computed from the entries by the definition."""

    entries: list[bytes]

    def node(self, level: int, index: int) -> bytes:
        part = self.entries[index << level : (index + 1) << level]
        assert len(part) == 1 << level
        return defined_root(part)


MANY = Known([bytes([number]) * number for number in SIZES])
ROOT_OF = [defined_root(MANY.entries[:size]) for size in range(len(SIZES) + 1)]


@pytest.mark.parametrize("size", range(1, 9))
def test_known_roots(size: int) -> None:
    assert tree_root(size, Known(ENTRIES)).hex() == ROOTS[size - 1]


def test_an_empty_tree() -> None:
    assert tree_root(0, Known([])) == EMPTY_ROOT == defined_root([])


@pytest.mark.parametrize("size", SIZES)
def test_every_entry_is_shown_to_be_where_it_is_and_nowhere_else(size: int) -> None:
    root = ROOT_OF[size]
    assert tree_root(size, MANY) == root
    for index in range(size):
        proof = inclusion_proof(index, size, MANY)
        digest = leaf_digest(MANY.entries[index])
        verify_inclusion(digest, index=index, size=size, proof=proof, root=root)
        for other in set(range(size)) - {index}:
            with pytest.raises(MerkleError):
                verify_inclusion(digest, index=other, size=size, proof=proof, root=root)


@pytest.mark.parametrize("second", SIZES)
def test_every_earlier_tree_is_shown_to_be_the_beginning(second: int) -> None:
    for first in range(second + 1):
        proof = consistency_proof(first, second, MANY)
        verify_consistency(
            first=first,
            first_root=ROOT_OF[first],
            second=second,
            second_root=ROOT_OF[second],
            proof=proof,
        )


@pytest.mark.negative
@pytest.mark.parametrize("second", [2, 3, 7, 8, 12, 33])
def test_another_beginning_is_not_shown(second: int) -> None:
    forged = hashlib.sha256(b"another").digest()
    for first in range(1, second + 1):
        proof = consistency_proof(first, second, MANY)
        verify = partial(verify_consistency, first=first, second=second, proof=proof)
        with pytest.raises(MerkleError):
            verify(first_root=forged, second_root=ROOT_OF[second])
        with pytest.raises(MerkleError):
            verify(first_root=ROOT_OF[first], second_root=forged)


@pytest.mark.negative
@pytest.mark.parametrize("size", [2, 5, 16, 33])
def test_a_proof_with_one_digest_changed_missing_or_too_much_shows_nothing(size: int) -> None:
    forged = hashlib.sha256(b"another").digest()
    for index in range(size):
        proof = inclusion_proof(index, size, MANY)
        digest = leaf_digest(MANY.entries[index])
        wrong = [(*proof[:at], forged, *proof[at + 1 :]) for at in range(len(proof))]
        wrong += [proof[:-1], proof[1:], (*proof, forged), (forged, *proof)]
        for each in wrong:
            with pytest.raises(MerkleError):
                verify_inclusion(digest, index=index, size=size, proof=each, root=ROOT_OF[size])
    for first in range(1, size):
        proof = consistency_proof(first, size, MANY)
        wrong = [(*proof[:at], forged, *proof[at + 1 :]) for at in range(len(proof))]
        wrong += [proof[:-1], (*proof, forged), (forged, *proof)]
        for each in wrong:
            with pytest.raises(MerkleError):
                verify_consistency(
                    first=first,
                    first_root=ROOT_OF[first],
                    second=size,
                    second_root=ROOT_OF[size],
                    proof=each,
                )


@pytest.mark.negative
def test_numbers_outside_of_the_tree_and_digests_of_another_size_are_refused() -> None:
    for index, size in ((-1, 3), (3, 3), (0, 0)):
        with pytest.raises(MerkleError, match="index below"):
            inclusion_proof(index, size, MANY)
        with pytest.raises(MerkleError, match="index below"):
            verify_inclusion(EMPTY_ROOT, index=index, size=size, proof=(), root=EMPTY_ROOT)
    for first, second in ((-1, 3), (4, 3)):
        with pytest.raises(MerkleError, match="size up to"):
            consistency_proof(first, second, MANY)
        with pytest.raises(MerkleError, match="size up to"):
            verify_consistency(
                first=first, first_root=EMPTY_ROOT, second=second, second_root=EMPTY_ROOT, proof=()
            )
    with pytest.raises(MerkleError, match="32 bytes"):
        verify_inclusion(EMPTY_ROOT, index=0, size=2, proof=(b"short",), root=EMPTY_ROOT)
    with pytest.raises(MerkleError, match="at most"):
        verify_inclusion(EMPTY_ROOT, index=0, size=2, proof=[EMPTY_ROOT] * 65, root=EMPTY_ROOT)
    with pytest.raises(MerkleError, match="no digests"):
        verify_consistency(
            first=0, first_root=EMPTY_ROOT, second=2, second_root=ROOT_OF[2], proof=(EMPTY_ROOT,)
        )
    with pytest.raises(MerkleError, match="expected digests"):
        verify_consistency(first=3, first_root=ROOT_OF[3], second=5, second_root=ROOT_OF[5], proof=())
