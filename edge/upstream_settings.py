"""Settings of services that a service calls: where, and as whom."""

from pydantic import Field

from edge.http_client import ClientTls, HttpClient
from edge.settings import Settings, SettingsPath


class UpstreamSettings(Settings):
    """Another service's operator listener over mutual TLS: the caller's certificate says its role there.

    `url` is https, a host and at most a port and a path: what is called stands here whole, without user, query or fragment.
    """

    url: str = Field(pattern=r"^https://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?$", max_length=500)
    anchors: SettingsPath
    certificate: SettingsPath
    key: SettingsPath
    passphrase_file: SettingsPath
    timeout_s: float = Field(default=5.0, gt=0, le=60)

    def client(self, *, response_bytes_max: int = 1 << 20) -> HttpClient:
        """A client of the service."""
        tls = ClientTls(
            anchors=self.anchors,
            certificate=self.certificate,
            key=self.key,
            passphrase_file=self.passphrase_file,
        )
        return HttpClient(self.url, tls=tls, timeout_s=self.timeout_s, response_bytes_max=response_bytes_max)
