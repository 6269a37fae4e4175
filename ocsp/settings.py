"""Settings of the responder's process."""

from datetime import UTC, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from edge.database_faults import DatabaseUrl
from edge.listener_settings import OperatorListenerSettings
from edge.management import ManagementSettings
from edge.settings import Settings, SettingsPath
from edge.upstream_settings import UpstreamSettings
from ocsp.judgement import LIFETIME_MAX, LIFETIME_MIN, UNKNOWN_LIFETIME, AnswerPolicy, NeverIssued
from ocsp.single_extensions import NOTHING_MORE, SingleExtensions

CaId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
CrlUrl = Annotated[str, StringConstraints(pattern=r"^http://[!-~]+$", max_length=1024)]
_LIFETIME_MAX_S = int(LIFETIME_MAX.total_seconds())
_LIFETIME_MIN_S = int(LIFETIME_MIN.total_seconds())


class PublicListener(Settings):
    """Where the world asks; plain HTTP, since answers are signed."""

    host: str
    port: int = Field(ge=0, le=65535)


class ResponderKey(Settings):
    """The responder's own key: encrypted PKCS#8, and the file with its passphrase."""

    key: SettingsPath
    passphrase_file: SettingsPath


class StateListener(OperatorListenerSettings):
    """Where operators learn states of platforms; the results behind them are signed under `operators_root` (PEM)."""

    operators_root: SettingsPath


class OcspSettings(Settings):
    """The whole; times in seconds. Why `feed_age_max_s` matters stands in `ocsp.judgement`.

    `compromised_cas` names CAs whose key somebody else may have, with the time since when: all their certificates
    are answered as revoked. `statuses_kept_days`, `crl_urls` (by CA id) and `crl_entry_extensions` make answers say more
    about each certificate (`ocsp.single_extensions`). Without `operator` there is no listener for operators. Whoever has such a key can make delegates of his own; the ES root's CRL ends that.
    """

    profile: Literal["production", "lab"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    management: ManagementSettings | None = None
    database: DatabaseUrl
    public: PublicListener
    operator: StateListener | None = None
    key: ResponderKey
    ca: UpstreamSettings
    feed_interval_s: float = Field(default=0.25, ge=0.05, le=60)
    feed_age_max_s: int = Field(default=900, ge=10, le=86400)
    answer_lifetime_s: int = Field(default=_LIFETIME_MAX_S, ge=_LIFETIME_MIN_S, le=_LIFETIME_MAX_S)
    never_issued: Literal["unknown", "revoked"] = "unknown"
    compromised_cas: dict[CaId, AwareDatetime] = Field(default_factory=dict)
    statuses_kept_days: int | None = Field(default=None, ge=1, le=36_500)
    crl_urls: dict[CaId, CrlUrl] = Field(default_factory=dict)
    crl_entry_extensions: bool = False

    def policy(self) -> AnswerPolicy:
        """What these settings mean for answers."""
        lifetime = timedelta(seconds=self.answer_lifetime_s)
        return AnswerPolicy(
            lifetime=lifetime,
            unknown_lifetime=min(lifetime, UNKNOWN_LIFETIME),
            feed_age_max=timedelta(seconds=self.feed_age_max_s),
            never_issued=NeverIssued(self.never_issued),
            single_extensions=SingleExtensions(
                kept_for=None if self.statuses_kept_days is None else timedelta(days=self.statuses_kept_days),
                crl_urls=self.crl_urls,
                crl_entries=self.crl_entry_extensions,
            )
            if self.statuses_kept_days or self.crl_urls or self.crl_entry_extensions
            else NOTHING_MORE,
            compromised={ca_id: at.astimezone(UTC) for ca_id, at in self.compromised_cas.items()},
        )
