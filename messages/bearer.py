"""A bearer: what a visited network gives to a device that has attached, and how it is written as JSON.

Rule: its secret is good for forwarding only, and is shown in no representation.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from standards.rats.fields import Fields, Refusal

_DESTINATIONS_MAX: Final = 64
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bearer:
    """Credentials of the `gateway` (host:port), and what it opens, until when.

    `quota_bytes` is what is left, both directions together.
    """

    id: str
    secret: str = field(repr=False)
    gateway: str
    apn: str
    destinations: tuple[str, ...]
    quota_bytes: int
    expires_at: datetime

    def members(self) -> dict[str, Any]:
        """As a JSON object; `read_bearer` takes it back."""
        return {
            "id": self.id,
            "secret": self.secret,
            "gateway": self.gateway,
            "apn": self.apn,
            "destinations": list(self.destinations),
            "quota_bytes": self.quota_bytes,
            "expires_at": f"{self.expires_at:{_TIME}}",
        }


def read_bearer(fields: Fields, *, refusal: Refusal) -> Bearer:
    """The bearer of an object, which has nothing else; raises what `refusal` makes."""
    bearer = Bearer(
        id=fields.text("id", size_max=64),
        secret=fields.text("secret", size_max=128),
        gateway=fields.text("gateway", size_max=300),
        apn=fields.text("apn", size_max=100),
        destinations=fields.texts("destinations", size_min=1, size_max=_DESTINATIONS_MAX),
        quota_bytes=fields.integer("quota_bytes", low=1),
        expires_at=_time(fields.text("expires_at", size_max=20), refusal=refusal),
    )
    fields.close()
    return bearer


def _time(text: str, *, refusal: Refusal) -> datetime:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise refusal("bearer.expires_at", "a time such as 2026-01-31T00:00:00Z", "another text") from None
