"""The operator listener, mutual TLS: suppliers, manifests, looks at devices, and what relying parties need (D12).

Rule: every lookup is scoped by the caller's tenant, every refusal of a caller that is known becomes an audit
record.
"""

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from flask import Flask

from edge.administrator_pages import add_administrators
from edge.administrators import AdministratorDesk, AdministratorStore
from edge.audit_log import AuditLog
from edge.description_pages import add_description
from edge.idempotency import AnswerStore, keep_answers, repeatable
from edge.log_pages import add_log_pages
from edge.operations import Told, answers, takes
from edge.principals import (
    PrincipalTable,
    current_principal,
    enforce_access,
    require,
)
from edge.problems import OnRefusal
from edge.process import Clock
from edge.refusal_answers import register_refusals
from pva.manifests.approvals import ManifestApprovalDesk
from pva.policies.desk import PolicyDesk
from pva.recheck.exporting import ExportDesk
from pva.requests import RequestDesk, RequestProgress, ValidationWish
from pva.results.explanation import ExplanationDesk
from pva.results.reissue import ReissueDesk
from pva.signed_requests import SignedRequestDesk, refusal_members
from pva.updates.approvals import ApprovalDesk
from pva.updates.next_states import NextStateDesk
from pva.updates.rollouts import RolloutDesk
from pva.watching.watches import WatchDesk
from pva.web.answers import AskedAnswer, ValidationAnswer
from pva.web.bodies import ValidationBody
from pva.web.descriptions import OPERATOR_API
from pva.web.manifests import add_manifests
from pva.web.policies import add_policies
from pva.web.relying_parties import add_approvals, add_signed_requests
from pva.web.results import add_explanations, add_exports, add_results
from pva.web.suppliers import SupplierDesks, add_supply
from pva.web.updates import add_next_approvals, add_rollouts
from pva.web.watches import add_watches


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorDesks:
    """The use cases that the operator listener serves."""

    requests: RequestDesk
    signed_requests: SignedRequestDesk
    approvals: ApprovalDesk
    suppliers: SupplierDesks
    watches: WatchDesk
    manifests: ManifestApprovalDesk
    rollouts: RolloutDesk
    next_states: NextStateDesk
    explanations: ExplanationDesk
    policies: PolicyDesk
    results: ReissueDesk
    exports: ExportDesk
    answers: AnswerStore
    administrators: AdministratorStore
    log: AuditLog | None = None


def operator_app(
    *, desks: OperatorDesks, principals: PrincipalTable, clock: Clock, on_refusal: OnRefusal
) -> Flask:
    """Application of the operator listener; each request is judged at one time of `clock`."""
    app = Flask("pva.operator", static_folder=None)
    add_supply(app, desks.suppliers, clock)
    add_manifests(app, desks.suppliers.recognition, desks.manifests, clock)
    _add_validations(app, desks.requests, clock)
    add_signed_requests(app, desks.signed_requests, clock)
    add_approvals(app, desks.approvals, clock)
    administrators = AdministratorDesk(store=desks.administrators, file=principals)
    add_administrators(app, administrators, clock)
    add_log_pages(app, desks.log)
    add_explanations(app, desks.explanations, clock)
    add_policies(app, desks.policies, clock)
    add_results(app, desks.results, clock)
    add_exports(app, desks.exports, clock)
    add_watches(app, desks.watches, clock)
    add_rollouts(app, desks.rollouts, clock)
    add_next_approvals(app, desks.next_states, clock)

    keep_answers(app, desks.answers, clock=clock)
    add_description(app, OPERATOR_API)
    register_refusals(app, on_refusal=on_refusal)
    enforce_access(app, principals=principals)
    return app


def _add_validations(app: Flask, desk: RequestDesk, clock: Clock) -> None:
    @app.post("/v1/validations")
    @require("sho")
    @repeatable
    @takes(ValidationBody)
    @answers(AskedAnswer, HTTPStatus.CREATED)
    def ask_for_validation(body: ValidationBody) -> Told:
        """Ask for a look at a device, for no order."""
        caller = current_principal()
        wish = ValidationWish(
            device_id=body.device_id,
            purpose=body.purpose,
            rp_nonce=body.rp_nonce,
            order_digest=None if body.order_digest is None else bytes.fromhex(body.order_digest),
            audience=tuple(body.audience),
        )
        asked = desk.ask(wish, tenant=caller.tenant, requester=caller.name, at=clock())
        return {"request_id": asked.id, "expires_at": _moment(asked.expires_at)}

    @app.get("/v1/validations/<request_id>")
    @require("sho")
    @answers(ValidationAnswer)
    def show_validation(request_id: str) -> Told:
        """Show where a validation stands, and its signed result once there is one."""
        return _progress(desk.progress(request_id, tenant=current_principal().tenant, at=clock()))


def _progress(progress: RequestProgress) -> dict[str, Any]:
    asked = progress.request
    shown: dict[str, Any] = {
        "request_id": asked.id,
        "device_id": asked.device_id,
        "purpose": asked.purpose,
        "state": progress.state.value,
        "expires_at": _moment(asked.expires_at),
        "refusals": [refusal_members(each) for each in progress.refusals],
    }
    if progress.result is not None:
        shown["result"] = progress.result
    return shown


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
