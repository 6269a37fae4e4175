"""The one table exception -> (status, problem type) of the CA's listeners, and the record of refusals."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol

from flask import request

from ca.errors import (
    ALARMS,
    ConcurrentChangeError,
    ConflictError,
    EnrollmentRefusedError,
    InvalidInputError,
    MalformedMessageError,
    NotFoundError,
    NotPermittedError,
)
from ca.races import repeated
from edge.administrator_store import REMOVED
from edge.http_protocol import PEER_CERTIFICATE
from edge.principals import CERTIFICATE_REVOKED, NOT_REGISTERED, Principal, principal_or_none
from edge.problems import Problem, ProblemTable
from edge.process import Clock
from standards.pki.fingerprints import decode_certificate, spki_sha256

PROBLEMS: ProblemTable = {
    InvalidInputError: (422, "invalid-input"),
    NotPermittedError: (403, "not-permitted"),
    NotFoundError: (404, "not-found"),
    ConflictError: (409, "conflict"),
    ConcurrentChangeError: (409, "concurrent-change"),
    EnrollmentRefusedError: (403, "enrollment-refused"),
    MalformedMessageError: (400, "malformed-message"),
}

TEXT_MAX = 2000
SUBJECT_MAX = 200


class AuditRecords(Protocol):
    """Port to the ledger."""

    def audit(self, *, kind: str, subject: str, record: dict[str, Any], at: datetime) -> None:
        """Add one leaf to the ledger."""


class AuditStore(Protocol):
    """Port to transactions over it."""

    def writing(self) -> AbstractContextManager[AuditRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


def refusal_recorder(store: AuditStore, *, clock: Clock) -> Callable[[Problem], None]:
    """Puts every refusal of a known principal on record (D15); the use case that refused wrote nothing."""

    @repeated
    def record(problem: Problem) -> None:
        principal = principal_or_none() or _not_admitted(problem)
        if principal is None:
            return
        with store.writing() as records:
            records.audit(
                kind="alarm" if problem.reason in ALARMS else "refusal",
                subject=(problem.subject or "request")[:SUBJECT_MAX],
                record={
                    "by": principal.name,
                    "role": principal.role,
                    "tenant": principal.tenant,
                    "request": f"{request.method} {request.path}"[:TEXT_MAX],
                    "status": problem.status,
                    "reason": problem.reason or problem.type,
                    "detail": problem.detail[:TEXT_MAX],
                },
                at=clock(),
            )

    return record


def _not_admitted(problem: Problem) -> Principal | None:
    """Who proved a certificate that is not registered, revoked or a removed administrator's: known by its key only, still on record."""
    certificate = request.environ.get(PEER_CERTIFICATE)
    if problem.type not in {NOT_REGISTERED, CERTIFICATE_REVOKED, REMOVED} or not isinstance(
        certificate, bytes
    ):
        return None
    key = spki_sha256(decode_certificate(certificate))
    return Principal(role="not-admitted", tenant="", name=f"certificate key {key}")
