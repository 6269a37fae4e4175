"""A bearer that this device has already, of a subscription that serves: what a modem hands to the agent (R66).

Rule: its secret is good for forwarding only; it comes in a file, never in an argument.
"""

import json
from datetime import UTC, datetime
from typing import Any, Final

from m2me_agent.agent.attachment import Bearer
from standards.rats.fields import Fields

BEARER_BYTES_MAX: Final = 32_768
_TEXT_MAX: Final = 300
_DESTINATIONS_MAX: Final = 64
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


class KeptBearerError(ValueError):
    """The file holds no bearer: what was wrong, what was expected, and what came."""

    def __init__(self, what: str, expected: str, got: str) -> None:
        """Keep all three."""
        super().__init__(f"--bearer: {what}: expected {expected}, got {got}")


def encode_bearer(bearer: Bearer) -> bytes:
    """As it stands in the file; `decode_bearer` takes it back."""
    told: dict[str, Any] = {
        "id": bearer.id,
        "secret": bearer.secret,
        "gateway": bearer.gateway,
        "apn": bearer.apn,
        "destinations": list(bearer.destinations),
        "quota_bytes": bearer.quota_bytes,
        "expires_at": f"{bearer.expires_at:{_TIME}}",
    }
    return json.dumps(told).encode()


def decode_bearer(data: bytes) -> Bearer:
    """Read it. Raises KeptBearerError."""
    try:
        value = json.loads(data) if len(data) <= BEARER_BYTES_MAX else None
    except (ValueError, RecursionError):
        value = None
    fields = Fields(value, what="bearer", refusal=KeptBearerError)
    bearer = Bearer(
        id=fields.text("id", size_max=64),
        secret=fields.text("secret", size_max=128),
        gateway=fields.text("gateway", size_max=_TEXT_MAX),
        apn=fields.text("apn", size_max=100),
        destinations=fields.texts("destinations", size_min=1, size_max=_DESTINATIONS_MAX),
        quota_bytes=fields.integer("quota_bytes", low=1),
        expires_at=_time(fields.text("expires_at", size_max=20)),
    )
    fields.close()
    return bearer


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise KeptBearerError("expires_at", "a time such as 2026-01-31T00:00:00Z", "another text") from None
