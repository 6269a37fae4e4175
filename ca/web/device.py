"""The device listener: enrolment in two messages, and the credential of a device that was updated.

Rule: what a device sends authenticates itself; a credential is public, and proves itself to the TRE that gets it.
"""

from flask import Flask, Response

from ca.enrollment import Enrollment
from ca.renewal import Renewals
from ca.web.problems import PROBLEMS
from edge.bodies import binary_body
from edge.principals import device, enforce_access
from edge.problems import register_problems
from messages.enrollment import ENROLLMENT_BYTES_MAX, ENROLLMENT_MEDIA_TYPE


def device_app(enrollment: Enrollment, renewals: Renewals) -> Flask:
    """Application of the device listener."""
    app = Flask("ca.device", static_folder=None)

    @app.post("/v1/enrolments")
    @device
    def begin() -> Response:
        message = binary_body(ENROLLMENT_MEDIA_TYPE, bytes_max=ENROLLMENT_BYTES_MAX)
        return _cbor(enrollment.begin(message).encode(), status=201)

    @app.post("/v1/enrolments/activation")
    @device
    def activate() -> Response:
        message = binary_body(ENROLLMENT_MEDIA_TYPE, bytes_max=ENROLLMENT_BYTES_MAX)
        return _cbor(enrollment.activate(message).encode(), status=200)

    @app.get("/v1/devices/<device_id>/credential")
    @device
    def show_credential(device_id: str) -> Response:
        return _cbor(renewals.newest(device_id).encode(), status=200)

    register_problems(app, PROBLEMS)
    enforce_access(app)
    return app


def _cbor(data: bytes, *, status: int) -> Response:
    answer = Response(data, status=status, content_type=ENROLLMENT_MEDIA_TYPE)
    answer.headers["Cache-Control"] = "no-store"
    return answer
