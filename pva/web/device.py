"""The device listener: challenges and evidence (D12).

Rule: the evidence authenticates the device, nothing else here does. A device learns the tier and the id of its
result, not the findings: those are the operator's.
"""

from flask import Flask

from edge.operations import Told, answers, takes, takes_octets
from edge.principals import device, enforce_access
from edge.process import Clock
from edge.refusal_answers import register_refusals
from edge.refused import AnonymousRefusals
from messages.evidence import EVIDENCE_BYTES_MAX
from pva.requests import RequestDesk
from pva.validation import Verifier
from pva.web.answers import ChallengeAnswer, EvidenceAnswer
from pva.web.bodies import ChallengeBody

EVIDENCE_CONTENT_TYPE = "application/cbor"


def device_app(*, desk: RequestDesk, verifier: Verifier, clock: Clock, anonymous: AnonymousRefusals) -> Flask:
    """Application of the device listener; each request is judged at one time of `clock`."""
    app = Flask("pva.device", static_folder=None)

    @app.post("/v1/challenges")
    @device
    @takes(ChallengeBody, bytes_max=1024)
    @answers(ChallengeAnswer)
    def issue_challenge(body: ChallengeBody) -> Told:
        """Get the challenge of the validation that waits for a device."""
        return {"challenge": desk.challenge(body.device_id, at=clock())}

    @app.post("/v1/evidence")
    @device
    @takes_octets(EVIDENCE_CONTENT_TYPE, bytes_max=EVIDENCE_BYTES_MAX)
    @answers(EvidenceAnswer)
    def take_evidence(evidence: bytes) -> Told:
        """Hand in evidence, and learn the tier of the result."""
        result = verifier.validate_platform(evidence, at=clock())
        return {"result_id": result.id, "status": result.status}

    register_refusals(app, on_refusal=anonymous.count)
    enforce_access(app)
    return app
