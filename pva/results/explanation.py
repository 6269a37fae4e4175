"""Use case: a relying party asks why a validation ended as it did, and is told so that it can act on it.

Rule: who may read the result may read its explanation, and nobody else; an explanation never says more about the verdict
than the signed result does. What it adds, it works out anew from the evidence that was kept and from the manifests that
this PVA holds now: the nearest known manifest. Once the evidence is deleted, the findings stay and that part is gone.

    1 find the request, by its own id or by that of its result, among those of the reader
    2 read the result as it was signed
    3 replay the kept evidence, if it is the one that the result names
    4 name the known manifest that explains most of it
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509

from messages.errors import MessageError
from messages.evidence import decode_evidence
from pva.appraisal.boot_events import BootEvents, registers_alone, replay_boot_log
from pva.appraisal.nearest import CANDIDATES_MAX, NearestManifest, nearest_manifest
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RecordedRefusal, RequestState
from standards.boot_log.algorithms import BANKS
from standards.pki import oids
from standards.pki.errors import PkiError
from standards.pki.jws import verify_jws
from standards.rats.corim import Manifest
from standards.rats.ear import RESULT_TYPE, AttestationResult, read_claims
from standards.rats.errors import RatsError

SEES_ALL = "auditor"
"""The role that reads every tenant's results."""
RESULT_BYTES_MAX = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who asks: a relying party reads what it asked for itself, an auditor reads all."""

    role: str
    tenant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultOnRecord:
    """A signed result, when it was issued, and its evidence as long as it is kept (None: deleted)."""

    token: str
    issued_at: datetime
    evidence: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOnRecord:
    """What is on record of one validation; `supplier` and `hw_type` are None of a device that was never seen."""

    request_id: str
    device_id: str
    purpose: str
    state: RequestState
    result: ResultOnRecord | None
    refusals: tuple[RecordedRefusal, ...]
    supplier: str | None
    hw_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a validation ended as it did.

    `result` is None where there is none (yet): then the refused tries are the explanation. `nearest` is None where
    nothing is known to be near, or where `evidence_kept` is False and nothing can be compared any more.
    """

    record: RequestOnRecord
    result: AttestationResult | None
    evidence_kept: bool
    nearest: NearestManifest | None


class ValidationRecords(Protocol):
    """What this use case needs of the store."""

    def request_on_record(self, some_id: str, *, reader: Reader, at: datetime) -> RequestOnRecord | None:
        """The validation of this id, or with the result of this id, if `reader` may see it."""


class KnownManifests(Protocol):
    """The manifests that this PVA holds."""

    def known_manifests(
        self, *, supplier: str, hw_type: str, first: bytes | None, count_max: int
    ) -> Sequence[Manifest]:
        """Those of a model: the one with the digest `first`, then by descending svn; each verified anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplanationDesk:
    """The use case and what it works with; `anchors` is the operators' root."""

    records: ValidationRecords
    references: KnownManifests
    anchors: Sequence[x509.Certificate]

    def explain(self, some_id: str, *, reader: Reader, at: datetime) -> Explanation:
        """Explain a validation by its id or by that of its result. Raises RefusalError."""
        record = self.records.request_on_record(some_id, reader=reader, at=at)  # 1
        if record is None:
            raise RefusalError(
                RefusalCode.NOT_FOUND,
                subject="result",
                reason="no result and no validation with this id belongs to the caller",
            )
        if record.result is None:
            return Explanation(record=record, result=None, evidence_kept=False, nearest=None)
        result = verified_result(record.result, anchors=self.anchors)  # 2
        boot = _replayed(record.result, result=result)  # 3
        return Explanation(
            record=record,
            result=result,
            evidence_kept=boot is not None,
            nearest=None if boot is None else self._nearest(boot, record=record, result=result),  # 4
        )

    def _nearest(
        self, boot: BootEvents, *, record: RequestOnRecord, result: AttestationResult
    ) -> NearestManifest | None:
        if record.supplier is None or record.hw_type is None:
            return None
        known = self.references.known_manifests(
            supplier=record.supplier,
            hw_type=record.hw_type,
            first=None if result.manifest is None else result.manifest.digest,
            count_max=CANDIDATES_MAX,
        )
        strongest = max(boot.quoted, key=lambda bank: BANKS[bank].size)
        return nearest_manifest(boot, bank=strongest, candidates=known)


def verified_result(stored: ResultOnRecord, *, anchors: Sequence[x509.Certificate]) -> AttestationResult:
    """The result, still as this PVA signed it: a row that somebody changed explains nothing. Raises RefusalError."""
    try:
        verified = verify_jws(
            stored.token,
            anchors=anchors,
            eku=oids.EKU_ATTESTATION_RESULT,
            typ=RESULT_TYPE,
            at=stored.issued_at,
            bytes_max=RESULT_BYTES_MAX,
        )
        return read_claims(verified.claims)
    except (PkiError, RatsError) as error:
        raise RefusalError(RefusalCode.RECORD_ALTERED, subject="stored result", reason=str(error)) from None


def _replayed(stored: ResultOnRecord, *, result: AttestationResult) -> BootEvents | None:
    """The boot of the evidence; its signatures were verified when the result was made, over these very bytes."""
    if stored.evidence is None:
        return None
    if hashlib.sha256(stored.evidence).digest() != result.evidence_digest:
        raise RefusalError(
            RefusalCode.RECORD_ALTERED,
            subject="stored evidence",
            reason="it is not the evidence whose digest the result names",
        )
    try:
        message = decode_evidence(stored.evidence)
    except MessageError as error:
        raise RefusalError(RefusalCode.RECORD_ALTERED, subject="stored evidence", reason=str(error)) from None
    if not message.boot_log:
        return registers_alone(message.pcr_values)
    return replay_boot_log(message.boot_log, quoted=message.pcr_values)
