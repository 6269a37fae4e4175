"""Settings of the responder's process."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from edge.settings import Settings, SettingsPath
from edge.upstream_settings import UpstreamSettings
from ocsp.responder import LIFETIME_MAX, AnswerPolicy, NeverIssued

_LIFETIME_MAX_S = int(LIFETIME_MAX.total_seconds())


class PublicListener(Settings):
    """Where the world asks; plain HTTP, since answers are signed."""

    host: str
    port: int = Field(ge=0, le=65535)


class ResponderKey(Settings):
    """The responder's own key: encrypted PKCS#8, and the file with its passphrase."""

    key: SettingsPath
    passphrase_file: SettingsPath


class OcspSettings(Settings):
    """The whole; times in seconds. Why `feed_age_max_s` matters stands in `ocsp.responder`."""

    profile: Literal["production", "lab"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    database: str
    public: PublicListener
    key: ResponderKey
    ca: UpstreamSettings
    feed_interval_s: float = Field(default=0.25, ge=0.05, le=60)
    feed_age_max_s: int = Field(default=900, ge=10, le=86400)
    answer_lifetime_s: int = Field(default=_LIFETIME_MAX_S, ge=30, le=_LIFETIME_MAX_S)
    never_issued: Literal["unknown", "revoked"] = "unknown"

    def policy(self) -> AnswerPolicy:
        """What these settings mean for answers."""
        return AnswerPolicy(
            lifetime=timedelta(seconds=self.answer_lifetime_s),
            feed_age_max=timedelta(seconds=self.feed_age_max_s),
            never_issued=NeverIssued(self.never_issued),
        )
