"""Settings of listeners, as every service with TLS names them."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from edge.http_server import ServerTls
from edge.rate_limits import Rate, RateLimit
from edge.settings import Settings, SettingsPath

CrlUrl = Annotated[str, StringConstraints(pattern=r"^http://[^?#]+$")]
"""Where a CRL is published."""


class ListenerSettings(Settings):
    """Address of a listener; port 0 takes any free one."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0


class TlsListenerSettings(ListenerSettings):
    """Address and TLS side of a listener."""

    certificate: SettingsPath
    key: SettingsPath
    passphrase_file: SettingsPath | None = None

    def tls(self, *, client_anchors: SettingsPath | None = None) -> ServerTls:
        """The listener's TLS side."""
        return ServerTls(
            certificate=self.certificate,
            key=self.key,
            passphrase_file=self.passphrase_file,
            client_anchors=client_anchors,
        )


class OperatorListenerSettings(TlsListenerSettings):
    """The mutual-TLS listener: whose certificates are let in, and what each may do.

    `requests_per_s` and `requests_burst` limit each principal, over all routes. `client_crl`: URL or file of the CRL of each CA in `client_anchors`; without any, revocation is not judged here.
    """

    client_anchors: SettingsPath
    principals: SettingsPath
    requests_per_s: Annotated[float, Field(gt=0, le=100_000)] = 200
    requests_burst: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    client_crl: tuple[CrlUrl | SettingsPath, ...] = ()
    client_crl_interval_s: Annotated[float, Field(ge=1, le=86_400)] = 60
    client_crl_stale: Literal["refuse", "alarm"] = "refuse"

    def rate_limit(self) -> RateLimit:
        """The limit of each principal, with full buckets."""
        return RateLimit(Rate(per_s=self.requests_per_s, burst=self.requests_burst))

    @field_validator("client_crl")
    @classmethod
    def _is_plain_http_or_a_file(cls, value: tuple[str | Path, ...]) -> tuple[str | Path, ...]:
        for each in value:
            if isinstance(each, Path) and ":/" in str(each):
                raise ValueError(f"expected http:// (a CRL is signed) or a file, got {each}")
        return value
