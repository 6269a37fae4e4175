"""Bearers: what an attached PCID may reach, for how long and how much (R08, R89, R107).

Rule: a bearer is known by its id and proven by a secret of which only the digest is kept; the comparison takes the
same time whether or not the bearer exists.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime

from edge.process import RandomBytes

BLOCK_BYTES = 256 * 1024
TUNNELS_BESIDE = 8
ID_BYTES = 8
SECRET_BYTES = 32
_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """One bearer; `used_bytes` counts both directions, and what is set aside for tunnels under way."""

    id: str
    pcid: str
    secret_sha256: bytes = field(repr=False)
    apn: str
    destinations: tuple[str, ...]
    quota_bytes: int
    used_bytes: int
    expires_at: datetime

    @property
    def left_bytes(self) -> int:
        """What is left of the quota."""
        return max(0, self.quota_bytes - self.used_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Id and secret of a bearer."""

    id: str
    secret: str = field(repr=False)


def new_credentials(random_bytes: RandomBytes) -> Credentials:
    """Credentials of a new bearer: 64 bits to find it, 256 bits to prove it."""
    secret = base64.urlsafe_b64encode(random_bytes(SECRET_BYTES)).rstrip(b"=").decode("ascii")
    return Credentials(id=random_bytes(ID_BYTES).hex(), secret=secret)


def secret_digest(secret: str) -> bytes:
    """What is kept of a secret; it has 256 random bits, so no salt and no stretching is needed."""
    return hashlib.sha256(secret.encode("utf-8")).digest()


def is_proven(bearer: Bearer | None, secret: str) -> bool:
    """Whether a secret is that of a bearer; takes the same time for a bearer that does not exist."""
    expected = _NOBODY if bearer is None else bearer.secret_sha256
    return hmac.compare_digest(expected, secret_digest(secret)) and bearer is not None


def block_of(left: int, *, needed: int) -> int:
    """How many bytes a tunnel sets aside at a time: few writes, but something is left for the tunnels beside it."""
    return min(left, max(needed, min(BLOCK_BYTES, left // TUNNELS_BESIDE)))
