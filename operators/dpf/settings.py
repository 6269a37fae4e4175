"""Settings of the DPF's process (TOML and `PVA_*`); relative paths are taken from the file's folder.

Rule: read once, in `operators.dpf.app`; an unknown key is an error that names it. Whom this DPF recognises and how
long things live is a setting; what the gate checks is not. Whether an SHO or an RO runs this process is nothing that
it knows: `shos` names whom it delivers for (R67, R73).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cryptography import x509
from pydantic import Field, StringConstraints

from edge.audit_log import AuditLogSettings
from edge.database_faults import DatabaseUrl
from edge.listener_settings import OperatorListenerSettings, TlsListenerSettings
from edge.management import ManagementSettings
from edge.settings import Settings, SettingsPath
from edge.signing_keys import SigningKeySettings
from edge.upstream_settings import UpstreamSettings
from messages.mid_package import CONTENT_BYTES_MAX
from operators.dpf.credential import Supplier
from standards.pki.fingerprints import decode_pem_certificates

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
OcspUrl = Annotated[str, StringConstraints(max_length=500, pattern=r"^http://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?$")]
TreLevel = Annotated[int, Field(ge=0, le=3)]


class SupplierSettings(Settings):
    """A recognised supplier; `models` maps hwType (dotted OID) to the TRE level that this product needs."""

    name: Id
    root: SettingsPath
    ocsp_url: OcspUrl
    tre_level_min: TreLevel = 0
    models: dict[str, TreLevel] = Field(default_factory=dict)

    def supplier(self) -> Supplier:
        """The supplier with its root read. Raises DecodeError, or ValueError unless there is one certificate."""
        return Supplier(
            name=self.name,
            root=_one(decode_pem_certificates(self.root.read_bytes()), self.root),
            ocsp_url=self.ocsp_url,
            tre_level_min=self.tre_level_min,
            models=dict(self.models),
        )


class DpfSettings(Settings):
    """The whole of the DPF's settings; `pvas` and `shos` are keyed by the ids in their certificates."""

    profile: Literal["production", "lab"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    management: ManagementSettings | None = None
    id: Id
    database: DatabaseUrl
    device: TlsListenerSettings
    operator: OperatorListenerSettings
    delivery_key: SigningKeySettings
    operators_root: SettingsPath
    audit_log: AuditLogSettings | None = None
    pvas: Annotated[dict[Id, UpstreamSettings], Field(min_length=1)]
    shos: Annotated[dict[Id, UpstreamSettings], Field(min_length=1)]
    suppliers: Annotated[tuple[SupplierSettings, ...], Field(min_length=1)]
    chunk_bytes: Annotated[int, Field(ge=64, le=CONTENT_BYTES_MAX)] = 4_096
    validation_life_s: Annotated[int, Field(ge=10, le=3_600)] = 300
    grant_life_s: Annotated[int, Field(ge=10, le=3_600)] = 300
    delivery_pause_s: Annotated[int, Field(ge=0, le=3_600)] = 1
    forward_interval_s: Annotated[float, Field(ge=0.1, le=3_600)] = 30.0
    ocsp_timeout_s: Annotated[float, Field(gt=0, le=30)] = 5.0


def _one(certificates: Sequence[x509.Certificate], path: Path) -> x509.Certificate:
    if len(certificates) != 1:
        raise ValueError(f"{path}: expected one certificate, got {len(certificates)}")
    return certificates[0]
