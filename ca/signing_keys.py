"""Private keys of the CAs, named by the ca_id that follows from the key: one encrypted PKCS#8 file each.

The one rule: a key is written and durable before anything that it signs is recorded, so no certificate can
name a key that a crash has eaten; a key without a record is harmless. `signing_tokens` has the other
implementation of the port; both give objects that sign like the library's own keys.
"""

import threading
from pathlib import Path
from typing import Protocol

from ca.key_algorithms import CaPrivateKey, KeyAlgorithm, algorithm_of, generate_key, is_ca_private_key
from edge.keys import KeyFileError, load_any_private_key, write_private_key
from standards.pki.fingerprints import ca_id


class SigningKeys(Protocol):
    """Port to the CAs' private keys."""

    def create(self, algorithm: KeyAlgorithm) -> CaPrivateKey:
        """A new key, durable when this returns."""

    def load(self, ca_id: str) -> CaPrivateKey:
        """The key of this CA."""


class KeyFolder:
    """Keys as files `<ca_id>.pem` in one folder of mode 0700; opened keys are kept in memory."""

    def __init__(self, folder: Path, *, passphrase_file: Path) -> None:
        """Use `folder`; nothing is read yet."""
        self._folder = folder
        self._passphrase_file = passphrase_file
        self._lock = threading.Lock()
        self._opened: dict[str, CaPrivateKey] = {}

    def create(self, algorithm: KeyAlgorithm) -> CaPrivateKey:
        """A new key, durable when this returns; raises KeyFileError."""
        key = generate_key(algorithm)
        name = ca_id(key.public_key())
        write_private_key(self._folder / f"{name}.pem", key, passphrase_file=self._passphrase_file)
        with self._lock:
            self._opened[name] = key
        return key

    def load(self, ca_id: str) -> CaPrivateKey:
        """The key of this CA; raises KeyFileError."""
        with self._lock:
            key = self._opened.get(ca_id)
            if key is None:
                key = self._opened[ca_id] = self._read(ca_id)
            return key

    def _read(self, name: str) -> CaPrivateKey:
        path = self._folder / f"{name}.pem"
        key = load_any_private_key(path, passphrase_file=self._passphrase_file)
        if not is_ca_private_key(key) or algorithm_of(key.public_key()) is None:
            raise KeyFileError(path, reason="is no key that a CA signs with", remedy="restore the right file")
        if ca_id(key.public_key()) != name:
            raise KeyFileError(path, reason="is the key of another CA", remedy="restore the right file")
        return key
