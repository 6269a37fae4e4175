"""Settings of listeners, as every service with TLS names them."""

from typing import Annotated

from pydantic import Field

from edge.http_server import ServerTls
from edge.settings import Settings, SettingsPath


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
    """The mutual-TLS listener: whose certificates are let in, and what each may do."""

    client_anchors: SettingsPath
    principals: SettingsPath
