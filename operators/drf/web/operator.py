"""The operator listener, mutual TLS: attachments (icf), orders and the validation relay (sho).

Rule: every lookup is scoped by the caller's tenant, every refusal of a caller that is known becomes an audit record.
"""

import hashlib
from dataclasses import dataclass
from http import HTTPStatus

from flask import Flask

from edge.audit_log import AuditLog
from edge.description_pages import add_description
from edge.log_pages import add_log_pages
from edge.operations import Told, answers, answers_nothing, takes
from edge.principals import PrincipalTable, current_principal, enforce_access, require
from edge.problem_document import Problem, ProblemError
from edge.problems import OnRefusal
from edge.process import Clock
from edge.refusal_answers import register_refusals
from operators.drf.attachments import Attachment, AttachmentDesk
from operators.drf.discovery import DiscoveryDesk
from operators.drf.relay import RelayDesk
from operators.drf.web.answers import RelayedAnswer, RelayProgressAnswer
from operators.drf.web.bodies import RELAY_BODY_BYTES_MAX, AttachmentBody, OrderBody, RelayBody
from operators.drf.web.descriptions import OPERATOR_API

_ORDER_ID_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorDesks:
    """The use cases behind this listener, and the log of what they did."""

    attachments: AttachmentDesk
    discovery: DiscoveryDesk
    relay: RelayDesk
    log: AuditLog | None = None


def operator_app(
    desks: OperatorDesks, *, principals: PrincipalTable, clock: Clock, on_refusal: OnRefusal
) -> Flask:
    """Application of the operator listener; each request is judged at one time of `clock`."""
    app = Flask("operators.drf.operator", static_folder=None)
    _add_attachments(app, desks.attachments, clock)
    _add_orders(app, desks.discovery, clock)
    _add_relay(app, desks.relay, clock)
    add_log_pages(app, desks.log)

    add_description(app, OPERATOR_API)
    register_refusals(app, on_refusal=on_refusal)
    enforce_access(app, principals=principals)
    return app


def _add_attachments(app: Flask, attachments: AttachmentDesk, clock: Clock) -> None:
    @app.post("/v1/attachments")
    @require("icf")
    @takes(AttachmentBody, bytes_max=2_048)
    @answers_nothing
    def attach(body: AttachmentBody) -> None:
        """Say that a PCID is attached now."""
        attachment = Attachment(
            pcid=body.pcid,
            icf=current_principal().tenant,
            serving_network=body.serving_network,
            key=bytes.fromhex(body.key),
            expires_at=body.expires_at,
        )
        attachments.attached(attachment, at=clock())


def _add_orders(app: Flask, discovery: DiscoveryDesk, clock: Clock) -> None:
    @app.put("/v1/orders/<order_id>")
    @require("sho")
    @takes(OrderBody, bytes_max=2_048)
    @answers_nothing
    def announce(body: OrderBody, order_id: str) -> None:
        """Say that an order waits for a device."""
        if len(order_id) > _ORDER_ID_MAX:
            raise ProblemError(_order_id_too_long())
        discovery.announce(
            order_id,
            sho=current_principal().tenant,
            code=body.device_code,
            sho_name=body.sho_name,
            at=clock(),
        )


def _add_relay(app: Flask, relay: RelayDesk, clock: Clock) -> None:
    @app.post("/v1/validation-relay")
    @require("sho")
    @takes(RelayBody, bytes_max=RELAY_BODY_BYTES_MAX)
    @answers(RelayedAnswer, HTTPStatus.CREATED)
    def hand_in(body: RelayBody) -> Told:
        """Have a signed validation request carried to its PVA; it is not read."""
        relayed = relay.relay(
            body.request,
            token_digest=hashlib.sha256(body.request.encode()).digest(),
            sho=current_principal().tenant,
            at=clock(),
        )
        return {
            "request_id": relayed.request_id,
            "expires_at": f"{relayed.expires_at:%Y-%m-%dT%H:%M:%SZ}",
        }

    @app.get("/v1/validation-relay/<request_id>")
    @require("sho")
    @answers(RelayProgressAnswer)
    def show(request_id: str) -> Told:
        """Show what became of a request that was carried."""
        told = relay.answer(request_id, sho=current_principal().tenant)
        shown = {"request_id": told.request_id, "state": told.state}
        optional = {"outcome": told.outcome, "sealed": told.sealed}
        return shown | {name: value for name, value in optional.items() if value is not None}


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
