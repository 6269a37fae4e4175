"""A bearer that this device has already, of a subscription that serves: what a modem hands to the agent (R66).

Rule: its secret is good for forwarding only; it comes in a file, never in an argument.
"""

import json
from typing import Final

from messages.bearer import Bearer, read_bearer
from standards.rats.fields import Fields

BEARER_BYTES_MAX: Final = 32_768


class KeptBearerError(ValueError):
    """The file holds no bearer: what was wrong, what was expected, and what came."""

    def __init__(self, what: str, expected: str, got: str) -> None:
        """Keep all three."""
        super().__init__(f"--bearer: {what}: expected {expected}, got {got}")


def encode_bearer(bearer: Bearer) -> bytes:
    """As it stands in the file; `decode_bearer` takes it back."""
    return json.dumps(bearer.members()).encode()


def decode_bearer(data: bytes) -> Bearer:
    """Read it. Raises KeptBearerError."""
    try:
        value = json.loads(data) if len(data) <= BEARER_BYTES_MAX else None
    except (ValueError, RecursionError):
        value = None
    return read_bearer(Fields(value, what="bearer", refusal=KeptBearerError), refusal=KeptBearerError)
