"""The attach listener: a claimed identity in, a challenge out; an answer in, a bearer out. And the operator listener.

Rule: nobody is known at the first before RES is right, so refusals are only counted. Answers are never kept by anybody
between. The second gives out the audit log and nothing else.
"""

from typing import Annotated

from flask import Flask
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from edge.api_description import Api, PathParameter
from edge.audit_log import AuditLog
from edge.description_pages import add_description
from edge.log_pages import LOG_PARAMETERS, add_log_pages
from edge.operations import AnswerModel, Moment, Told, answers, takes
from edge.principals import PrincipalTable, device, enforce_access
from edge.problems import OnRefusal
from edge.process import Clock
from edge.refusal_answers import register_refusals
from edge.refused import AnonymousRefusals
from operators.vno.attachment import AttachmentDesk, Challenge, OpenedBearer
from operators.vno.refusals import REFUSALS

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


class ChallengeAnswer(AnswerModel):
    """A challenge (3GPP TS 33.102), in hexadecimal, and the session that its answer belongs to."""

    session: str
    rand: str
    autn: str


class BearerAnswer(AnswerModel):
    """A bearer: where its gateway is, the secret that opens it, and what it may do."""

    id: str
    secret: str
    gateway: str
    apn: str
    destinations: list[str]
    quota_bytes: int
    expires_at: Moment


class AttachedAnswer(AnswerModel):
    """A bearer, or after AUTS another challenge."""

    bearer: BearerAnswer | None = None
    session: str | None = None
    rand: str | None = None
    autn: str | None = None


DEVICE_API = Api(
    title="VNO, attach listener",
    description="For devices: a claimed identity in, a challenge out; an answer in, a bearer out.",
    path_parameters={
        "session": PathParameter(description="session of the challenge", pattern=r"^[0-9a-f]{1,64}$")
    },
    refusals=tuple((code.value, int(rule.status), rule.remedy) for code, rule in REFUSALS.items()),
)

OPERATOR_API = Api(
    title="VNO, operator listener",
    description="For whoever relies on what this network has on record: its audit log.",
    path_parameters=LOG_PARAMETERS,
)


def device_app(desk: AttachmentDesk, *, gateway: str, clock: Clock, anonymous: AnonymousRefusals) -> Flask:
    """Application of the attach listener; `gateway` is the host:port that devices are told."""
    app = Flask("vno.device", static_folder=None)

    @app.post("/v1/attach")
    @device
    @takes(AttachBody, bytes_max=BODY_BYTES_MAX)
    @answers(ChallengeAnswer)
    def attach(body: AttachBody) -> Told:
        """Claim an identity, and get the challenge of its network."""
        return _challenge(desk.attach(body.identity, at=clock()))

    @app.post("/v1/attach/<session>")
    @device
    @takes(AnswerBody, bytes_max=BODY_BYTES_MAX)
    @answers(AttachedAnswer)
    def answer(body: AnswerBody, session: str) -> Told:
        """Answer the challenge, and get a bearer; after AUTS, get another challenge."""
        if body.auts is not None:
            return _challenge(desk.resynchronise(session, auts=bytes.fromhex(body.auts), at=clock()))
        opened = desk.respond(session, res=bytes.fromhex(body.res or ""), at=clock())
        return _bearer(opened, gateway=gateway)

    register_refusals(app, on_refusal=anonymous.count)
    enforce_access(app)
    return app


def operator_app(log: AuditLog, *, principals: PrincipalTable, on_refusal: OnRefusal) -> Flask:
    """Application of the operator listener."""
    app = Flask("vno.operator", static_folder=None)
    add_log_pages(app, log)
    add_description(app, OPERATOR_API)
    register_refusals(app, on_refusal=on_refusal)
    enforce_access(app, principals=principals)
    return app


def _challenge(challenge: Challenge) -> Told:
    return {"session": challenge.session, "rand": challenge.rand.hex(), "autn": challenge.autn.hex()}


def _bearer(opened: OpenedBearer, *, gateway: str) -> Told:
    bearer = opened.bearer
    return {
        "bearer": {
            "id": bearer.id,
            "secret": opened.secret,
            "gateway": gateway,
            "apn": bearer.apn,
            "destinations": list(bearer.destinations),
            "quota_bytes": bearer.left_bytes,
            "expires_at": f"{bearer.expires_at:%Y-%m-%dT%H:%M:%SZ}",
        }
    }
