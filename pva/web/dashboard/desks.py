"""The use cases that have pages."""

from dataclasses import dataclass

from edge.administrators import AdministratorDesk
from edge.audit_log import AuditLog
from pva.fleet.fleet import FleetDesk
from pva.fleet.journey import JourneyDesk
from pva.manifests.approvals import ManifestApprovalDesk
from pva.manifests.proposals import ProposalDesk
from pva.manifests.recognition import RecognitionDesk
from pva.policies.desk import PolicyDesk
from pva.results.explanation import ExplanationDesk
from pva.updates.rollouts import RolloutDesk


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardDesks:
    """What the dashboard asks; `log` is None where none is kept."""

    fleet: FleetDesk
    journeys: JourneyDesk
    explanations: ExplanationDesk
    recognition: RecognitionDesk
    manifests: ManifestApprovalDesk
    rollouts: RolloutDesk
    policies: PolicyDesk
    proposals: ProposalDesk
    administrators: AdministratorDesk
    log: AuditLog | None = None
