"""The certification authority as the OCSP responder knows it: its CAs, its change feed, its delegations.

The one rule: an answer is decoded whole or refused whole; a page of the feed is never applied in part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Literal
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import AwareDatetime, Field

from clients.ca_answers import Body, CaAnswerError, read
from clients.pages import every_page
from edge.http_client import HttpClient
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.errors import DecodeError
from standards.pki.fingerprints import ca_id, decode_pem_certificates

__all__ = [
    "CaAnswerError",
    "CaStatusClient",
    "ChangePage",
    "IssuingCa",
    "StatusChange",
    "SuspendedScope",
    "Suspensions",
]

CHANGES_PER_PAGE = 1000
WAIT_MS = 500
"""How long a reader lets the CA wait for the next change."""
_REASONS = {
    "unspecified": RevocationReason.UNSPECIFIED,
    "keyCompromise": RevocationReason.KEY_COMPROMISE,
    "cACompromise": RevocationReason.CA_COMPROMISE,
    "affiliationChanged": RevocationReason.AFFILIATION_CHANGED,
    "superseded": RevocationReason.SUPERSEDED,
    "cessationOfOperation": RevocationReason.CESSATION_OF_OPERATION,
    "certificateHold": RevocationReason.CERTIFICATE_HOLD,
    "privilegeWithdrawn": RevocationReason.PRIVILEGE_WITHDRAWN,
    "aACompromise": RevocationReason.AA_COMPROMISE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusChange:
    """The status of one certificate after the change `seq`; `version` counts the changes of this certificate.

    `model` and `batch` are those of its device, by which a suspension finds it; the status does not depend on it.
    """

    seq: int
    issuer: str
    serial: int
    revocation: Revocation | None
    not_after: datetime
    version: int
    model: str | None = None
    batch: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspendedScope:
    """Suspended are all certificates of these issuing CAs, or those of one model or batch among them."""

    id: str
    issuers: tuple[str, ...]
    model: str | None
    batch: str | None
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspensions:
    """All that is suspended; `version` grows whenever that changes."""

    version: int
    in_force: tuple[SuspendedScope, ...]


NOTHING_SUSPENDED = Suspensions(version=0, in_force=())


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePage:
    """Changes in the order of `seq`; ask again after `next`; `complete` when there were no more.

    `previous` is the change after which was asked, as the CA has it: None where it has none of that number.
    `suspensions` is all that was suspended at the time of the question or later.
    """

    previous: StatusChange | None = field(repr=False)
    changes: tuple[StatusChange, ...] = field(repr=False)
    next: int
    complete: bool
    suspensions: Suspensions = NOTHING_SUSPENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuingCa:
    """An active issuing CA."""

    ca_id: str
    certificate: x509.Certificate


class _Change(Body):
    seq: int = Field(ge=1)
    issuer: str = Field(pattern=r"^[0-9a-f]{32}$")
    serial: str = Field(pattern=r"^[0-9a-f]{1,40}$")
    status: Literal["good", "revoked"]
    reason: str | None = None
    revoked_at: AwareDatetime | None = None
    not_after: AwareDatetime
    version: int = Field(ge=1)
    model: str | None = Field(default=None, max_length=64)
    batch: str | None = Field(default=None, max_length=64)


class _Scope(Body):
    id: str = Field(pattern=r"^[0-9a-f]{64}$")
    issuers: list[Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]]
    model: str | None = Field(max_length=64)
    batch: str | None = Field(max_length=64)
    since: AwareDatetime


class _Suspensions(Body):
    version: int = Field(ge=0)
    in_force: list[_Scope]


class _Page(Body):
    previous: _Change | None
    changes: list[_Change]
    next: int = Field(ge=0)
    complete: bool
    suspensions: _Suspensions


class _IssuingCa(Body):
    ca_id: str = Field(pattern=r"^[0-9a-f]{32}$")
    state: str
    certificate: str | None = None


class _IssuingCas(Body):
    issuing_cas: list[_IssuingCa]


class _Delegate(Body):
    certificate: str


class CaStatusClient:
    """Client of the CA's operator listener in the role `ocsp`; errors of `edge.http_client` pass through."""

    def __init__(self, http: HttpClient) -> None:
        """Use `http`, which holds the URL and the mutual TLS."""
        self._http = http

    def issuing_cas(self) -> Sequence[IssuingCa]:
        """The issuing CAs that are active."""
        route = "/v1/issuing-cas"
        answer = read(_IssuingCas, every_page(self._http, route, "issuing_cas"), route)
        return tuple(
            IssuingCa(ca_id=each.ca_id, certificate=_certificate(each.certificate, each.ca_id, route))
            for each in answer.issuing_cas
            if each.state in {"active", "superseded"} and each.certificate is not None
        )

    def status_changes(
        self, *, after: int, limit: int = CHANGES_PER_PAGE, level_with: Suspensions | None = None
    ) -> ChangePage:
        """The page of changes with a seq greater than `after`.

        Who is level with the feed and with these suspensions is answered when there is more, or a moment later.
        """
        route, asked = "/v1/status-changes", {"after": after, "limit": limit}
        if level_with is not None:
            asked |= {"wait_ms": WAIT_MS, "suspensions": level_with.version}
        page = read(_Page, self._http.get_json(f"{route}?{urlencode(asked)}"), route)
        sequence = [after, *(each.seq for each in page.changes)]
        if any(later <= earlier for earlier, later in pairwise(sequence)):
            raise CaAnswerError(route, f"its changes are not in order after {after}")
        if page.next != sequence[-1] or (not page.complete and page.next <= after):
            raise CaAnswerError(route, f"it continues at {page.next}, and its last change is {sequence[-1]}")
        if page.previous is not None and page.previous.seq != after:
            raise CaAnswerError(route, f"it repeats the change {page.previous.seq} instead of {after}")
        changes = tuple(_change(each, route) for each in page.changes)
        previous = None if page.previous is None else _change(page.previous, route)
        return ChangePage(
            previous=previous,
            changes=changes,
            next=page.next,
            complete=page.complete,
            suspensions=_suspensions(page.suspensions),
        )

    def request_delegate(self, issuer: str, *, csr: x509.CertificateSigningRequest) -> x509.Certificate:
        """Ask the CA key `issuer` for an OCSP delegate certificate. NOT checked here: what it certifies."""
        route = "/v1/ocsp-delegates"
        body = {"issuer": issuer, "csr": csr.public_bytes(Encoding.PEM).decode("ascii")}
        answer = read(_Delegate, self._http.post_json(route, body), route)
        return _pem(answer.certificate, route)


def _change(each: _Change, route: str) -> StatusChange:
    revocation = None
    if each.status == "revoked":
        reason = _REASONS.get(each.reason or "unspecified")
        if reason is None or each.revoked_at is None:
            raise CaAnswerError(route, f"seq {each.seq}: revoked without a known reason or a time")
        revocation = Revocation(reason=reason, at=each.revoked_at.astimezone(UTC))
    return StatusChange(
        seq=each.seq,
        issuer=each.issuer,
        serial=int(each.serial, 16),
        revocation=revocation,
        not_after=each.not_after.astimezone(UTC),
        version=each.version,
        model=each.model,
        batch=each.batch,
    )


def _suspensions(told: _Suspensions) -> Suspensions:
    return Suspensions(
        version=told.version,
        in_force=tuple(
            SuspendedScope(
                id=each.id,
                issuers=tuple(each.issuers),
                model=each.model,
                batch=each.batch,
                since=each.since.astimezone(UTC),
            )
            for each in told.in_force
        ),
    )


def _certificate(pem: str | None, named: str, route: str) -> x509.Certificate:
    certificate = _pem(pem or "", route)
    if ca_id(certificate) != named:
        raise CaAnswerError(route, f"the certificate of {named} is that of another key")
    return certificate


def _pem(text: str, route: str) -> x509.Certificate:
    try:
        return decode_pem_certificates(text.encode("utf-8"))[0]
    except DecodeError as error:
        raise CaAnswerError(route, str(error)) from error
