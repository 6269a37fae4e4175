"""Suspending a supplier, a model or a batch, and lifting that under dual control (D6, D7, R28).

The one rule: the scope decides. A suspension is one row, whatever the number of certificates below it: responders
are told of the scope beside the change feed and answer certificateHold for every Platform Credential in it, those that
are issued later among them; the CRLs follow by themselves. The status of each certificate, and its version, stay as
they are, so lifting a suspension frees nobody who was revoked or held for a reason of his own.

    none --suspend (admin; es its own)--> in force --lift (two administrators, within a day)--> lifted
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from json import dumps
from typing import Any, Protocol

from ca.callers import Caller
from ca.errors import ConflictError, InvalidInputError, NotFoundError
from ca.profiles import Kind
from ca.races import repeated
from ca.records import Authority, Device, Issued
from edge.dual_control import ADMINISTRATORS, Approval
from edge.process import Clock

BY_ACCREDITATION = "accreditation"
"""Who suspends where an audit ended (`ca.accreditations`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose Platform Credentials: all of a supplier, or those of one model or one batch of his."""

    supplier: str
    model: str | None = None
    batch: str | None = None

    def covers(self, *, model: str | None, batch: str | None) -> bool:
        """Whether a device of this supplier, of that model and batch, is in it."""
        return self.model in (None, model) and self.batch in (None, batch)

    def __str__(self) -> str:
        """How refusals and the audit log name it."""
        part = f", model {self.model}" if self.model else f", batch {self.batch}" if self.batch else ""
        return f"supplier {self.supplier}{part}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """A suspension; `id` is the SHA-256 of what it says, in hex, and what administrators approve the lifting of.

    `approvals` are those of its lifting; `seq` is its place among changes of status.
    """

    id: str
    scope: Scope
    reason: str
    suspended_by: str
    suspended_at: datetime
    seq: int
    approvals: tuple[Approval, ...] = ()
    lifted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """A suspension as responders need it: the issuing CAs of the supplier instead of its name."""

    id: str
    issuers: tuple[str, ...]
    model: str | None
    batch: str | None
    since: datetime


class SuspensionRecords(Protocol):
    """Port to suspensions and what they are about."""

    def root(self, kind: Kind, *, supplier: str | None = None) -> Authority | None:
        """The root of this kind."""

    def has_model(self, supplier: str, model: str) -> bool:
        """Whether the supplier has a model of this name."""

    def has_batch(self, supplier: str, batch: str) -> bool:
        """Whether the supplier has a batch of this name."""

    def device(self, device_id: str) -> Device | None:
        """The listed device with this id."""

    def suspensions(self, *, supplier: str | None = None) -> list[Suspension]:
        """All suspensions, of one supplier or of all, oldest first."""

    def suspension(self, suspension_id: str) -> Suspension | None:
        """The suspension of this id."""

    def removed_keys(self) -> frozenset[str]:
        """Keys of administrators who were removed."""

    def next_status_seq(self) -> int:
        """The next place among changes of status."""

    def add_suspension(self, suspension: Suspension) -> None:
        """Record a suspension."""

    def save_lifting(self, suspension: Suspension, *, lifted_seq: int | None) -> None:
        """Record the approvals of a lifting, and the lifting where `lifted_at` is there."""

    def suspensions_in_force(self) -> tuple[int, list[InForce]]:
        """The last place among changes of status at which one began or ended, and those in force now."""

    def audit(self, *, kind: str, subject: str, record: dict[str, Any], at: datetime) -> None:
        """Add one leaf to the ledger."""


class SuspensionStore(Protocol):
    """Port to transactions over them."""

    def reading(self) -> AbstractContextManager[SuspensionRecords]:
        """A transaction that cannot change anything."""

    def writing(self) -> AbstractContextManager[SuspensionRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspensions:
    """The use cases."""

    store: SuspensionStore
    clock: Clock

    @repeated
    def suspend(self, scope: Scope, *, reason: str, caller: Caller) -> Suspension:
        """Suspend a scope; the same scope again changes nothing."""
        at = self.clock()
        with self.store.writing() as records:
            # 1 a supplier of this CA, and something of his
            caller.speak_for(scope.supplier, subject=str(scope))
            _check_scope(records, scope)
            # 2 once is enough
            for each in records.suspensions(supplier=scope.supplier):
                if each.scope == scope and each.lifted_at is None and each.suspended_by != BY_ACCREDITATION:
                    return each
            # 3 one row and its audit leaf
            seq = records.next_status_seq()
            made = suspension_of(scope, reason=reason, by=caller.name, at=at, seq=seq)
            records.add_suspension(made)
            record = {"suspension": made.id, "reason": reason, "by": caller.name}
            records.audit(kind="suspended", subject=str(scope), record=record, at=at)
            return made

    @repeated
    def lift(self, suspension_id: str, *, caller: Caller) -> Suspension:
        """Approve that a suspension be lifted; it is, with the approval of the last administrator who is needed.

        Lifted already changes nothing.
        """
        at = self.clock()
        with self.store.writing() as records:
            found = records.suspension(suspension_id)
            if found is None:
                raise _no_such_suspension(suspension_id)
            if found.lifted_at is not None:
                return found
            if found.suspended_by == BY_ACCREDITATION:
                raise _lapsed(found)
            # 1 another administrator with another key, and nobody behind both
            approvals = caller.approving(
                found.approvals, subject=str(found.scope), at=at, removed=records.removed_keys()
            )
            # 2 enough of them lift it; audit leaf
            enough = len(approvals) >= ADMINISTRATORS
            lifted = replace(found, approvals=approvals, lifted_at=at if enough else None)
            records.save_lifting(lifted, lifted_seq=records.next_status_seq() if enough else None)
            record = {"suspension": found.id, **caller.told(), "lifted": enough}
            records.audit(kind="suspension-lifting", subject=str(found.scope), record=record, at=at)
            return lifted

    def listed(self, *, caller: Caller) -> list[Suspension]:
        """All suspensions that the caller may see, oldest first."""
        with self.store.reading() as records:
            return records.suspensions(supplier=caller.tenant if caller.role == "es" else None)

    def of(self, issued: Issued) -> list[Suspension]:
        """The suspensions in force that a Platform Credential is under."""
        if issued.supplier is None or issued.device_id is None:
            return []
        with self.store.reading() as records:
            device = records.device(issued.device_id)
            found = records.suspensions(supplier=issued.supplier)
        return [
            each
            for each in found
            if device is not None
            and each.lifted_at is None
            and each.scope.covers(model=device.model, batch=device.batch)
        ]


def _check_scope(records: SuspensionRecords, scope: Scope) -> None:
    if scope.model is not None and scope.batch is not None:
        raise InvalidInputError(
            "suspension-scope",
            subject=str(scope),
            detail="expected a model or a batch, got both",
            remedy="suspend the model, or the batch, or each of them",
        )
    missing = None
    if records.root(Kind.ES_ROOT, supplier=scope.supplier) is None:
        missing = "supplier of this name"
    elif scope.model is not None and not records.has_model(scope.supplier, scope.model):
        missing = "model of this name"
    elif scope.batch is not None and not records.has_batch(scope.supplier, scope.batch):
        missing = "batch of this name"
    if missing is not None:
        raise NotFoundError(
            "no-such-scope",
            subject=str(scope),
            detail=f"this CA has no {missing}",
            remedy="give the names as the CA has them: pva supplier list, pva issuing-ca list",
        )


def _no_such_suspension(suspension_id: str) -> NotFoundError:
    return NotFoundError(
        "no-such-suspension",
        subject=f"suspension {suspension_id[:64]}",
        detail="this CA has no suspension of this id",
        remedy="give the id (64 hexadecimal digits): pva supplier suspensions",
    )


def suspension_of(scope: Scope, *, reason: str, by: str, at: datetime, seq: int) -> Suspension:
    """A new suspension, under the digest of what it says."""
    said = [scope.supplier, scope.model, scope.batch, reason, by, at.isoformat(), seq]
    return Suspension(
        id=sha256(dumps(said).encode()).hexdigest(),
        scope=scope,
        reason=reason,
        suspended_by=by,
        suspended_at=at,
        seq=seq,
    )


def _lapsed(found: Suspension) -> ConflictError:
    return ConflictError(
        "accreditation-ended",
        subject=str(found.scope),
        detail=found.reason,
        remedy="import a newer list of the overseer, with an audit that is in force: pva trust-list import FILE --to ca",
    )
