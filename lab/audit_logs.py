"""The audit logs of the lab: each read whole by a counterpart, from a checkpoint kept at the beginning to the end.

Rule: who relies on a service reads its log, with the verifier key that its operator handed out and nothing else.
"""

from dataclasses import dataclass
from typing import Final

from clients.audit_log import AuditLogClient
from edge.ledger import LedgerError
from edge.log_verification import VerifiedLog, verify_log
from lab.identities import CCIF, DPF, DRF, ICF, SHO, VNO
from lab.outcomes import ended
from lab.scene import Scene
from standards.merkle.checkpoint import VerifierKey
from standards.merkle.tree import MerkleError

READERS: Final = {
    "ca": "admin",
    "pva": SHO,
    SHO: DPF,
    DPF: SHO,
    DRF: SHO,
    VNO: ICF,
    ICF: VNO,
    CCIF: "supplier-1",
}
"""Service -> who reads its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLogs:
    """What the readers have kept: the first verified checkpoint of each log."""

    scene: Scene
    kept: dict[str, VerifiedLog]

    @classmethod
    def first_look(cls, scene: Scene) -> "AuditLogs":
        """Verify every log as it is now, and keep the checkpoints. Raises MerkleError."""
        return cls(scene=scene, kept={service: _read(scene, service, known=None) for service in READERS})

    def look_again(self) -> None:
        """Tell whether each log grew and holds what was signed before."""
        for service, reader in READERS.items():
            before = self.kept[service].checkpoint.size
            try:
                after = _read(self.scene, service, known=self.kept[service].note).checkpoint.size
            except (MerkleError, LedgerError) as error:
                happened = f"not proven: {error}"
            else:
                happened = "grew, nothing taken back" if after > before else f"did not grow from {before}"
                self.scene.narrator.remark(f"       {service}: {before} leaves at first, {after} now")
            told = f"audit log of {service}, read by {reader}"
            ended(self.scene, "log", told, expected="grew, nothing taken back", happened=happened)


def _read(scene: Scene, service: str, *, known: bytes | None) -> VerifiedLog:
    services = scene.services
    key = VerifierKey.parse((services.site.role(service) / "log" / "log.vkey").read_text())
    http = services.http(service, "operator", services.identity(READERS[service]))
    try:
        return verify_log(AuditLogClient(http), key, known=known)
    finally:
        http.close()
