"""Routes of the operator listener for relying parties: signed requests, their answers, approvals (D12, D8).

Rule: the signer of a request sees result and refusals, a relay pass or fail and a sealed envelope; approvals are for
the SHO that asked, and for nobody else.
"""

from http import HTTPStatus
from typing import Any

from flask import Flask

from edge.idempotency import repeatable
from edge.operations import Told, answers, takes
from edge.principals import current_principal, require
from edge.process import Clock
from pva.requests import RequestProgress
from pva.signed_requests import RELAY, Caller, RelayedProgress, SignedRequestDesk, refusal_members
from pva.updates.approvals import ApprovalDesk, Approved
from pva.web.answers import ApprovalsAnswer, AskedAnswer, SignedRequestAnswer
from pva.web.bodies import ApprovalBody, SignedRequestBody
from standards.rats.fields import encode_base64url


def add_signed_requests(app: Flask, desk: SignedRequestDesk, clock: Clock) -> None:
    """Hand a signed request in, and see what came of it."""

    @app.post("/v1/validation-requests")
    @require("sho", "dpf", "ro-relay")
    @repeatable
    @takes(SignedRequestBody)
    @answers(AskedAnswer, HTTPStatus.CREATED, HTTPStatus.OK)
    def take_signed_request(body: SignedRequestBody) -> Told:
        """Hand in a signed validation request; the same token gets the same id again (200).

        The scope is that of its signer; a relay is transport, and learns pass or fail.
        """
        request, new = desk.submit(body.request, caller=_caller(), at=clock())
        asked = {"request_id": request.id, "expires_at": f"{request.expires_at:%Y-%m-%dT%H:%M:%SZ}"}
        return asked, HTTPStatus.CREATED if new else HTTPStatus.OK

    @app.get("/v1/validation-requests/<request_id>")
    @require("sho", "dpf", "ro-relay")
    @answers(SignedRequestAnswer)
    def show_signed_request(request_id: str) -> Told:
        """Show where a signed request stands."""
        caller = _caller()
        if caller.role == RELAY:
            return _relayed(desk.relayed(request_id, relay=caller.tenant, at=clock()))
        return _own(desk.progress(request_id, caller=caller, at=clock()))


def add_approvals(app: Flask, desk: ApprovalDesk, clock: Clock) -> None:
    """Have the state of a validated platform approved."""

    @app.post("/v1/approvals")
    @require("sho")
    @repeatable
    @takes(ApprovalBody)
    @answers(ApprovalsAnswer)
    def approve(body: ApprovalBody) -> Told:
        """Have the state of a validated platform approved, for one's own order."""
        approved = desk.approve(
            body.result_id,
            order_digest=bytes.fromhex(body.order_digest),
            sho=current_principal().tenant,
            at=clock(),
        )
        return approved_answer(approved)


def _caller() -> Caller:
    principal = current_principal()
    return Caller(role=principal.role, tenant=principal.tenant, name=principal.name)


def _own(progress: RequestProgress) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "request_id": progress.request.id,
        "state": progress.state.value,
        "refusals": [refusal_members(each) for each in progress.refusals],
    }
    if progress.result is not None:
        shown["result"] = progress.result
    return shown


def _relayed(progress: RelayedProgress) -> dict[str, Any]:
    shown = {"request_id": progress.request_id, "state": progress.state.value}
    if progress.outcome is not None:
        shown["outcome"] = progress.outcome
    if progress.sealed is not None:
        shown["sealed"] = progress.sealed
    return shown


def approved_answer(approved: Approved) -> dict[str, Any]:
    """What an SHO gets: approvals, the day key's certificates, and the storage key of the device."""
    return {
        "approvals": [encode_base64url(each) for each in approved.given.approvals],
        "day_key_chain": [encode_base64url(each) for each in approved.given.day_key_chain],
        "storage_public": encode_base64url(approved.storage_public),
    }
