"""What a TPM signs in this project: the one rule for extraData.

Rule: `extraData = SHA-256(det-CBOR([label, nonce, SHA-256(body)]))`. The label keeps the kinds of
statement apart, the nonce makes it fresh, the body binds it to its context; so a signature made for one
purpose, device or order can stand for no other. A TRE never signs qualifying data that a caller hands in.
"""

import hashlib
from types import MappingProxyType
from typing import Final

from messages.encoding import encode_deterministic
from messages.errors import MessageError

PVA_EVIDENCE: Final = "pva/evidence/1"
PVA_STATEMENT: Final = "pva/statement/1"
PVA_KEY: Final = "pva/key/1"
PVA_IMA: Final = "pva/ima/1"
LABELS: Final = frozenset({PVA_EVIDENCE, PVA_STATEMENT, PVA_KEY, PVA_IMA})
NONCE_SIZE: Final = 32


def extra_data(label: str, *, nonce: bytes, body: bytes) -> bytes:
    """Qualifying data of 32 bytes for a label of `LABELS`, a nonce of 32 bytes and a body of any size.

    Raises:
        MessageError: unknown label or a nonce of another size.
    """
    if label not in LABELS:
        raise MessageError(what="label", expected=" or ".join(sorted(LABELS)), got="another text")
    if len(nonce) != NONCE_SIZE:
        raise MessageError(what="nonce", expected=f"{NONCE_SIZE} bytes", got=f"{len(nonce)} bytes")
    return hashlib.sha256(_HEADS[label] + nonce + _DIGEST + hashlib.sha256(body).digest()).digest()


_DIGEST: Final = encode_deterministic(bytes(NONCE_SIZE))[:-NONCE_SIZE]
"""What stands before 32 bytes."""
_HEADS: Final = MappingProxyType(
    {
        label: encode_deterministic([label, bytes(NONCE_SIZE), b""])[: -NONCE_SIZE - len(b"\x40")]
        for label in LABELS
    }
)
"""What stands before the nonce: the one encoding of an array of three, and of its first item."""
