"""Nonces that owners' instructions answer: one at a time for each owner, given out with a signed report (R58).

The rule: a nonce is good once, whatever comes of what answered it, and does not outlive the process. So an instruction that
was recorded, or held back until the machine was started again, is one that nobody follows.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from messages.instruction import TRE_NONCE_SIZE


@dataclass(kw_only=True)
class OpenNonces:
    """By owner: the nonce that is open."""

    random_bytes: Callable[[int], bytes]
    _open: dict[str, bytes] = field(default_factory=dict, repr=False)

    def give(self, sho: str) -> bytes:
        """A new one, in place of one that was not answered."""
        nonce = self._open[sho] = self.random_bytes(TRE_NONCE_SIZE)
        return nonce

    def spend(self, sho: str, nonce: bytes) -> bool:
        """Whether this is the open one; it is not open afterwards."""
        if not hmac.compare_digest(self._open.get(sho, b""), nonce):
            return False
        del self._open[sho]
        return True
