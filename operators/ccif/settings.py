"""Settings of the CCIF's process (TOML and `PVA_*`); relative paths are taken from the file's folder."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from edge.audit_log import AuditLogSettings
from edge.database_faults import DatabaseUrl
from edge.listener_settings import OperatorListenerSettings
from edge.management import ManagementSettings
from edge.settings import Settings, SettingsPath
from edge.signing_keys import SigningKeySettings
from edge.upstream_settings import UpstreamSettings
from messages.destination import check_destination
from messages.errors import MessageError
from operators.ccif.connectivity import NumberRange


class NumberSettings(Settings):
    """The network that PCIDs belong to, and how many digits are drawn: at most 15 in all."""

    mcc: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")]
    mnc: Annotated[str, StringConstraints(pattern=r"^[0-9]{2,3}$")]
    msin_digits: Annotated[int, Field(ge=4, le=10)] = 9

    def numbers(self) -> NumberRange:
        """The range; ValueError for more than 15 digits."""
        return NumberRange(mcc=self.mcc, mnc=self.mnc, msin_digits=self.msin_digits)


class BearerSettings(Settings):
    """What a PCID opens: destinations are host:port of the services that a device needs until it has its MID."""

    apn: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,98}[a-z0-9])?$")]
    destinations: Annotated[tuple[str, ...], Field(min_length=1, max_length=64)]
    quota_bytes: Annotated[int, Field(ge=1, le=1 << 40)] = 16 << 20
    life_s: Annotated[int, Field(ge=1, le=30 * 86_400)] = 3_600

    @field_validator("destinations")
    @classmethod
    def _are_destinations(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(check_destination(each) for each in value)
        except MessageError as error:
            raise ValueError(str(error)) from None


class CcifSettings(Settings):
    """The whole of the CCIF's settings; `subscriber_key_file` holds 64 hexadecimal digits, apart from the database.

    `op` is the operator variant of MILENAGE, common to all networks that serve these devices: not a secret.
    """

    profile: Literal["production", "lab"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    management: ManagementSettings | None = None
    issuer: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    database: DatabaseUrl
    operator: OperatorListenerSettings
    audit_log: AuditLogSettings | None = None
    icf: UpstreamSettings
    operators_root: SettingsPath
    connectivity_key: SigningKeySettings
    subscriber_key_file: SettingsPath
    numbers: NumberSettings
    bearer: BearerSettings
    op: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    amf: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{4}$")] = "0000"
