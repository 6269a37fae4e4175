"""The device listener: deliveries, content in chunks, receipts, approvals before an update, owners' words (D12).

Rule: nothing here says who the caller is: the gate decides by what was validated, and what leaves opens in one TRE
only. A device learns why it is refused.
"""

import re
from http import HTTPStatus

from flask import Flask, Response, jsonify, request

from edge.bodies import binary_body, json_body
from edge.principals import device, enforce_access
from edge.problem_document import Problem, ProblemError
from edge.process import Clock
from edge.refused import RETRY_AFTER_DEFAULT_S, AnonymousRefusals, register_refusals
from messages.statement import STATEMENT_BYTES_MAX
from operators.dpf.lives import LifeDesk, StepQuestion
from operators.dpf.receipts import ReceiptDesk
from operators.dpf.records import DeliveryStatus
from operators.dpf.release import ReleaseDesk
from operators.dpf.updates import UpdateDesk, UpdateQuestion
from operators.dpf.web.bodies import (
    DELIVERY_BODY_BYTES_MAX,
    STEP_BODY_BYTES_MAX,
    DeliveryBody,
    StepBody,
    UpdateBody,
)

CBOR = "application/cbor"
OCTETS = "application/octet-stream"
DEVICE_BODY_BYTES_MAX = max(DELIVERY_BODY_BYTES_MAX, STATEMENT_BYTES_MAX, STEP_BODY_BYTES_MAX)
_OFFSET = re.compile(r"0|[1-9][0-9]{0,8}")


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
    def open_delivery() -> tuple[Response, int]:
        body = json_body(DeliveryBody, bytes_max=DELIVERY_BODY_BYTES_MAX)
        delivery = releases.open(
            body.device_id, bytes.fromhex(body.order_digest), pfc_chain=body.certificates, at=clock()
        )
        return _private(jsonify(delivery_id=delivery.id, state=delivery.status.value)), HTTPStatus.ACCEPTED

    @app.get("/v1/deliveries/<delivery_id>")
    @device
    def show_delivery(delivery_id: str) -> tuple[Response, int]:
        granted = releases.progress(delivery_id, at=clock())
        if granted is None:
            waiting = jsonify(delivery_id=delivery_id, state=DeliveryStatus.VALIDATING.value)
            return _private(waiting), HTTPStatus.ACCEPTED
        answer = jsonify(
            delivery_id=delivery_id,
            state=DeliveryStatus.GRANTED.value,
            package=granted.package,
            delivery=granted.grant.delivery,
            content_size=granted.content_size,
            chunk_bytes=releases.chunk_bytes,
        )
        return _private(answer), HTTPStatus.OK

    @app.get("/v1/deliveries/<delivery_id>/content")
    @device
    def send_content(delivery_id: str) -> Response:
        chunk = releases.content(delivery_id, offset=_offset(), at=clock())
        return _private(Response(chunk, content_type=OCTETS))


def _add_receipts(app: Flask, receipts: ReceiptDesk, clock: Clock) -> None:
    @app.post("/v1/deliveries/<delivery_id>/receipt")
    @device
    def take_receipt(delivery_id: str) -> tuple[Response, int]:
        statement = binary_body(CBOR, bytes_max=STATEMENT_BYTES_MAX)
        record = receipts.take(delivery_id, statement, at=clock())
        told = {"outcome": record.outcome}
        if record.instruction is not None:
            told["instruction"] = record.instruction
        answer = _private(jsonify(told))
        if record.forwarded_at is None:
            answer.headers["Retry-After"] = str(RETRY_AFTER_DEFAULT_S)
            return answer, HTTPStatus.ACCEPTED
        return answer, HTTPStatus.OK


def _add_updates(app: Flask, updates: UpdateDesk) -> None:
    @app.post("/v1/update-approvals")
    @device
    def fetch_update_approvals() -> Response:
        body = json_body(UpdateBody, bytes_max=1024)
        question = UpdateQuestion(
            device_id=body.device_id,
            order_digest=bytes.fromhex(body.order_digest),
            manifest_digest=bytes.fromhex(body.manifest_digest),
            tre_nonce=bytes.fromhex(body.tre_nonce),
        )
        return _private(jsonify(approvals=updates.approvals(question)))


def _add_lives(app: Flask, lives: LifeDesk) -> None:
    @app.post("/v1/mid-steps")
    @device
    def next_step() -> Response:
        body = json_body(StepBody, bytes_max=STEP_BODY_BYTES_MAX)
        step = lives.next_step(
            StepQuestion(
                device_id=body.device_id,
                order_digest=bytes.fromhex(body.order_digest),
                statement=body.said,
            )
        )
        told = {"step": step.kind} | ({} if step.token is None else {"token": step.token})
        return _private(jsonify(told))


def _offset() -> int:
    """The one query parameter. Raises ProblemError."""
    given = request.args.getlist("offset")
    if len(given) != 1 or len(request.args) != 1 or not _OFFSET.fullmatch(given[0]):
        raise ProblemError(
            Problem(
                status=400,
                type="malformed-offset",
                title="Bad Request",
                detail="expected the one parameter offset, a number of bytes",
                subject="query",
                reason="offset",
                remedy="ask for content?offset=N",
            )
        )
    return int(given[0])


def _private(answer: Response) -> Response:
    answer.headers["Cache-Control"] = "no-store"
    return answer
