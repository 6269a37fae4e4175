"""Proofs of inclusion as text (C2SP tlog-proof)."""

import base64

import pytest

from standards.merkle.checkpoint import NOTE_BYTES_MAX
from standards.merkle.proof import LeafProof
from standards.merkle.tree import MerkleError
from tests.fakes.pva_log import NAME, MemoryLog

LEAF = b"\x11" * 32


def proven() -> tuple[MemoryLog, LeafProof]:
    """A log with a leaf among others, and the leaf's proof."""
    log = MemoryLog()
    log.place(LEAF)
    found = log.prove(LEAF)
    assert found is not None
    return log, found


def test_a_proof_is_read_back_and_leads_to_the_signed_root() -> None:
    log, proof = proven()
    text = proof.encode()
    assert text.startswith("c2sp.org/tlog-proof@v1\nindex 3\n")
    assert f"\n\n{NAME}\n8\n" in text
    read = LeafProof.decode(text.encode())
    assert read == proof
    assert read.verify(LEAF, log.verifier).size == 8


def test_the_only_leaf_of_a_log_has_no_digests_beside_it() -> None:
    log = MemoryLog(leaves=[LEAF])
    proof = log.prove(LEAF)
    assert proof is not None
    assert proof.proof == ()
    assert LeafProof.decode(proof.encode().encode()).verify(LEAF, log.verifier).size == 1


@pytest.mark.negative
def test_a_proof_of_another_leaf_or_of_another_log_is_none() -> None:
    log, proof = proven()
    with pytest.raises(MerkleError):
        proof.verify(b"\x12" * 32, log.verifier)
    with pytest.raises(MerkleError):
        proof.verify(LEAF, MemoryLog(name="other.example.net/log").verifier)


@pytest.mark.negative
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@v1", "@v2"),
        ("index 3", "index 03"),
        ("index 3", "index -3"),
        ("index 3\n", ""),
        ("index 3\n", "extra AAAA\nindex 3\n"),
        ("\n\n", "\n"),
        ("index 3\n", f"index 3\n{base64.b64encode(bytes(31)).decode()}\n"),
        ("index 3\n", "index 3\n!\n"),
        ("index 3\n", "index 3\n" + 64 * (base64.b64encode(bytes(32)).decode() + "\n")),
    ],
)
def test_what_is_no_proof_is_refused(old: str, new: str) -> None:
    text = proven()[1].encode()
    assert old in text
    with pytest.raises(MerkleError):
        LeafProof.decode(text.replace(old, new, 1).encode())


@pytest.mark.negative
@pytest.mark.parametrize("data", [b"", b"\xff", b"a" * (NOTE_BYTES_MAX + 4_097)])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(MerkleError):
        LeafProof.decode(data)
