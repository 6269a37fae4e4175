"""The device listener: enrolment in two messages, and the credential of a device that was updated.

Rule: what a device sends authenticates itself; a credential is public, and proves itself to the TRE that gets it.
"""

from http import HTTPStatus

from flask import Flask, Response

from ca.enrollment import Enrollment
from ca.renewal import Renewals
from ca.web.problems import PROBLEMS
from edge.operations import answers_octets, takes_octets
from edge.principals import device, enforce_access
from edge.problems import register_problems
from messages.enrollment import ENROLLMENT_BYTES_MAX, ENROLLMENT_MEDIA_TYPE


def device_app(enrollment: Enrollment, renewals: Renewals) -> Flask:
    """Application of the device listener."""
    app = Flask("ca.device", static_folder=None)

    @app.post("/v1/enrolments")
    @device
    @takes_octets(ENROLLMENT_MEDIA_TYPE, bytes_max=ENROLLMENT_BYTES_MAX)
    @answers_octets(ENROLLMENT_MEDIA_TYPE, HTTPStatus.CREATED)
    def begin(message: bytes) -> Response:
        """Begin an enrolment: a request in, a challenge that one TPM alone can open out."""
        return _cbor(enrollment.begin(message).encode(), status=201)

    @app.post("/v1/enrolments/activation")
    @device
    @takes_octets(ENROLLMENT_MEDIA_TYPE, bytes_max=ENROLLMENT_BYTES_MAX)
    @answers_octets(ENROLLMENT_MEDIA_TYPE)
    def activate(message: bytes) -> Response:
        """End an enrolment: the secret and the keys in, the Platform Credential out."""
        return _cbor(enrollment.activate(message).encode(), status=200)

    @app.get("/v1/devices/<device_id>/credential")
    @device
    @answers_octets(ENROLLMENT_MEDIA_TYPE)
    def show_credential(device_id: str) -> Response:
        """The newest good Platform Credential of a device."""
        return _cbor(renewals.newest(device_id).encode(), status=200)

    register_problems(app, PROBLEMS)
    enforce_access(app)
    return app


def _cbor(data: bytes, *, status: int) -> Response:
    answer = Response(data, status=status, content_type=ENROLLMENT_MEDIA_TYPE)
    answer.headers["Cache-Control"] = "no-store"
    return answer
