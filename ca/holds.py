"""Holding a Platform Credential for what its PVA has seen, and lifting that hold (D6).

The one rule: a hold carries the attestation results that it stands on, and a result counts once; it is lifted by two
who do not speak for each other: a PVA that has seen the device recover, and the supplier that releases it.

    good --results (pva)--> certificateHold --recovery result (pva), then release (es, its own)--> good

What a PVA repeats changes nothing: a result that a hold of this credential has used, or that came too late for a
credential that is revoked, leaves the status and its version as they are. A hold that a person set stands on no
results, and nothing here lifts it: two administrators do (`ca.hold_liftings`).
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from ca.callers import Caller
from ca.errors import ConflictError, NotFoundError
from ca.lifecycle import Reason, Status
from ca.profiles import Kind
from ca.races import repeated
from ca.records import HoldRecord, Issued, serial_text
from edge.process import Clock


class HoldRecords(Protocol):
    """Port to Platform Credentials, their status, and the holds on them."""

    def certificate(self, ca_id: str, serial: int) -> Issued | None:
        """The certificate with its present status; (issuer, serial) always go together."""

    def change_status(self, issued: Issued, *, status: Status, reason: Reason | None, at: datetime) -> int:
        """Append the next status row; the version that it has."""

    def hold(self, issued: Issued) -> HoldRecord | None:
        """The hold that the present status of this certificate stands on."""

    def any_result_used(self, issued: Issued, results: Sequence[str]) -> bool:
        """Whether a hold or recovery of this certificate has used one of these results."""

    def add_hold(self, hold: HoldRecord) -> None:
        """Record a hold and use up its results."""

    def note_recovery(self, hold: HoldRecord, *, result: str, by: str, at: datetime) -> None:
        """Record the newest recovery result of a hold and use it up."""

    def note_release(self, hold: HoldRecord, *, by: str, at: datetime) -> None:
        """Record who released a hold."""

    def audit(self, *, kind: str, subject: str, record: dict[str, Any], at: datetime) -> None:
        """Add one leaf to the ledger."""


class HoldStore(Protocol):
    """Port to transactions over them."""

    def reading(self) -> AbstractContextManager[HoldRecords]:
        """A transaction that cannot change anything."""

    def writing(self) -> AbstractContextManager[HoldRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holds:
    """The use cases; `publish` makes the next CRL of a CA's partition, a recovery result is good for `recovery_life`."""

    store: HoldStore
    clock: Clock
    publish: Callable[[str, int], object]
    recovery_life: timedelta

    @repeated
    def hold(self, issuer: str, serial: int, *, results: Sequence[str], caller: Caller) -> Issued:
        """Hold a PfC for these results of the calling PVA; the certificate as it stands then."""
        at = self.clock()
        with self.store.writing() as records:
            # 1 a PfC of this CA
            issued = platform_credential(records.certificate(issuer, serial), serial=serial)
            # 2 what is held or revoked stays so, and no result counts twice
            if issued.status is not Status.GOOD or records.any_result_used(issued, results):
                return issued
            # 3 next status row, the hold with its results, feed and audit leaf
            version = records.change_status(
                issued, status=Status.REVOKED, reason=Reason.CERTIFICATE_HOLD, at=at
            )
            held = HoldRecord(
                ca_id=issued.ca_id,
                serial=issued.serial,
                version=version,
                results=tuple(results),
                asked_by=caller.tenant,
                held_at=at,
            )
            records.add_hold(held)
            _audit(
                records,
                issued,
                kind="certificate-held",
                told={"results": list(results)},
                caller=caller,
                at=at,
            )
            issued = platform_credential(records.certificate(issuer, serial), serial=serial)
        # 4 the CRL follows
        self.publish(issued.ca_id, issued.crl_partition)
        return issued

    @repeated
    def recover(self, issuer: str, serial: int, *, result: str, caller: Caller) -> Issued:
        """Note that a PVA has seen the device of a held PfC recover; the status stays as it is."""
        at = self.clock()
        with self.store.writing() as records:
            # 1 a PfC of this CA; what was told before changes nothing
            issued = platform_credential(records.certificate(issuer, serial), serial=serial)
            if records.any_result_used(issued, (result,)):
                return issued
            # 2 on hold, and for results
            held = _hold_of(records, issued)
            # 3 the note and its audit leaf
            records.note_recovery(held, result=result, by=caller.tenant, at=at)
            _audit(records, issued, kind="recovery-noted", told={"result": result}, caller=caller, at=at)
            return issued

    @repeated
    def release(self, issuer: str, serial: int, *, caller: Caller) -> Issued:
        """Lift a hold: its supplier releases what a PVA has seen recover."""
        at = self.clock()
        with self.store.writing() as records:
            # 1 a PfC of this supplier
            issued = platform_credential(records.certificate(issuer, serial), serial=serial)
            caller.speak_for(issued.supplier, subject=subject_of(issued))
            # 2 on hold for results, and seen to recover a short time ago
            held = _hold_of(records, issued)
            _check_recovery(held, issued=issued, oldest=at - self.recovery_life)
            # 3 next status row, who released it, feed and audit leaf
            records.change_status(issued, status=Status.GOOD, reason=None, at=at)
            records.note_release(held, by=caller.name, at=at)
            told = {"results": list(held.results), "recovery": held.recovery}
            _audit(records, issued, kind="hold-lifted", told=told, caller=caller, at=at)
            issued = platform_credential(records.certificate(issuer, serial), serial=serial)
        # 4 the CRL follows
        self.publish(issued.ca_id, issued.crl_partition)
        return issued

    def hold_of(self, issued: Issued) -> HoldRecord | None:
        """The hold for results that a certificate is under, None where it is under none."""
        with self.store.reading() as records:
            return records.hold(issued)


def platform_credential(issued: Issued | None, *, serial: int) -> Issued:
    """The certificate, where there is one of this name and it is a PfC; raises NotFoundError."""
    if issued is None or issued.kind is not Kind.PLATFORM_CREDENTIAL:
        raise NotFoundError(
            "no-such-certificate",
            subject=f"certificate {serial_text(serial)[:64]}",
            detail="this CA issued no Platform Credential of this serial number",
            remedy="give the issuer's ca_id and the serial number in hexadecimal",
        )
    return issued


def check_on_hold(issued: Issued) -> None:
    """Raises ConflictError where a certificate is not on hold."""
    if issued.reason is not Reason.CERTIFICATE_HOLD:
        raise ConflictError(
            "not-on-hold",
            subject=subject_of(issued),
            detail=f"it is {issued.status}, expected certificateHold",
            remedy="nothing needs to be lifted; what is revoked for good stays revoked",
        )


def _hold_of(records: HoldRecords, issued: Issued) -> HoldRecord:
    check_on_hold(issued)
    held = records.hold(issued)
    if held is None:
        raise ConflictError(
            "held-by-a-person",
            subject=subject_of(issued),
            detail="its hold stands on no attestation results: a person set it",
            remedy="a recovery does not lift it; two administrators do: pva credential lift",
        )
    return held


def _check_recovery(held: HoldRecord, *, issued: Issued, oldest: datetime) -> None:
    if held.recovered_at is not None and held.recovered_at >= oldest:
        return
    seen = "none" if held.recovered_at is None else f"one of {held.recovered_at:%Y-%m-%dT%H:%M:%SZ}"
    raise ConflictError(
        "not-recovered",
        subject=subject_of(issued),
        detail=f"expected a recovery result of a PVA not older than {oldest:%Y-%m-%dT%H:%M:%SZ}, got {seen}",
        remedy="repair the device and have it validated for the purpose recovery, then release it",
    )


def subject_of(issued: Issued) -> str:
    """How refusals name a certificate."""
    return f"certificate {serial_text(issued.serial)}"


def _audit(
    records: HoldRecords, issued: Issued, *, kind: str, told: dict[str, Any], caller: Caller, at: datetime
) -> None:
    record = {"issuer": issued.ca_id, "serial": serial_text(issued.serial), "by": caller.name, **told}
    records.audit(kind=kind, subject=issued.subject, record=record, at=at)
