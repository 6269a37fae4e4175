"""Private keys of the CAs: one encrypted PKCS#8 file each, named by the ca_id that follows from the key.

The one rule: a key is written and durable before anything that it signs is recorded, so no certificate can
name a key that a crash has eaten; a key file without a record is harmless.
"""

import threading
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from edge.keys import load_private_key, write_private_key
from standards.pki.fingerprints import ca_id


class SigningKeys(Protocol):
    """Port to the CAs' private keys."""

    def create(self) -> ec.EllipticCurvePrivateKey:
        """A new P-256 key, durable when this returns."""

    def load(self, ca_id: str) -> ec.EllipticCurvePrivateKey:
        """The key of this CA."""


class KeyFolder:
    """Keys as files `<ca_id>.pem` in one folder of mode 0700; opened keys are kept in memory."""

    def __init__(self, folder: Path, *, passphrase_file: Path) -> None:
        """Use `folder`; nothing is read yet."""
        self._folder = folder
        self._passphrase_file = passphrase_file
        self._lock = threading.Lock()
        self._opened: dict[str, ec.EllipticCurvePrivateKey] = {}

    def create(self) -> ec.EllipticCurvePrivateKey:
        """A new P-256 key, durable when this returns; raises KeyFileError."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = ca_id(key.public_key())
        write_private_key(self._folder / f"{name}.pem", key, passphrase_file=self._passphrase_file)
        with self._lock:
            self._opened[name] = key
        return key

    def load(self, ca_id: str) -> ec.EllipticCurvePrivateKey:
        """The key of this CA; raises KeyFileError."""
        with self._lock:
            key = self._opened.get(ca_id)
            if key is None:
                path = self._folder / f"{ca_id}.pem"
                key = self._opened[ca_id] = load_private_key(path, passphrase_file=self._passphrase_file)
            return key
