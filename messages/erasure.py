"""The erase proof: a TRE says that a MID is gone, as a quote over it (D4, R59).

Rule: it is said after the key that the MID lay under has been written over in the TPM, and never before. The nonce of the
quote is the owner's, out of its instruction, so an old proof is none for a new question.
"""

from dataclasses import dataclass
from typing import Final

from messages.encoding import decode_fields, encode_deterministic
from messages.errors import MessageError
from messages.instruction import REASON_MAX
from messages.order import DIGEST_SIZE, ID_MAX

ERASURE: Final = "erasure"
ERASURE_BYTES_MAX: Final = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What stays of a MID: whose it was, of which order and package version, and why and when it went.

    `clock_ms` and `reset_count` are the TPM's; `known_at` is what the time was at least, in seconds since 1970 as PVAs
    have told it, 0 where none had.
    """

    device_id: str
    sho: str
    mid_id: str
    order_digest: bytes
    version: int
    reason: str
    clock_ms: int
    reset_count: int
    known_at: int

    def encode(self) -> bytes:
        """Deterministic CBOR; `decode_erasure` takes it back."""
        return encode_deterministic(
            {
                1: ERASURE,
                2: bytes.fromhex(self.device_id),
                3: self.sho,
                4: self.mid_id,
                5: self.order_digest,
                6: self.version,
                7: self.reason,
                8: self.clock_ms,
                9: self.reset_count,
                10: self.known_at,
            }
        )


def decode_erasure(body: bytes) -> Erasure:
    """Read the body of a statement. Raises MessageError."""
    fields = decode_fields(body, what="erasure", bytes_max=ERASURE_BYTES_MAX)
    if fields.text(1, size_max=16) != ERASURE:
        raise MessageError(what="erasure.1", expected=ERASURE, got="another kind of statement")
    erasure = Erasure(
        device_id=fields.octets(2, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE).hex(),
        sho=fields.text(3, size_max=ID_MAX),
        mid_id=fields.text(4, size_max=ID_MAX),
        order_digest=fields.octets(5, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
        version=fields.integer(6),
        reason=fields.text(7, size_max=REASON_MAX),
        clock_ms=fields.integer(8),
        reset_count=fields.integer(9),
        known_at=fields.integer(10),
    )
    fields.close()
    return erasure
