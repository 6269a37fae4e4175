"""Settings of listeners, as every service with TLS names them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from edge.http_server import BODY_BYTES_MAX, Listener, ServerTls
from edge.periodic import Periodic
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

    def tls(self) -> ServerTls:
        """The listener's TLS side."""
        return ServerTls(certificate=self.certificate, key=self.key, passphrase_file=self.passphrase_file)

    def listener(
        self,
        name: str,
        app: Callable[..., Any],
        *,
        body_bytes_max: int = BODY_BYTES_MAX,
        beside: tuple[Periodic, ...] = (),
    ) -> Listener:
        """The listener of this name with its application; `beside` is work that it needs while it is served."""
        return Listener(
            name=name,
            host=self.host,
            port=self.port,
            app=app,
            tls=self.tls(),
            body_bytes_max=body_bytes_max,
            beside=beside,
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

    def tls(self) -> ServerTls:
        """See `TlsListenerSettings`; every client proves a certificate."""
        return replace(super().tls(), client_anchors=self.client_anchors)

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
