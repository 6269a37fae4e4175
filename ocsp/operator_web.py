"""The operator listener of the responder, mutual TLS: status with the state of the platform, and the results behind it.

The one rule: what a caller may know of a platform's state is decided by the tenant of its certificate, never by what it
asks; a result is believed for its signature, not for who brought it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from flask import Flask, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from edge.api_description import Api
from edge.description_pages import add_description
from edge.operations import answers_nothing, answers_octets, takes, takes_octets
from edge.principals import PrincipalTable, current_principal, enforce_access, require
from edge.problems import OnRefusal
from edge.process import Clock, logger
from edge.refusal_answers import register_refusals
from messages.reliance import RESULT_BYTES_MAX
from ocsp.delegates import DelegateDirectory
from ocsp.judgement import AnswerPolicy, StatusStore
from ocsp.platform_states import REFUSALS, StateDesk, StatesFor
from ocsp.responder import answer
from ocsp.web import REQUEST_TYPE, RESPONSE_TYPE
from standards.pki.ocsp import REQUEST_BYTES_MAX, ResponseStatus

BODY_BYTES_MAX = RESULT_BYTES_MAX + 64
SEES_ALL = "auditor"
"""The role that reads every operator's results at the PVA too."""


class ResultBody(BaseModel):
    """The PVA brings a signed result."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    result: Annotated[str, StringConstraints(min_length=1, max_length=RESULT_BYTES_MAX)]


OPERATOR_API = Api(
    title="OCSP responder, operator listener",
    description="For relying parties, which learn the state of a platform beside the status of its credential "
    "(PROTOCOL section 5), and for the PVA, which brings its results.",
    refusals=tuple((code, int(rule.status), rule.remedy) for code, rule in REFUSALS.items()),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorDesk:
    """What answers behind the listener; `directory` gives the delegates of the moment."""

    statuses: StatusStore
    directory: Callable[[], DelegateDirectory]
    policy: AnswerPolicy
    states: StateDesk


def operator_app(
    desk: OperatorDesk, *, principals: PrincipalTable, clock: Clock, on_refusal: OnRefusal
) -> Flask:
    """Application of the operator listener; each request is judged at one time of `clock`."""
    app = Flask("ocsp.operator", static_folder=None)

    @app.post("/v1/ocsp")
    @require("sho", "dpf", SEES_ALL)
    @takes_octets(REQUEST_TYPE, bytes_max=REQUEST_BYTES_MAX)
    @answers_octets(RESPONSE_TYPE)
    def answer_request(body: bytes) -> Response:
        """Ask for the status of Platform Credentials (RFC 6960), and with a nonce for the state of their platforms.

        The state is that of the last result whose audience the caller is in; where there is none, the status stands
        alone. Whatever is asked, an OCSP answer is a 200.
        """
        caller = current_principal()
        reader = None if caller.role == SEES_ALL else caller.tenant
        told = answer(
            body,
            now=clock(),
            status_store=desk.statuses,
            delegates=desk.directory(),
            policy=desk.policy,
            states=StatesFor(store=desk.states.store, reader=reader),
        )
        if told.status is ResponseStatus.INTERNAL_ERROR:
            logger("ocsp").error("ocsp-internal-error", exc_info=told.error)
        return Response(told.der, content_type=RESPONSE_TYPE, headers={"Cache-Control": "no-store"})

    @app.post("/v1/results")
    @require("pva")
    @takes(ResultBody, bytes_max=BODY_BYTES_MAX)
    @answers_nothing
    def take_result(body: ResultBody) -> None:
        """Bring a signed attestation result; one that is not the last changes nothing."""
        desk.states.take(body.result, at=clock())

    add_description(app, OPERATOR_API)
    register_refusals(app, on_refusal=on_refusal)
    enforce_access(app, principals=principals)
    return app
