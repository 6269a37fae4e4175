"""Lifting the hold that a person put on a Platform Credential: two administrators, within a day (D7).

The one rule: approvals are for one hold, known by the version of the status; a hold that is set later needs two of its own.
A hold for attestation results is not lifted here: a recovery and the supplier's release do that (`ca.holds`).

    certificateHold (es, admin) --approve (admin)--> waits for another administrator --approve--> good
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ca.callers import Caller
from ca.errors import ConflictError
from ca.holds import check_on_hold, platform_credential, subject_of
from ca.lifecycle import Reason, Status
from ca.races import repeated
from ca.records import HoldRecord, Issued, serial_text
from edge.dual_control import ADMINISTRATORS, Approval
from edge.process import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifting:
    """A Platform Credential, and how far the lifting of its hold is."""

    issued: Issued
    approvals: tuple[Approval, ...]


class LiftingRecords(Protocol):
    """Port to Platform Credentials, their status, and who approved that a hold be lifted."""

    def certificate(self, ca_id: str, serial: int) -> Issued | None:
        """The certificate with its present status; (issuer, serial) always go together."""

    def hold(self, issued: Issued) -> HoldRecord | None:
        """The hold for results that the present status of this certificate stands on."""

    def hold_approvals(self, issued: Issued) -> tuple[Approval, ...]:
        """Approvals that the hold of this version of the status be lifted."""

    def save_hold_approvals(self, issued: Issued, approvals: Sequence[Approval]) -> None:
        """Replace them."""

    def removed_keys(self) -> frozenset[str]:
        """Keys of administrators who were removed."""

    def change_status(self, issued: Issued, *, status: Status, reason: Reason | None, at: datetime) -> int:
        """Append the next status row; the version that it has."""

    def audit(self, *, kind: str, subject: str, record: dict[str, Any], at: datetime) -> None:
        """Add one leaf to the ledger."""


class LiftingStore(Protocol):
    """Port to transactions over them."""

    def writing(self) -> AbstractContextManager[LiftingRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldLiftings:
    """The use case; `publish` makes the next CRL of a CA's partition."""

    store: LiftingStore
    clock: Clock
    publish: Callable[[str, int], object]

    @repeated
    def lift(self, issuer: str, serial: int, *, caller: Caller) -> Lifting:
        """Approve that a person's hold be lifted; it is, with the approval of the last administrator who is needed."""
        at = self.clock()
        with self.store.writing() as records:
            # 1 a PfC of this CA, on hold by a person
            issued = platform_credential(records.certificate(issuer, serial), serial=serial)
            _check_held_by_a_person(records, issued)
            # 2 another administrator with another key, and nobody behind both
            given = records.hold_approvals(issued)
            approvals = caller.approving(
                given, subject=subject_of(issued), at=at, removed=records.removed_keys()
            )
            records.save_hold_approvals(issued, approvals)
            # 3 enough of them: next status row and feed; audit leaf in any case
            enough = len(approvals) >= ADMINISTRATORS
            if enough:
                records.change_status(issued, status=Status.GOOD, reason=None, at=at)
            record = {
                "issuer": issued.ca_id,
                "serial": serial_text(issued.serial),
                **caller.told(),
                "lifted": enough,
            }
            records.audit(kind="hold-lifting", subject=issued.subject, record=record, at=at)
            issued = platform_credential(records.certificate(issuer, serial), serial=serial)
        # 4 the CRL follows
        if enough:
            self.publish(issued.ca_id, issued.crl_partition)
        return Lifting(issued=issued, approvals=approvals)


def _check_held_by_a_person(records: LiftingRecords, issued: Issued) -> None:
    check_on_hold(issued)
    if records.hold(issued) is not None:
        raise ConflictError(
            "held-for-results",
            subject=subject_of(issued),
            detail="its hold stands on attestation results",
            remedy="have the device validated for the purpose recovery, then its supplier releases it: "
            "pva credential release",
        )
