"""The device listener: challenges and evidence (D12).

Rule: the evidence authenticates the device, nothing else here does. A device learns the tier and the id of its
result, not the findings: those are the operator's.
"""

from http import HTTPStatus

from flask import Flask, Response, jsonify

from edge.bodies import binary_body, json_body
from edge.principals import device, enforce_access
from edge.process import Clock
from edge.refused import AnonymousRefusals, register_refusals
from messages.evidence import EVIDENCE_BYTES_MAX
from pva.requests import RequestDesk
from pva.validation import Verifier
from pva.web.bodies import ChallengeBody

EVIDENCE_CONTENT_TYPE = "application/cbor"


def device_app(*, desk: RequestDesk, verifier: Verifier, clock: Clock, anonymous: AnonymousRefusals) -> Flask:
    """Application of the device listener; each request is judged at one time of `clock`."""
    app = Flask("pva.device", static_folder=None)

    @app.post("/v1/challenges")
    @device
    def issue_challenge() -> Response:
        body = json_body(ChallengeBody, bytes_max=1024)
        answer = jsonify(challenge=desk.challenge(body.device_id, at=clock()))
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @app.post("/v1/evidence")
    @device
    def take_evidence() -> tuple[Response, int]:
        body = binary_body(EVIDENCE_CONTENT_TYPE, bytes_max=EVIDENCE_BYTES_MAX)
        result = verifier.validate_platform(body, at=clock())
        answer = jsonify(result_id=result.id, status=result.status)
        answer.headers["Cache-Control"] = "no-store"
        return answer, HTTPStatus.OK

    register_refusals(app, on_refusal=anonymous.count)
    enforce_access(app)
    return app
