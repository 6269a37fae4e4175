"""Use case: suspending a supplier or a model at this PVA, and proposing that it be lifted (D6, D7, R28).

Rule: one administrator suspends, since that only makes this PVA trust less; lifting is a proposal. It counts from the
next validation on, wherever the supplier's status comes from. A batch is known to the CA alone and is suspended there.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pva.manifests.approvals import Administrator
from pva.manifests.proposals import Proposal, ProposalDesk, ProposalKind
from pva.refusals import RefusalCode, RefusalError


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplierSuspension:
    """A suspension; `id` is the SHA-256 of what it says, in hex."""

    id: str
    supplier: str
    model: str | None
    reason: str
    suspended_by: str
    suspended_at: datetime
    lifted_at: datetime | None = None

    @property
    def subject(self) -> str:
        """How refusals and the audit log name what is suspended."""
        return f"supplier {self.supplier}" + ("" if self.model is None else f", model {self.model}")


class SuspensionRecords(Protocol):
    """What this use case needs of a store; each call is one transaction with its audit leaf."""

    def suspend(self, suspension: SupplierSuspension) -> SupplierSuspension:
        """Record it; the one in force of the same supplier and model where there is one.

        Raises RefusalError: the supplier is not recognised, or has no such model.
        """

    def suspensions(self) -> Sequence[SupplierSuspension]:
        """Every suspension, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspensionDesk:
    """The use case."""

    records: SuspensionRecords
    proposals: ProposalDesk

    def suspend(
        self, supplier: str, *, model: str | None, reason: str, by: str, at: datetime
    ) -> SupplierSuspension:
        """Suspend a supplier, or one of its models; the same again changes nothing. Raises RefusalError."""
        said = json.dumps([supplier, model, reason, by, at.isoformat()])
        return self.records.suspend(
            SupplierSuspension(
                id=hashlib.sha256(said.encode()).hexdigest(),
                supplier=supplier,
                model=model,
                reason=reason,
                suspended_by=by,
                suspended_at=at,
            )
        )

    def lift(self, suspension_id: str, *, by: Administrator, at: datetime) -> Proposal:
        """Propose or approve the lifting of a suspension in force. Raises RefusalError."""
        found = next((each for each in self.suspensions() if each.id == suspension_id), None)
        if found is None or found.lifted_at is not None:
            raise RefusalError(
                RefusalCode.NOT_FOUND,
                subject=f"suspension {suspension_id[:64]}",
                reason="none of this id is in force",
            )
        return self.proposals.propose(
            ProposalKind.LIFTING, subject=found.subject, content=found.id, by=by, at=at
        )

    def suspensions(self) -> Sequence[SupplierSuspension]:
        """Every suspension, oldest first."""
        return self.records.suspensions()
