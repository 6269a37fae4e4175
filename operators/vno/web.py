"""The attach listener: a claimed identity in, a challenge out; an answer in, a bearer out.

Rule: nobody is known here before RES is right, so refusals are only counted. Answers are never kept by anybody between.
"""

from http import HTTPStatus
from typing import Annotated

from flask import Flask, Response, jsonify
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from edge.bodies import json_body
from edge.principals import device, enforce_access
from edge.process import Clock
from edge.refused import AnonymousRefusals, register_refusals
from operators.vno.attachment import AttachmentDesk, Challenge, OpenedBearer

BODY_BYTES_MAX = 1024


class Body(BaseModel):
    """A body: unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class AttachBody(Body):
    """A device claims an identity."""

    identity: Annotated[str, StringConstraints(min_length=1, max_length=100)]


class AnswerBody(Body):
    """A device answers: RES, or AUTS."""

    res: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")] | None = Field(default=None, repr=False)
    auts: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{28}$")] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "AnswerBody":
        if (self.res is None) == (self.auts is None):
            raise ValueError("expected res or auts, and not both")
        return self


def device_app(desk: AttachmentDesk, *, gateway: str, clock: Clock, anonymous: AnonymousRefusals) -> Flask:
    """Application of the attach listener; `gateway` is the host:port that devices are told."""
    app = Flask("vno.device", static_folder=None)

    @app.post("/v1/attach")
    @device
    def attach() -> Response:
        body = json_body(AttachBody, bytes_max=BODY_BYTES_MAX)
        return _challenge(desk.attach(body.identity, at=clock()))

    @app.post("/v1/attach/<session>")
    @device
    def answer(session: str) -> Response:
        body = json_body(AnswerBody, bytes_max=BODY_BYTES_MAX)
        if body.auts is not None:
            return _challenge(desk.resynchronise(session, auts=bytes.fromhex(body.auts), at=clock()))
        opened = desk.respond(session, res=bytes.fromhex(body.res or ""), at=clock())
        return _bearer(opened, gateway=gateway)

    register_refusals(app, on_refusal=anonymous.count)
    enforce_access(app)
    return app


def _challenge(challenge: Challenge) -> Response:
    return _kept_by_nobody(
        jsonify(session=challenge.session, rand=challenge.rand.hex(), autn=challenge.autn.hex())
    )


def _bearer(opened: OpenedBearer, *, gateway: str) -> Response:
    bearer = opened.bearer
    return _kept_by_nobody(
        jsonify(
            bearer={
                "id": bearer.id,
                "secret": opened.secret,
                "gateway": gateway,
                "apn": bearer.apn,
                "destinations": list(bearer.destinations),
                "quota_bytes": bearer.left_bytes,
                "expires_at": f"{bearer.expires_at:%Y-%m-%dT%H:%M:%SZ}",
            }
        )
    )


def _kept_by_nobody(answer: Response) -> Response:
    answer.status_code = HTTPStatus.OK
    answer.headers["Cache-Control"] = "no-store"
    return answer
