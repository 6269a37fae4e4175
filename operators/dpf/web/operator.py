"""The operator listener, mutual TLS: authorisations by SHOs, results by PVAs (D12).

Rule: whose word counts is the tenant of the certificate; a result is believed for its signature, not for who brought
it. Every refusal of a caller that is known becomes an audit record.
"""

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from flask import Flask

from edge.audit_log import AuditLog
from edge.description_pages import add_description
from edge.log_pages import add_log_pages
from edge.operations import Told, answers, answers_nothing, takes, takes_octets
from edge.principals import PrincipalTable, current_principal, enforce_access, require
from edge.problems import OnRefusal
from edge.process import Clock
from edge.refusal_answers import register_refusals
from messages.reliance import RESULT_BYTES_MAX
from messages.state_event import STATE_EVENT_BYTES_MAX
from operators.dpf.authorizations import AUTHORIZATION_BYTES_MAX, AuthorizationDesk
from operators.dpf.device_states import StateDesk
from operators.dpf.records import AuthorizationRecord, RecordedRefusal
from operators.dpf.results import ResultDesk
from operators.dpf.web.answers import AuthorizationAnswer
from operators.dpf.web.bodies import EventBody, ResultBody
from operators.dpf.web.descriptions import OPERATOR_API

CBOR = "application/cbor"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorDesks:
    """The use cases behind this listener, and the log of what they did."""

    authorizations: AuthorizationDesk
    results: ResultDesk
    states: StateDesk
    log: AuditLog | None = None


def operator_app(
    desks: OperatorDesks, *, principals: PrincipalTable, clock: Clock, on_refusal: OnRefusal
) -> Flask:
    """Application of the operator listener; each request is judged at one time of `clock`."""
    app = Flask("operators.dpf.operator", static_folder=None)
    _add_authorizations(app, desks.authorizations, clock)
    add_log_pages(app, desks.log)

    @app.post("/v1/results")
    @require("pva")
    @takes(ResultBody, bytes_max=RESULT_BYTES_MAX + 64)
    @answers_nothing
    def take_result(body: ResultBody) -> None:
        """Bring a signed attestation result."""
        desks.results.take(body.result, at=clock())

    @app.post("/v1/state-events")
    @require("pva")
    @takes(EventBody, bytes_max=STATE_EVENT_BYTES_MAX + 64)
    @answers_nothing
    def take_event(body: EventBody) -> None:
        """Bring a signed state event."""
        desks.states.take(body.event, at=clock())  # one that is not newer changes nothing

    add_description(app, OPERATOR_API)
    register_refusals(app, on_refusal=on_refusal)
    enforce_access(app, principals=principals)
    return app


def _add_authorizations(app: Flask, desk: AuthorizationDesk, clock: Clock) -> None:
    @app.post("/v1/authorizations")
    @require("sho")
    @takes_octets(CBOR, bytes_max=AUTHORIZATION_BYTES_MAX)
    @answers(AuthorizationAnswer, HTTPStatus.CREATED, HTTPStatus.OK)
    def accept_authorization(body: bytes) -> Told:
        """Hand in the signed authorisation of a download with its package; the same one again is the same (200)."""
        record, is_new = desk.accept(body, sho=current_principal().tenant, at=clock())
        return _authorization(record), HTTPStatus.CREATED if is_new else HTTPStatus.OK

    @app.get("/v1/authorizations/<authorization_id>")
    @require("sho")
    @answers(AuthorizationAnswer)
    def show_authorization(authorization_id: str) -> Told:
        """Show where an authorisation stands, and why the gate refused."""
        record, refusals = desk.show(authorization_id, sho=current_principal().tenant)
        return {**_authorization(record), "refusals": [_refusal(each) for each in refusals]}


def _authorization(record: AuthorizationRecord) -> dict[str, Any]:
    return {
        "authorization_id": record.id,
        "state": record.status.value,
        "grants": record.grants,
        "expires_at": _moment(record.expires_at),
    } | ({} if record.prior_owner is None else {"prior_owner": record.prior_owner})


def _refusal(refusal: RecordedRefusal) -> dict[str, Any]:
    return {
        "at": _moment(refusal.at),
        "code": refusal.code,
        "subject": refusal.subject,
        "reason": refusal.reason,
        "remedy": refusal.remedy,
    }


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
