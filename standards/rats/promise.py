"""The promise in a result that its leaf is in the verifier's log: a claim of this project's own (D15; cf. RFC 6962, section 3).

Rule: whoever signs the result signs the promise with it, so a leaf that is not in the log in time is proven by the result
itself. No hash can be inside of what it is made from: the leaf commits to the claims without this one.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from standards.rats.fields import Fields

PROMISE_CLAIM: Final = "pva_inclusion_promise"
MERGE_DELAY_MAX_S: Final = 86_400
_LOG_NAME_MAX: Final = 200
_HASH_SIZE: Final = 32
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InclusionPromise:
    """That the leaf `leaf_hash` is under a checkpoint of the log `log` at most `merge_delay_s` seconds after `iat`."""

    log: str
    leaf_hash: bytes
    merge_delay_s: int

    def claim(self) -> dict[str, Any]:
        """The claim, by its name."""
        told = {"log": self.log, "leaf_hash": self.leaf_hash.hex(), "merge_delay_s": self.merge_delay_s}
        return {PROMISE_CLAIM: told}

    @classmethod
    def read(cls, claims: Fields) -> Self | None:
        """The promise among the claims of a result, if there is one. Raises what `claims` refuses with."""
        if PROMISE_CLAIM not in claims:
            return None
        fields = claims.nested(PROMISE_CLAIM)
        return cls(
            log=fields.text("log", size_max=_LOG_NAME_MAX),
            leaf_hash=fields.hex("leaf_hash", size_min=_HASH_SIZE, size_max=_HASH_SIZE),
            merge_delay_s=fields.integer("merge_delay_s", low=1, high=MERGE_DELAY_MAX_S),
        )


def promised_digest(claims: Mapping[str, Any]) -> bytes:
    """SHA-256 over all claims but the promise: JSON, keys sorted, no spaces, UTF-8. What the promised leaf commits to."""
    content = {name: value for name, value in claims.items() if name != PROMISE_CLAIM}
    return hashlib.sha256(_ENCODER.encode(content).encode()).digest()
