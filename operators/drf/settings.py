"""Settings of the DRF's process (TOML and `PVA_*`); relative paths are taken from the file's folder.

Rule: read once, in `operators.drf.app`; an unknown key is an error that names it. Which operators a device can be
sent to, and where, stands here and nowhere else.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from edge.audit_log import AuditLogSettings
from edge.database_faults import DatabaseUrl
from edge.listener_settings import OperatorListenerSettings, TlsListenerSettings
from edge.management import ManagementSettings
from edge.settings import Settings, SettingsPath
from edge.signing_keys import SigningKeySettings
from edge.upstream_settings import UpstreamSettings
from operators.drf.discovery import HomeOperator

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Url = Annotated[str, StringConstraints(max_length=500, pattern=r"^https://[!-~]+$")]


class HomeOperatorSettings(Settings):
    """An SHO: its name for people, its operator listener, device listeners of its PVA and DPF; `pva` of `pvas`."""

    name: Id
    upstream: UpstreamSettings
    pva_url: Url
    dpf_url: Url
    pva: Id | None = None


class DrfSettings(Settings):
    """The whole of the DRF's settings; `shos` by id, `pvas` by id, `supplier_defaults` supplier -> SHO."""

    profile: Literal["production", "lab"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    management: ManagementSettings | None = None
    id: Id
    database: DatabaseUrl
    device: TlsListenerSettings
    operator: OperatorListenerSettings
    audit_log: AuditLogSettings | None = None
    discovery_key: SigningKeySettings
    operators_root: SettingsPath
    shos: Annotated[dict[Id, HomeOperatorSettings], Field(min_length=1)]
    pvas: dict[Id, UpstreamSettings] = Field(default_factory=dict)
    supplier_defaults: dict[Id, Id] = Field(default_factory=dict)
    attachment_life_max_s: Annotated[int, Field(ge=60, le=7 * 86_400)] = 86_400
    order_life_s: Annotated[int, Field(ge=60, le=365 * 86_400)] = 30 * 86_400
    answer_life_s: Annotated[int, Field(ge=10, le=86_400)] = 600

    @model_validator(mode="after")
    def _names_what_it_knows(self) -> "DrfSettings":
        unknown = {each.pva for each in self.shos.values() if each.pva is not None} - set(self.pvas)
        unknown |= set(self.supplier_defaults.values()) - set(self.shos)
        if unknown:
            raise ValueError(f"no table describes {', '.join(sorted(map(repr, unknown)))}")
        return self

    def operators(self) -> dict[str, HomeOperator]:
        """The SHOs as discovery names them."""
        return {
            name: HomeOperator(id=name, name=each.name, pva_url=each.pva_url, dpf_url=each.dpf_url)
            for name, each in self.shos.items()
        }
