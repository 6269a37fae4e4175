"""The audit logs of the lab: each read whole by a counterpart, from a checkpoint kept at the beginning to the end.

Rule: who relies on a service reads its log, with the verifier key that its operator handed out and nothing else.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from clients.audit_log import AuditLogClient
from clients.inclusion import NothingPromisedError, PromiseBrokenError, check_promise
from edge.ledger_leaf import LedgerError
from edge.log_verification import VerifiedLog, verify_log
from edge.process import system_clock
from lab.identities import CCIF, DPF, DRF, ICF, SHO, VNO
from lab.outcomes import ended
from lab.scene import Scene
from messages.reliance import verify_result
from standards.merkle.checkpoint import VerifierKey
from standards.merkle.tree import MerkleError
from standards.pki.fingerprints import decode_pem_certificates
from standards.rats.ear import AttestationResult

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
    """What the readers have kept: the first verified checkpoint of each log, and a result that promises its leaf."""

    scene: Scene
    kept: dict[str, VerifiedLog]
    result: AttestationResult

    @classmethod
    def first_look(cls, scene: Scene, *, result: str) -> "AuditLogs":
        """Verify every log as it is now and a fresh result, and keep them. Raises MerkleError or MessageError."""
        anchors = decode_pem_certificates(scene.services.operators_root.read_bytes())
        return cls(
            scene=scene,
            kept={service: _read(scene, service, known=None) for service in READERS},
            result=verify_result(result, anchors=anchors, at=system_clock()),
        )

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
        told = f"what a result promises of its leaf, looked for by {READERS['pva']}"
        ended(self.scene, "log", told, expected="it is in the log", happened=self._promise())

    def _promise(self) -> str:
        with _opened(self.scene, "pva") as (log, key):
            try:
                state = check_promise(self.result, log=log, key=key, at=system_clock())
            except (NothingPromisedError, PromiseBrokenError) as error:
                return str(error)
        return "there is time yet" if state.checkpoint is None else "it is in the log"


def _read(scene: Scene, service: str, *, known: bytes | None) -> VerifiedLog:
    with _opened(scene, service) as (log, key):
        return verify_log(log, key, known=known)


@contextmanager
def _opened(scene: Scene, service: str) -> Iterator[tuple[AuditLogClient, VerifierKey]]:
    """The log of a service as its reader sees it, and the key that its operator handed out."""
    services = scene.services
    key = VerifierKey.parse((services.site.role(service) / "log" / "log.vkey").read_text())
    http = services.http(service, "operator", services.identity(READERS[service]))
    try:
        yield AuditLogClient(http), key
    finally:
        http.close()
