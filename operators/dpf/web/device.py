"""The device listener: deliveries, content in chunks, receipts, approvals before an update, owners' words (D12).

Rule: nothing here says who the caller is: the gate decides by what was validated, and what leaves opens in one TRE
only. A device learns why it is refused.
"""

from http import HTTPStatus

from flask import Flask, Response

from edge.operations import Told, answers, answers_octets, takes, takes_octets, takes_query
from edge.principals import device, enforce_access
from edge.process import Clock
from edge.refusal_answers import RETRY_AFTER_DEFAULT_S, register_refusals
from edge.refused import AnonymousRefusals
from messages.statement import STATEMENT_BYTES_MAX
from operators.dpf.lives import LifeDesk, StepQuestion
from operators.dpf.receipts import ReceiptDesk
from operators.dpf.records import DeliveryStatus
from operators.dpf.release import ReleaseDesk
from operators.dpf.updates import UpdateDesk, UpdateQuestion
from operators.dpf.web.answers import (
    DeliveryAnswer,
    DeviceReceiptAnswer,
    StepAnswer,
    UpdateApprovalsAnswer,
)
from operators.dpf.web.bodies import (
    DELIVERY_BODY_BYTES_MAX,
    STEP_BODY_BYTES_MAX,
    DeliveryBody,
    OffsetQuery,
    StepBody,
    UpdateBody,
)

CBOR = "application/cbor"
OCTETS = "application/octet-stream"
DEVICE_BODY_BYTES_MAX = max(DELIVERY_BODY_BYTES_MAX, STATEMENT_BYTES_MAX, STEP_BODY_BYTES_MAX)


def device_app(
    *,
    releases: ReleaseDesk,
    receipts: ReceiptDesk,
    updates: UpdateDesk,
    lives: LifeDesk,
    clock: Clock,
    anonymous: AnonymousRefusals,
) -> Flask:
    """Application of the device listener; each request is judged at one time of `clock`."""
    app = Flask("operators.dpf.device", static_folder=None)
    _add_deliveries(app, releases, clock)
    _add_receipts(app, receipts, clock)
    _add_updates(app, updates)
    _add_lives(app, lives)
    register_refusals(app, on_refusal=anonymous.count)
    enforce_access(app)
    return app


def _add_deliveries(app: Flask, releases: ReleaseDesk, clock: Clock) -> None:
    @app.post("/v1/deliveries")
    @device
    @takes(DeliveryBody, bytes_max=DELIVERY_BODY_BYTES_MAX)
    @answers(DeliveryAnswer, HTTPStatus.ACCEPTED)
    def open_delivery(body: DeliveryBody) -> Told:
        """Ask for the delivery of one's order; the gate has the device validated first."""
        delivery = releases.open(
            body.device_id, bytes.fromhex(body.order_digest), pfc_chain=body.certificates, at=clock()
        )
        return {"delivery_id": delivery.id, "state": delivery.status.value}

    @app.get("/v1/deliveries/<delivery_id>")
    @device
    @answers(DeliveryAnswer, HTTPStatus.OK, HTTPStatus.ACCEPTED)
    def show_delivery(delivery_id: str) -> Told:
        """Show a delivery: under way (202), or granted with the package (200)."""
        granted = releases.progress(delivery_id, at=clock())
        if granted is None:
            waiting = {"delivery_id": delivery_id, "state": DeliveryStatus.VALIDATING.value}
            return waiting, HTTPStatus.ACCEPTED
        return {
            "delivery_id": delivery_id,
            "state": DeliveryStatus.GRANTED.value,
            "package": granted.package,
            "delivery": granted.grant.delivery,
            "content_size": granted.content_size,
            "chunk_bytes": releases.chunk_bytes,
        }

    @app.get("/v1/deliveries/<delivery_id>/content")
    @device
    @takes_query(OffsetQuery)
    @answers_octets(OCTETS)
    def send_content(query: OffsetQuery, delivery_id: str) -> Response:
        """Fetch a chunk of the content."""
        chunk = releases.content(delivery_id, offset=query.offset, at=clock())
        return Response(chunk, content_type=OCTETS, headers={"Cache-Control": "no-store"})


def _add_receipts(app: Flask, receipts: ReceiptDesk, clock: Clock) -> None:
    @app.post("/v1/deliveries/<delivery_id>/receipt")
    @device
    @takes_octets(CBOR, bytes_max=STATEMENT_BYTES_MAX)
    @answers(DeviceReceiptAnswer, HTTPStatus.OK, HTTPStatus.ACCEPTED)
    def take_receipt(statement: bytes, delivery_id: str) -> Told:
        """Hand in the TRE's receipt; 202 while the SHO cannot be told."""
        record = receipts.take(delivery_id, statement, at=clock())
        told = {"outcome": record.outcome}
        if record.instruction is not None:
            told["instruction"] = record.instruction
        if record.forwarded_at is None:
            return told, HTTPStatus.ACCEPTED, {"Retry-After": str(RETRY_AFTER_DEFAULT_S)}
        return told


def _add_updates(app: Flask, updates: UpdateDesk) -> None:
    @app.post("/v1/update-approvals")
    @device
    @takes(UpdateBody, bytes_max=1024)
    @answers(UpdateApprovalsAnswer)
    def fetch_update_approvals(body: UpdateBody) -> Told:
        """Fetch the approvals that one needs before an update."""
        question = UpdateQuestion(
            device_id=body.device_id,
            order_digest=bytes.fromhex(body.order_digest),
            manifest_digest=bytes.fromhex(body.manifest_digest),
            tre_nonce=bytes.fromhex(body.tre_nonce),
        )
        return {"approvals": updates.approvals(question)}


def _add_lives(app: Flask, lives: LifeDesk) -> None:
    @app.post("/v1/mid-steps")
    @device
    @takes(StepBody, bytes_max=STEP_BODY_BYTES_MAX)
    @answers(StepAnswer)
    def next_step(body: StepBody) -> Told:
        """Ask what the owner of one's MID wants next, and bring what the TRE said to the last step."""
        step = lives.next_step(
            StepQuestion(
                device_id=body.device_id,
                order_digest=bytes.fromhex(body.order_digest),
                statement=body.said,
            )
        )
        return {"step": step.kind} | ({} if step.token is None else {"token": step.token})
