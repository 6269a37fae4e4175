"""The audits that suppliers stand on: an overseer's trust list says them, and time alone ends them (R20, D6).

The one rule: whose audit is over is suspended by the CA itself, as a whole, and by a newer list only is that lifted. The end
is that of the audit's certificate, that of the list, or the moment at which a newer list leaves the supplier out.

    accredited --end of audit or list, or left out--> suspended (by "accreditation") --newer list--> accredited

Whom no list ever named is judged by none. NOT decided here: whom a PVA recognises; it imports lists of its own.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from cryptography import x509

from ca.callers import Caller
from ca.errors import ConflictError, NotPermittedError
from ca.profiles import Kind
from ca.races import repeated
from ca.records import Authority
from ca.suspensions import BY_ACCREDITATION, Scope, Suspension, suspension_of
from edge.process import Clock
from messages.errors import MessageError
from messages.operator_token import check_life
from messages.trust_list import TrustList, verify_trust_list

OVERSEER = "overseer"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccreditationRecord:
    """Until when a supplier is accredited, by which list of which issuer."""

    supplier: str
    issuer: str
    sequence: int
    scheme: str
    certificate: str
    ends_at: datetime


class AccreditationRecords(Protocol):
    """Port to what lists said, and to suspensions."""

    def root(self, kind: Kind, *, supplier: str | None = None) -> Authority | None:
        """The root of this kind."""

    def list_sequence(self, issuer: str) -> int:
        """Sequence number of the newest list of an issuer, 0 before the first."""

    def save_list_sequence(self, issuer: str, sequence: int) -> None:
        """Record the newest list of an issuer."""

    def accreditations(self) -> list[AccreditationRecord]:
        """All that lists said, by supplier."""

    def save_accreditation(self, accreditation: AccreditationRecord) -> None:
        """Put what a list says in the place of what was said of the supplier before."""

    def suspensions(self, *, supplier: str | None = None) -> list[Suspension]:
        """All suspensions, of one supplier or of all, oldest first."""

    def next_status_seq(self) -> int:
        """The next place among changes of status."""

    def add_suspension(self, suspension: Suspension) -> None:
        """Record a suspension."""

    def lift_suspension(self, suspension_id: str, *, at: datetime, lifted_seq: int) -> None:
        """Record that a suspension is lifted."""

    def audit(self, *, kind: str, subject: str, record: dict[str, Any], at: datetime) -> None:
        """Add one leaf to the ledger."""


class AccreditationStore(Protocol):
    """Port to transactions over them."""

    def reading(self) -> AbstractContextManager[AccreditationRecords]:
        """A transaction that cannot change anything."""

    def writing(self) -> AbstractContextManager[AccreditationRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accreditations:
    """The use cases; `overseers` is the id of each issuer whose lists count, with its roots."""

    store: AccreditationStore
    clock: Clock
    overseers: Mapping[str, Sequence[x509.Certificate]]

    @repeated
    def import_list(self, token: str, *, caller: Caller) -> list[AccreditationRecord]:
        """Take an overseer's trust list; the audits of the suppliers whose root this CA has."""
        at = self.clock()
        # 1 signed by an overseer of the settings, for this purpose, in time
        content = self._verified(token, at=at)
        with self.store.writing() as records:
            # 2 a number above the last
            last = records.list_sequence(content.issuer)
            if content.sequence <= last:
                raise ConflictError(
                    "trust-list-rolled-back",
                    subject=f"trust list {content.sequence} of {content.issuer}",
                    detail=f"list {last} is on record: expected a higher number",
                    remedy="have its issuer sign the list with a higher sequence number",
                )
            records.save_list_sequence(content.issuer, content.sequence)
            # 3 what it says of suppliers of this CA, by their root; whom it leaves out is accredited no more
            made = _said(records, content)
            left_out = [
                each
                for each in records.accreditations()
                if each.issuer == content.issuer and each.supplier not in {one.supplier for one in made}
            ]
            made += [_ended(each, sequence=content.sequence, at=at) for each in left_out]
            for each in made:
                records.save_accreditation(each)
            told = {each.supplier: f"{each.ends_at:%Y-%m-%dT%H:%M:%SZ}" for each in made}
            record = {"sequence": content.sequence, "accredited_until": told, "by": caller.name}
            records.audit(kind="trust-list-imported", subject=content.issuer, record=record, at=at)
            # 4 suspended, or lifted, as it says
            _enforce(records, made, at=at)
            return made

    @repeated
    def enforce(self) -> None:
        """Suspend those whose audit has ended; safe to repeat."""
        at = self.clock()
        with self.store.reading() as records:
            due = _due(records, records.accreditations(), at=at)
        if due:
            with self.store.writing() as records:
                _enforce(records, records.accreditations(), at=at)

    def _verified(self, token: str, *, at: datetime) -> TrustList:
        anchors = [anchor for roots in self.overseers.values() for anchor in roots]
        try:
            read = verify_trust_list(token, anchors=anchors, at=at)
            roots = self.overseers.get(read.content.issuer, ())
            verified = verify_trust_list(token, anchors=roots, at=at)
            content = verified.content
            check_life("list", issued_at=content.issued_at, expires_at=content.expires_at, at=at)
        except MessageError as error:
            raise _untrusted(str(error)) from None
        if verified.role != OVERSEER:
            raise _untrusted(f"its signer is {verified.role}, expected an overseer")
        return content


def _said(records: AccreditationRecords, content: TrustList) -> list[AccreditationRecord]:
    said = []
    for each in content.suppliers:
        root = records.root(Kind.ES_ROOT, supplier=each.name)
        if root is None or root.certificate is None or root.x509() != each.root:
            continue
        held = each.accreditation
        if held is None:
            continue
        said.append(
            AccreditationRecord(
                supplier=each.name,
                issuer=content.issuer,
                sequence=content.sequence,
                scheme=held.scheme,
                certificate=held.certificate,
                ends_at=min(held.valid_to, content.expires_at),
            )
        )
    return said


def _ended(before: AccreditationRecord, *, sequence: int, at: datetime) -> AccreditationRecord:
    return AccreditationRecord(
        supplier=before.supplier,
        issuer=before.issuer,
        sequence=sequence,
        scheme=before.scheme,
        certificate=before.certificate,
        ends_at=min(before.ends_at, at),
    )


def _lapses(records: AccreditationRecords) -> dict[str, Suspension]:
    """Suspensions in force that this rule made, by supplier."""
    return {
        each.scope.supplier: each
        for each in records.suspensions()
        if each.lifted_at is None and each.suspended_by == BY_ACCREDITATION
    }


def _due(
    records: AccreditationRecords, said: Sequence[AccreditationRecord], *, at: datetime
) -> list[AccreditationRecord]:
    lapses = _lapses(records)
    return [each for each in said if (at >= each.ends_at) != (each.supplier in lapses)]


def _enforce(records: AccreditationRecords, said: Sequence[AccreditationRecord], *, at: datetime) -> None:
    lapses = _lapses(records)
    for each in _due(records, said, at=at):
        lapse = lapses.get(each.supplier)
        if lapse is not None:
            records.lift_suspension(lapse.id, at=at, lifted_seq=records.next_status_seq())
            record = {"suspension": lapse.id, "issuer": each.issuer, "sequence": each.sequence}
            records.audit(kind="accreditation-renewed", subject=each.supplier, record=record, at=at)
            continue
        reason = (
            f"the accreditation {each.scheme} {each.certificate} ended at {each.ends_at:%Y-%m-%dT%H:%M:%SZ}"
        )
        made = suspension_of(
            Scope(supplier=each.supplier),
            reason=reason,
            by=BY_ACCREDITATION,
            at=at,
            seq=records.next_status_seq(),
        )
        records.add_suspension(made)
        record = {"suspension": made.id, "reason": reason, "by": BY_ACCREDITATION}
        records.audit(kind="suspended", subject=str(made.scope), record=record, at=at)


def _untrusted(detail: str) -> NotPermittedError:
    return NotPermittedError(
        "trust-list-untrusted",
        subject="trust list",
        detail=detail,
        remedy="sign the list as an overseer, under a root that `overseers` of the CA's settings names for this issuer",
    )
