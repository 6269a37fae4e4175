"""The PVA's audit log in memory: leaves in the order that a test gives them, signed for real."""

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from standards.merkle.checkpoint import Checkpoint, VerifierKey, sign_checkpoint
from standards.merkle.proof import LeafProof
from standards.merkle.tiles import TileNodes, grown_tiles
from standards.merkle.tree import inclusion_proof, leaf_digest, tree_root

NAME: Final = "pva-1.example.net/log"


@dataclass
class MemoryLog:
    """Satisfies `pva.recheck.exporting.LeafProver`."""

    key: Ed25519PrivateKey = field(
        default_factory=lambda: Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    )
    leaves: list[bytes] = field(default_factory=list)
    name: str = NAME

    @property
    def verifier(self) -> VerifierKey:
        """What readers hold."""
        return VerifierKey(name=self.name, public_key=self.key.public_key())

    def place(self, leaf_hash: bytes, *, among: int = 7) -> None:
        """Put a leaf into the tree, with others before and after it."""
        others = [number.to_bytes(32, "big") for number in range(among)]
        self.leaves = [*others[: among // 2], leaf_hash, *others[among // 2 :]]

    def prove(self, leaf_hash: bytes) -> LeafProof | None:
        """See `pva.recheck.exporting.LeafProver`."""
        if leaf_hash not in self.leaves:
            return None
        tiles = grown_tiles(0, [leaf_digest(each) for each in self.leaves], lambda _level, _number: b"")
        nodes = TileNodes(lambda level, number: tiles.get((level, number), b""))
        index, size = self.leaves.index(leaf_hash), len(self.leaves)
        checkpoint = Checkpoint(origin=self.name, size=size, root=tree_root(size, nodes))
        return LeafProof(
            index=index,
            proof=inclusion_proof(index, size, nodes),
            note=sign_checkpoint(checkpoint, self.key),
        )
