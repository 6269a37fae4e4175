"""Transparency logs: the Merkle tree of RFC 9162, signed checkpoints and tiles of C2SP."""
