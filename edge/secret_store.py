"""Secrets at rest: AES-256-GCM under a key that lies in a file of the role, never in its database.

Rule: each secret is bound to what it belongs to (`bound_to`), so that one row's secret opens in no other row; a new
random nonce each time. Whoever copies the database alone has no secret.
"""

from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.keys import KeyFileError, read_passphrase
from edge.process import RandomBytes

KEY_SIZE = 32
NONCE_SIZE = 12


class SecretStoreError(Exception):
    """A stored secret does not open: another key file, another row, or altered; nothing of it is shown."""


class SecretStore:
    """Seals and opens small secrets under one key."""

    def __init__(self, key: bytes, *, random_bytes: RandomBytes) -> None:
        """Use a key of 32 bytes."""
        self._cipher = AESGCM(key)
        self._random_bytes = random_bytes

    @classmethod
    def load(cls, path: Path, *, random_bytes: RandomBytes) -> "SecretStore":
        """Key from a private file of 64 hexadecimal digits, as `edge.keys.create_passphrase` makes it.

        Raises KeyFileError.
        """
        try:
            key = bytes.fromhex(read_passphrase(path).decode("ascii"))
        except ValueError:
            key = b""
        if len(key) != KEY_SIZE:
            raise KeyFileError(
                path,
                reason="holds no key of 256 bits",
                remedy="write 64 hexadecimal digits on the first line",
            )
        return cls(key, random_bytes=random_bytes)

    def seal(self, secret: bytes, *, bound_to: bytes) -> bytes:
        """Nonce and sealed secret."""
        nonce = self._random_bytes(NONCE_SIZE)
        return nonce + self._cipher.encrypt(nonce, secret, bound_to)

    def open(self, sealed: bytes, *, bound_to: bytes) -> bytes:
        """The secret, if it was sealed under this key for this place. Raises SecretStoreError."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], bound_to)
        except (InvalidTag, ValueError):
            raise SecretStoreError("a stored secret does not open with this role's key") from None
