"""Settings of the VNO's process (TOML and `PVA_*`); relative paths are taken from the file's folder."""

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from edge.audit_log import AuditLogSettings
from edge.database_faults import DatabaseUrl
from edge.http_server import ServerTls
from edge.listener_settings import ListenerSettings, OperatorListenerSettings, TlsListenerSettings
from edge.management import ManagementSettings
from edge.settings import Settings, SettingsPath
from edge.upstream_settings import UpstreamSettings
from operators.vno.admission import IpNetwork
from operators.vno.routing import Network

_ROUTE = re.compile(r"(?P<mcc>[0-9]{3})-(?P<mnc>[0-9]{2,3})", re.ASCII)


class AttachListenerSettings(ListenerSettings):
    """The attach listener: plain where the radio link is ciphered itself, else with certificate and key."""

    certificate: SettingsPath | None = None
    key: SettingsPath | None = None
    passphrase_file: SettingsPath | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "AttachListenerSettings":
        if (self.certificate is None) != (self.key is None):
            raise ValueError("expected certificate and key, or neither of them")
        return self

    def tls(self) -> ServerTls | None:
        """The listener's TLS side, if it has one."""
        if self.certificate is None or self.key is None:
            return None
        return ServerTls(certificate=self.certificate, key=self.key, passphrase_file=self.passphrase_file)


class GatewaySettings(TlsListenerSettings):
    """The gateway; `public_address` (host:port) is what devices are told, where it is not the bound one.

    `reachable_networks`: addresses besides global ones that tunnels may lead to, such as 10.20.0.0/16.
    """

    public_address: Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+:[0-9]{1,5}$")] | None = None
    reachable_networks: tuple[str, ...] = ()
    connections_max: Annotated[int, Field(ge=1, le=65_536)] = 512

    @field_validator("reachable_networks")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ipaddress.ip_network(each)
        return value

    @property
    def networks(self) -> tuple[IpNetwork, ...]:
        """The networks as values."""
        return tuple(ipaddress.ip_network(each) for each in self.reachable_networks)


class RouteSettings(UpstreamSettings):
    """A home network: the ICF of PCIDs, which hears of attachments, or the AuC of an operator's subscriptions.

    Nobody needs to discover an operator for a subscription, so its AuC has no route for attachments.
    """

    hears_attachments: bool = True


class VnoSettings(Settings):
    """The whole of the VNO's settings.

    `serving_network` is this network's tenant in the home networks' tables of principals; `routes` names each home
    network by "MCC-MNC", the MNC with as many digits as it has there. `operator` is where `audit_log` is read.
    """

    profile: Literal["production", "lab"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    management: ManagementSettings | None = None
    serving_network: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    database: DatabaseUrl
    device: AttachListenerSettings
    gateway: GatewaySettings
    operator: OperatorListenerSettings | None = None
    audit_log: AuditLogSettings | None = None
    routes: Annotated[dict[str, RouteSettings], Field(min_length=1)]
    session_life_s: Annotated[int, Field(ge=1, le=60)] = 10
    sessions_max: Annotated[int, Field(ge=1, le=1 << 20)] = 4_096

    @field_validator("routes")
    @classmethod
    def _are_routes(cls, value: dict[str, RouteSettings]) -> dict[str, RouteSettings]:
        for key in value:
            if not _ROUTE.fullmatch(key):
                raise ValueError(f'expected MCC-MNC as in "001-01", got {key!r}')
        return value

    @model_validator(mode="after")
    def _log_can_be_read(self) -> "VnoSettings":
        if (self.audit_log is None) != (self.operator is None):
            raise ValueError(
                "expected audit_log and operator, the listener where it is read, or neither of them"
            )
        return self

    def networks(self) -> dict[Network, RouteSettings]:
        """The ICF or AuC of each home network."""
        return {(key[:3], key[4:]): value for key, value in self.routes.items()}
