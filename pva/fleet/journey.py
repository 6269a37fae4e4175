"""Use case: where one validation stands among the fourteen steps, as far as this PVA knows them.

Rule: a step is told with its times only where this PVA has a record of it that the reader may see; of every other step
stands who knows it. Nothing is concluded: what was not recorded did perhaps happen all the same.

    8 asked   9 challenged, answered, status asked   10 signed, pushed   11 approved   12 the download function's own look

`docs/FOURTEEN-STEPS.md` has the whole way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from cryptography import x509
from cryptography.x509 import ocsp

from messages.challenge import CHALLENGE_TYPE, read_claims
from messages.errors import MessageError
from messages.evidence import decode_evidence
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RecordedRefusal
from pva.results.explanation import Reader
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.extensions import ExpectedSystemState
from standards.pki.fingerprints import certificate_sha256
from standards.pki.jws import verify_jws

HOME, DOWNLOAD = "sho", "dpf"
"""Roles of the relying parties that ask for an order: the home operator, and the download function once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """A result that still waits to be taken by one of its audience: after `tries`, next at this time."""

    audience: str
    tries: int
    next_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Related:
    """Another validation of the same device for the same order that the reader may see."""

    request_id: str
    role: str
    tenant: str
    asked_at: datetime
    status: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneyRecord:
    """What is on record of one validation beside its result and its refusals.

    `evidence` and `status` (OCSP response, DER) are None where they are not kept; `serial` hex digits; `leaf_hash` names
    the audit leaf of the result; `next_states` are (digest of the manifest, time) of approvals before an update.
    """

    request_id: str
    device_id: str
    role: str
    tenant: str
    requester: str
    purpose: str
    signed: bool
    relays: tuple[str, ...]
    audience: tuple[str, ...]
    asked_at: datetime
    expires_at: datetime
    order_digest: bytes | None
    result_id: str | None
    issued_at: datetime | None
    result_status: str | None
    serial: str | None
    evidence: bytes | None
    status: bytes | None
    leaf_hash: bytes | None
    pushes: tuple[Push, ...]
    approved_at: datetime | None
    next_states: tuple[tuple[bytes, datetime], ...]
    related: tuple[Related, ...]


class JourneyRecords(Protocol):
    """What this use case needs of the store."""

    def journey_record(self, request_id: str, *, reader: Reader) -> JourneyRecord | None:
        """The validation of this id if `reader` may see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenStatus:
    """What the supplier's responder said of the credential when the PVA asked."""

    word: str
    said_at: datetime
    this_update: datetime
    next_update: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCredential:
    """The Platform Credential that was shown with the evidence; the last three name the state that it certifies."""

    serial: str
    sha256: str
    issuer: str
    not_before: datetime
    not_after: datetime
    manifest_id: str | None
    manifest_digest: bytes | None
    svn: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that is on record: `what` in words, `at` when, None where it lasts or has no time.

    `manifest` or `request_id` name what it is about, where there is more to read of that.
    """

    what: str
    at: datetime | None = None
    manifest: bytes | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One of the fourteen: its title, who else keeps a record of it, and what is on record here."""

    number: int
    title: str
    known_to: str
    happened: tuple[Happening, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """A validation among the fourteen steps, with the credential and its status as they were seen."""

    record: JourneyRecord
    steps: tuple[Step, ...]
    credential: SeenCredential | None
    status: SeenStatus | None


STEPS: Final = (
    (1, "The device attaches", "VNO"),
    (2, "Authentication vectors for its provisional identity", "ICF"),
    (3, "The device is authenticated", "VNO"),
    (4, "The attachment is told", "ICF, DRF"),
    (5, "The device asks for its operator", "DRF"),
    (6, "Discovery is answered", "DRF"),
    (7, "Registration and consent", "DRF, SHO, the device's TRE"),
    (8, "Validation is asked for", "the relying party"),
    (9, "Challenge, evidence, status of the credential", "the device's TRE, the OCSP responder"),
    (10, "Signed result", "SHO, DPF"),
    (11, "Approvals and authorisation", "SHO, DPF"),
    (12, "Delivery, with a validation of the DPF's own", "DPF"),
    (13, "Installation and receipt", "the device's TRE, DPF"),
    (14, "Activation", "SHO"),
)
"""Number, title, and who keeps a record of it beside the PVA, or in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneyDesk:
    """The use case and what it works with; `anchors` is the operators' root."""

    records: JourneyRecords
    anchors: Sequence[x509.Certificate]

    def journey(self, request_id: str, *, reader: Reader, refusals: Sequence[RecordedRefusal]) -> Journey:
        """Where the validation of this id stands; `refusals` its refused tries. Raises RefusalError: there is none."""
        record = self.records.journey_record(request_id, reader=reader)
        if record is None:
            raise RefusalError(
                RefusalCode.NOT_FOUND,
                subject="validation",
                reason="no validation with this id belongs to the caller",
            )
        status = None if record.status is None else seen_status(record.status)
        happened = {
            8: tuple(_asked(record)),
            9: tuple(self._answered(record, refusals=refusals, status=status)),
            10: tuple(_signed(record)),
            11: tuple(_approved(record)),
            12: tuple(_looked_again(record)),
        }
        return Journey(
            record=record,
            steps=tuple(
                Step(number=number, title=title, known_to=known_to, happened=happened.get(number, ()))
                for number, title, known_to in STEPS
            ),
            credential=None if record.evidence is None else seen_credential(record.evidence),
            status=status,
        )

    def _answered(
        self, record: JourneyRecord, *, refusals: Sequence[RecordedRefusal], status: SeenStatus | None
    ) -> list[Happening]:
        found = (
            [] if record.evidence is None else self._challenged(record.evidence, issued_at=record.issued_at)
        )
        found += [
            Happening(
                what=f"a try was refused: {each.code}"
                + ("" if each.authenticated else " (by nobody who had proven to be the device)"),
                at=each.at,
            )
            for each in refusals
        ]
        if status is not None:
            found.append(Happening(what=f"the responder said {status.word}", at=status.said_at))
        if record.issued_at is not None:
            kept = "kept" if record.evidence is not None else "deleted, its time is over"
            found.append(Happening(what=f"evidence judged; it is {kept}", at=record.issued_at))
        return found

    def _challenged(self, evidence: bytes, *, issued_at: datetime | None) -> list[Happening]:
        """When the challenge that was answered was signed: it stands in the evidence."""
        if issued_at is None:
            return []
        try:
            token = decode_evidence(evidence).challenge_token
            verified = verify_jws(
                token, anchors=self.anchors, eku=oids.EKU_CHALLENGE, typ=CHALLENGE_TYPE, at=issued_at
            )
            challenge = read_claims(verified.claims)
        except (MessageError, PkiError):
            return []
        return [Happening(what="challenge signed, the one that was answered", at=challenge.issued_at)]


def seen_status(response: bytes) -> SeenStatus | None:
    """What a kept OCSP response says; it was verified when it came. None where it cannot be read."""
    try:
        answer = ocsp.load_der_ocsp_response(response)
        if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return None
        reason = answer.revocation_reason
        return SeenStatus(
            word=answer.certificate_status.name.lower() + ("" if reason is None else f" ({reason.value})"),
            said_at=answer.produced_at_utc,
            this_update=answer.this_update_utc,
            next_update=answer.next_update_utc,
        )
    except (ValueError, TypeError):
        return None


def seen_credential(evidence: bytes) -> SeenCredential | None:
    """The credential that came with kept evidence; its path was validated when it came. None where it cannot be read."""
    try:
        leaf = x509.load_der_x509_certificate(decode_evidence(evidence).pfc_chain[0])
        state = ExpectedSystemState.of(leaf)
        issuer = leaf.issuer.rfc4514_string()
    except (MessageError, PkiError, ValueError, TypeError, IndexError):
        return None
    return SeenCredential(
        serial=f"{leaf.serial_number:x}",
        sha256=certificate_sha256(leaf),
        issuer=issuer,
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        manifest_id=None if state is None else state.manifest_id,
        manifest_digest=None if state is None else state.manifest_digest,
        svn=None if state is None else state.svn,
    )


def _asked(record: JourneyRecord) -> list[Happening]:
    how = "by a signed request" if record.signed else "directly, for a look"
    carried = "" if not record.relays else f", carried by {', '.join(record.relays)}"
    asked = f"{record.tenant} ({record.role}) asked {how}{carried}; purpose {record.purpose}"
    found = [Happening(what=asked, at=record.asked_at)]
    if record.result_id is None:
        found.append(Happening(what="an answer counts until", at=record.expires_at))
    return [*found, *_same_order(record, role=HOME)]


def _signed(record: JourneyRecord) -> list[Happening]:
    if record.result_id is None:
        return []
    told = f"result {record.result_status}, for {', '.join(record.audience)}"
    found = [Happening(what=told, at=record.issued_at)]
    for each in record.pushes:
        tries = f"{each.tries} {'try' if each.tries == 1 else 'tries'} so far"
        found.append(Happening(what=f"waits to be taken by {each.audience}, {tries}; next", at=each.next_at))
    if not record.pushes:
        found.append(
            Happening(what="no push waits: it was taken, its time is over, or nobody is to be called")
        )
    return found


def _approved(record: JourneyRecord) -> list[Happening]:
    found = []
    if record.approved_at is not None:
        found.append(Happening(what="this state was approved for the order", at=record.approved_at))
    for digest, at in record.next_states:
        found.append(
            Happening(
                what=f"the state after the update to manifest {digest.hex()[:16]} was approved",
                at=at,
                manifest=digest,
            )
        )
    return found


def _looked_again(record: JourneyRecord) -> list[Happening]:
    found = _same_order(record, role=DOWNLOAD)
    if record.role == DOWNLOAD:
        found.append(Happening(what="this validation is the download function's own", at=record.asked_at))
    return found


def _same_order(record: JourneyRecord, *, role: str) -> list[Happening]:
    """Other validations for the same order, asked for by one kind of relying party."""
    return [
        Happening(
            what=f"{each.tenant} ({each.role}) asked for the same order: {each.status or 'no result'}",
            at=each.asked_at,
            request_id=each.request_id,
        )
        for each in record.related
        if each.role == role
    ]
