"""Settings of the ICF's process (TOML and `PVA_*`); relative paths are taken from the file's folder."""

from typing import Annotated, Literal

from pydantic import Field

from edge.audit_log import AuditLogSettings
from edge.database_faults import DatabaseUrl
from edge.listener_settings import OperatorListenerSettings
from edge.management import ManagementSettings
from edge.settings import Settings, SettingsPath
from edge.upstream_settings import UpstreamSettings


class IcfSettings(Settings):
    """The whole of the ICF's settings; `subscriber_key_file` holds 64 hexadecimal digits, apart from the database."""

    profile: Literal["production", "lab"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    management: ManagementSettings | None = None
    database: DatabaseUrl
    operator: OperatorListenerSettings
    audit_log: AuditLogSettings | None = None
    drf: UpstreamSettings
    subscriber_key_file: SettingsPath
    vectors_per_batch: Annotated[int, Field(ge=1, le=5)] = 1
    vector_life_s: Annotated[int, Field(ge=5, le=3_600)] = 120
