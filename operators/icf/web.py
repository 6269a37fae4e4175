"""The operator listener of the ICF, mutual TLS: vectors and attachments for networks, subscribers from a CCIF.

Rule: a network speaks for itself only, which its certificate's tenant decides; every refusal of a caller that is known
becomes an audit record.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from flask import Flask
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from edge.api_description import Api, PathParameter
from edge.audit_log import AuditLog
from edge.description_pages import add_description
from edge.log_pages import LOG_PARAMETERS, add_log_pages
from edge.operations import AnswerModel, Told, answers, answers_nothing, takes
from edge.principals import Principal, PrincipalTable, current_principal, enforce_access, require
from edge.problem_document import Problem, ProblemError
from edge.problems import OnRefusal
from edge.process import Clock
from edge.refusal_answers import register_refusals
from messages.destination import check_destination
from messages.errors import MessageError
from operators.icf.attachments import AttachmentDesk
from operators.icf.refusals import REFUSALS
from operators.icf.subscribers import BearerTerms, Subscriber, SubscriberDesk
from operators.icf.vectors import Resynchronisation, VectorBatch, VectorDesk, check_network
from standards.aka.milenage import MilenageKey

BODY_BYTES_MAX = 32 * 1024
DESTINATIONS_MAX = 64
_TIME = "%Y-%m-%dT%H:%M:%SZ"

Pcid = Annotated[str, StringConstraints(pattern=r"^[0-9]{6,15}$")]
Network = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Hex16 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Apn = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,98}[a-z0-9])?$")]


class Body(BaseModel):
    """A body: unknown members are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ResynchronisationBody(Body):
    """A USIM's AUTS and the RAND that it answers."""

    rand: Hex16
    auts: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{28}$")]


class VectorsBody(Body):
    """A network asks for vectors."""

    pcid: Pcid
    serving_network: Network
    resynchronisation: ResynchronisationBody | None = None


class AttachmentBody(Body):
    """A network says that a PCID is attached."""

    pcid: Pcid
    serving_network: Network
    rand: Hex16
    expires_at: Annotated[
        str, StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")
    ]


class SubscriberBody(Body):
    """A CCIF hands over a subscriber."""

    k: Hex16 = Field(repr=False)
    opc: Hex16 = Field(repr=False)
    amf: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{4}$")]
    apn: Apn
    destinations: Annotated[list[str], Field(min_length=1, max_length=DESTINATIONS_MAX)]
    quota_bytes: Annotated[int, Field(ge=1, le=1 << 40)]
    life_s: Annotated[int, Field(ge=1, le=30 * 86_400)]

    @field_validator("destinations")
    @classmethod
    def _are_destinations(cls, value: list[str]) -> list[str]:
        try:
            return [check_destination(each) for each in value]
        except MessageError as error:
            raise ValueError(str(error)) from None


class SubscriberAnswer(AnswerModel):
    """The PCID of a subscriber that is known now."""

    pcid: str


class VectorAnswer(AnswerModel):
    """An authentication vector (3GPP TS 33.102), in hexadecimal."""

    rand: str
    autn: str
    xres: str
    ck: str
    ik: str


class BearerAnswer(AnswerModel):
    """What the subscriber's bearer may do."""

    apn: str
    destinations: list[str]
    quota_bytes: int
    life_s: int


class VectorsAnswer(AnswerModel):
    """Vectors, and the terms of the bearer."""

    vectors: list[VectorAnswer]
    bearer: BearerAnswer


OPERATOR_API = Api(
    title="ICF, operator listener",
    description="For VNOs, which authenticate devices by their PCID, and the CCIF, which hands subscribers over.",
    path_parameters={
        **LOG_PARAMETERS,
        "pcid": PathParameter(description="a PCID, in the form of an IMSI", pattern=r"^[0-9]{6,15}$"),
    },
    refusals=tuple((code.value, int(rule.status), rule.remedy) for code, rule in REFUSALS.items()),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desks:
    """The use cases behind the listener, and the log of what they did."""

    vectors: VectorDesk
    attachments: AttachmentDesk
    subscribers: SubscriberDesk
    log: AuditLog | None = None


def operator_app(desks: Desks, *, principals: PrincipalTable, clock: Clock, on_refusal: OnRefusal) -> Flask:
    """Application of the operator listener; each request is judged at one time of `clock`."""
    app = Flask("icf.operator", static_folder=None)
    _add_networks(app, desks, clock)

    @app.put("/v1/subscribers/<pcid>")
    @require("ccif")
    @takes(SubscriberBody, bytes_max=BODY_BYTES_MAX)
    @answers(SubscriberAnswer, HTTPStatus.CREATED, HTTPStatus.OK)
    def take_subscriber(body: SubscriberBody, pcid: str) -> Told:
        """Hand over a subscriber; the same one again changes nothing (200)."""
        subscriber = _subscriber(_pcid(pcid), body)
        new = desks.subscribers.take_over(subscriber, by=_name(current_principal()), at=clock())
        return {"pcid": pcid}, HTTPStatus.CREATED if new else HTTPStatus.OK

    add_log_pages(app, desks.log)
    add_description(app, OPERATOR_API)
    register_refusals(app, on_refusal=on_refusal)
    enforce_access(app, principals=principals)
    return app


def _add_networks(app: Flask, desks: Desks, clock: Clock) -> None:
    @app.post("/v1/authentication-vectors")
    @require("vno")
    @takes(VectorsBody, bytes_max=4096)
    @answers(VectorsAnswer)
    def issue_vectors(body: VectorsBody) -> Told:
        """Get authentication vectors for a PCID, for one's own network."""
        caller = current_principal()
        told = body.resynchronisation
        batch = desks.vectors.issue(
            body.pcid,
            network=check_network(body.serving_network, tenant=caller.tenant),
            resynchronisation=None
            if told is None
            else Resynchronisation(rand=bytes.fromhex(told.rand), auts=bytes.fromhex(told.auts)),
            caller=_name(caller),
            at=clock(),
        )
        return _batch(batch)

    @app.post("/v1/attachments")
    @require("vno")
    @takes(AttachmentBody, bytes_max=4096)
    @answers_nothing
    def take_attachment(body: AttachmentBody) -> None:
        """Say that a PCID is attached to one's network."""
        caller = current_principal()
        desks.attachments.attached(
            body.pcid,
            network=check_network(body.serving_network, tenant=caller.tenant),
            rand=bytes.fromhex(body.rand),
            until=_moment(body.expires_at),
            caller=_name(caller),
            at=clock(),
        )


def _subscriber(pcid: str, body: SubscriberBody) -> Subscriber:
    return Subscriber(
        pcid=pcid,
        key=MilenageKey(k=bytes.fromhex(body.k), opc=bytes.fromhex(body.opc)),
        amf=bytes.fromhex(body.amf),
        terms=BearerTerms(
            apn=body.apn,
            destinations=tuple(dict.fromkeys(body.destinations)),
            quota_bytes=body.quota_bytes,
            life_s=body.life_s,
        ),
    )


def _batch(batch: VectorBatch) -> dict[str, Any]:
    terms = batch.terms
    return {
        "vectors": [
            {
                "rand": each.rand.hex(),
                "autn": each.autn.hex(),
                "xres": each.xres.hex(),
                "ck": each.ck.hex(),
                "ik": each.ik.hex(),
            }
            for each in batch.vectors
        ],
        "bearer": {
            "apn": terms.apn,
            "destinations": list(terms.destinations),
            "quota_bytes": terms.quota_bytes,
            "life_s": terms.life_s,
        },
    }


def _pcid(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and 6 <= len(text) <= 15):  # noqa: PLR2004 - form of an IMSI
        raise ProblemError(_invalid("path", "expected a PCID of 6 to 15 digits"))
    return text


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise ProblemError(_invalid("body", "expires_at: no such day or time")) from None


def _invalid(subject: str, detail: str) -> Problem:
    return Problem(
        status=422,
        type="invalid-body",
        title="Unprocessable Content",
        detail=detail,
        subject=subject,
        reason="schema",
        remedy="correct it and send it again",
    )


def _name(caller: Principal) -> str:
    return f"{caller.role}:{caller.tenant}:{caller.name}"
