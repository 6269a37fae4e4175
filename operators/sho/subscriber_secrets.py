"""What the SHO keeps secret at rest, under one key from a file: K and OPc, names of subscribers, order secrets.

Rule: the database never holds any of them in clear, and a sealed value opens for the subscriber that it was sealed
for and nobody else (it is bound to the IMSI or the order by the additional data). Nothing here has a telling repr.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.process import RandomBytes

KEY_SIZE: Final = 32
_NONCE_SIZE: Final = 12
_PSEUDONYM_DIGITS: Final = 32


class SecretError(Exception):
    """A sealed value does not open: another key file, or a row that was moved or altered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriberSecrets:
    """Seals and opens; `key` is 32 bytes of the key file, `random_bytes` gives nonces."""

    key: bytes = field(repr=False)
    random_bytes: RandomBytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != KEY_SIZE:
            raise SecretError(f"the key of subscriptions has {KEY_SIZE} bytes, got {len(self.key)}")

    def seal(self, secret: bytes, *, bound_to: str) -> bytes:
        """AES-256-GCM under a fresh nonce, which stands in front."""
        nonce = self.random_bytes(_NONCE_SIZE)
        return nonce + AESGCM(self._derived("seal")).encrypt(nonce, secret, bound_to.encode())

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """What was sealed for this IMSI or order. Raises SecretError."""
        nonce, encrypted = sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:]
        try:
            return AESGCM(self._derived("seal")).decrypt(nonce, encrypted, bound_to.encode())
        except (InvalidTag, ValueError):
            raise SecretError(f"what is stored for {bound_to} does not open with this key") from None

    def pseudonym(self, subscriber: str) -> str:
        """The name by which others may know a subscriber: the same for the same person, only at this SHO."""
        return self._mac("pseudonym", subscriber)[:_PSEUDONYM_DIGITS]

    def order_secret(self, order_id: str) -> str:
        """What lets a user read the state of an order; made anew each time, stored nowhere."""
        return self._mac("order", order_id)

    def is_order_secret(self, secret: str, *, order_id: str) -> bool:
        """Whether it is the secret of this order; takes the same time for any."""
        expected = self.order_secret(order_id)
        return hmac.compare_digest(secret.encode("utf-8", errors="replace"), expected.encode())

    def _mac(self, purpose: str, text: str) -> str:
        return hmac.new(self._derived(purpose), text.encode(), hashlib.sha256).hexdigest()

    def _derived(self, purpose: str) -> bytes:
        return hmac.digest(self.key, b"pva/sho/1/" + purpose.encode(), hashlib.sha256)
