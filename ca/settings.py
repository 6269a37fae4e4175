"""Settings of the CA's process (TOML and `PVA_*`); relative paths are taken from the file's folder.

The one rule: read once, in the wiring; an unknown key is an error that names it.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from edge.audit_log import AuditLogSettings
from edge.database_faults import DatabaseUrl
from edge.http_server import ServerTls
from edge.listener_settings import ListenerSettings, OperatorListenerSettings, TlsListenerSettings
from edge.management import ManagementSettings
from edge.settings import Settings, SettingsPath

_HttpUrl = Annotated[
    str, StringConstraints(pattern=r"^http://[^\s/?#]+(/[^\s?#]*[^\s?#/])?$", max_length=200)
]
_ResponderUrl = Annotated[str, StringConstraints(pattern=r"^http://[^\s/?#]+(/[^\s?#]*)?$", max_length=200)]
_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class TokenSettings(Settings):
    """A PKCS#11 token for the CAs' keys; needs the extra `hsm`.

    Attributes:
        module: the token's PKCS#11 library.
        label: name of the token.
        pin_file: file of mode 0600 whose first line is the user's PIN.
    """

    module: SettingsPath
    label: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    pin_file: SettingsPath


class EstListenerSettings(TlsListenerSettings):
    """The listener of EST; a certificate under `client_anchors` (the TLS root) may be shown, for its renewal."""

    client_anchors: SettingsPath

    def tls(self) -> ServerTls:
        """See `TlsListenerSettings`; a client proves a certificate where it shows one."""
        return replace(super().tls(), client_anchors=self.client_anchors, is_client_optional=True)


class OverseerSettings(Settings):
    """An overseer, by its id: the roots (PEM) that the certificate of its trust lists leads to."""

    anchors: SettingsPath


class CaSettings(Settings):
    """The whole of the CA's settings.

    Attributes:
        database: SQLAlchemy URL of the CA's own store.
        keys: folder of the CAs' private keys, mode 0700; `passphrase_file` opens them all.
        token: where new keys of CAs are made and kept, in place of files.
        est: listener of EST (RFC 7030); none without it.
        public_url: where relying parties reach the public listener; it goes into certificates.
        ocsp_url: where they reach the responder; it goes into certificates.
        tpm_maker_roots: folder of PEM and DER certificates of TPM makers, intermediates too.
        tpm_known_bad: SHA-256 digests of certificates or public keys of TPM makers that count for nothing.
        audit_log: name and key of the log that this CA keeps of what it does; none is kept without.
        responder_keys: SHA-256 digests of the public keys that may get OCSP delegate certificates.
        station_session_life_s: how long a device at a station without network has between the two messages of enrolment.
        overseers: whose trust lists say how long suppliers are accredited.
        recovery_life_s: how long after a recovery result a supplier may lift a hold by it.
    """

    profile: Literal["production", "lab"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    management: ManagementSettings | None = None
    database: DatabaseUrl
    keys: SettingsPath
    passphrase_file: SettingsPath
    token: TokenSettings | None = None
    public_url: _HttpUrl
    ocsp_url: _ResponderUrl
    tpm_maker_roots: SettingsPath
    tpm_known_bad: tuple[_Digest, ...] = ()
    responder_keys: tuple[_Digest, ...] = ()
    audit_log: AuditLogSettings | None = None
    public: ListenerSettings = ListenerSettings()
    device: TlsListenerSettings
    operator: OperatorListenerSettings
    est: EstListenerSettings | None = None
    session_life_s: Annotated[int, Field(ge=10, le=86_400)] = 300
    station_session_life_s: Annotated[int, Field(ge=60, le=4 * 86_400)] = 2 * 86_400
    """Below the week for which sessions are kept: a lost answer can be asked for again to the end of it."""
    crl_life_s: Annotated[int, Field(ge=60, le=30 * 86_400)] = 86_400
    overseers: dict[Annotated[str, StringConstraints(min_length=1, max_length=128)], OverseerSettings] = (
        Field(default_factory=dict)
    )
    recovery_life_s: Annotated[int, Field(ge=60, le=30 * 86_400)] = 86_400

    @field_validator("operator")
    @classmethod
    def _asks_its_own_books(cls, value: OperatorListenerSettings) -> OperatorListenerSettings:
        if value.client_crl:
            raise ValueError("client_crl: the CA asks its own books who is revoked; leave it out")
        return value

    @property
    def session_life(self) -> timedelta:
        """How long a device has between the two messages of enrolment."""
        return timedelta(seconds=self.session_life_s)

    @property
    def station_session_life(self) -> timedelta:
        """The same where a supplier's station carries the messages in files."""
        return timedelta(seconds=self.station_session_life_s)

    @property
    def crl_life(self) -> timedelta:
        """NextUpdate - thisUpdate of every CRL; a new one appears at half of it."""
        return timedelta(seconds=self.crl_life_s)

    @property
    def recovery_life(self) -> timedelta:
        """How long a recovery result may be used to lift a hold."""
        return timedelta(seconds=self.recovery_life_s)
