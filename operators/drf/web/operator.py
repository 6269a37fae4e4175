"""The operator listener, mutual TLS: attachments (icf), orders and the validation relay (sho).

Rule: every lookup is scoped by the caller's tenant, every refusal of a caller that is known becomes an audit record.
"""

import hashlib
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from flask import Flask, Response, jsonify, request

from edge.bodies import json_body
from edge.principals import PrincipalTable, current_principal, enforce_access, principal_or_none, require
from edge.problem_document import Problem, ProblemError
from edge.process import Clock
from edge.refused import AnonymousRefusals, register_refusals
from operators.drf.attachments import Attachment, AttachmentDesk
from operators.drf.discovery import DiscoveryDesk
from operators.drf.relay import RelayDesk
from operators.drf.web.bodies import RELAY_BODY_BYTES_MAX, AttachmentBody, OrderBody, RelayBody

_ORDER_ID_MAX = 64


class CallerRefusals(Protocol):
    """Takes the audit record of a refused caller that is known."""

    def record_caller_refusal(self, *, caller: str, route: str, code: str, detail: str, at: datetime) -> None:
        """Append an audit leaf."""


def operator_app(
    *,
    attachments: AttachmentDesk,
    discovery: DiscoveryDesk,
    relay: RelayDesk,
    callers: CallerRefusals,
    principals: PrincipalTable,
    clock: Clock,
) -> Flask:
    """Application of the operator listener; each request is judged at one time of `clock`."""
    app = Flask("operators.drf.operator", static_folder=None)
    anonymous = AnonymousRefusals()
    _add_attachments(app, attachments, clock)
    _add_orders(app, discovery, clock)
    _add_relay(app, relay, clock)

    def on_refusal(problem: Problem) -> None:
        caller = principal_or_none()
        if caller is None:
            anonymous.count(problem)
            return
        callers.record_caller_refusal(
            caller=f"{caller.role}:{caller.tenant}:{caller.name}",
            route=f"{request.method} {request.path}",
            code=problem.reason or problem.type,
            detail=f"{problem.subject}: {problem.detail}",
            at=clock(),
        )

    register_refusals(app, on_refusal=on_refusal)
    enforce_access(app, principals=principals)
    return app


def _add_attachments(app: Flask, attachments: AttachmentDesk, clock: Clock) -> None:
    @app.post("/v1/attachments")
    @require("icf")
    def attach() -> tuple[Response, int]:
        body = json_body(AttachmentBody, bytes_max=2_048)
        attachment = Attachment(
            pcid=body.pcid,
            icf=current_principal().tenant,
            serving_network=body.serving_network,
            key=bytes.fromhex(body.key),
            expires_at=body.expires_at,
        )
        attachments.attached(attachment, at=clock())
        return Response(), HTTPStatus.NO_CONTENT


def _add_orders(app: Flask, discovery: DiscoveryDesk, clock: Clock) -> None:
    @app.put("/v1/orders/<order_id>")
    @require("sho")
    def announce(order_id: str) -> tuple[Response, int]:
        body = json_body(OrderBody, bytes_max=2_048)
        if len(order_id) > _ORDER_ID_MAX:
            raise ProblemError(_order_id_too_long())
        discovery.announce(
            order_id,
            sho=current_principal().tenant,
            code=body.device_code,
            sho_name=body.sho_name,
            at=clock(),
        )
        return Response(), HTTPStatus.NO_CONTENT


def _add_relay(app: Flask, relay: RelayDesk, clock: Clock) -> None:
    @app.post("/v1/validation-relay")
    @require("sho")
    def hand_in() -> tuple[Response, int]:
        token = json_body(RelayBody, bytes_max=RELAY_BODY_BYTES_MAX).request
        relayed = relay.relay(
            token,
            token_digest=hashlib.sha256(token.encode()).digest(),
            sho=current_principal().tenant,
            at=clock(),
        )
        answer = jsonify(request_id=relayed.request_id, expires_at=f"{relayed.expires_at:%Y-%m-%dT%H:%M:%SZ}")
        return answer, HTTPStatus.CREATED

    @app.get("/v1/validation-relay/<request_id>")
    @require("sho")
    def show(request_id: str) -> Response:
        told = relay.answer(request_id, sho=current_principal().tenant)
        shown = {"request_id": told.request_id, "state": told.state}
        optional = {"outcome": told.outcome, "sealed": told.sealed}
        answer = jsonify(shown | {name: value for name, value in optional.items() if value is not None})
        answer.headers["Cache-Control"] = "no-store"
        return answer


def _order_id_too_long() -> Problem:
    return Problem(
        status=422,
        type="order-id-too-long",
        title="Unprocessable Content",
        detail=f"an order id has at most {_ORDER_ID_MAX} characters",
        subject="order id",
        reason="size",
        remedy="use a shorter id",
    )
