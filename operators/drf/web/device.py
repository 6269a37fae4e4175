"""The device listener: discovery and registration, for devices whose PCID is attached now (R01, R90).

Rule: every request proves its attachment before its body is read: `Authorization: Attachment <pcid>:<mac>`, the MAC
over method, path and the very bytes of the body. There is no route for authentication vectors.
"""

import functools
import re
from collections.abc import Callable
from datetime import datetime
from typing import ParamSpec, Protocol, TypeVar

from flask import Flask, g, request

from edge.operations import Told, answers, takes, takes_header
from edge.principals import device, enforce_access
from edge.problem_document import Problem, ProblemError
from edge.process import Clock
from edge.refusal_answers import register_refusals
from edge.refused import AnonymousRefusals
from operators.drf.attachments import AttachmentDesk, DeviceRequest
from operators.drf.discovery import DiscoveryDesk, Question
from operators.drf.refusals import RefusalCode, RefusalError
from operators.drf.registrations import RegistrationDesk, RegistrationWish
from operators.drf.web.answers import DiscoveryAnswer, RegistrationAnswer
from operators.drf.web.bodies import DEVICE_BODY_BYTES_MAX, DiscoveryBody, RegistrationBody, decoded

_PROOF = re.compile(r"Attachment (?P<pcid>[0-9]{6,15}):(?P<mac>[0-9a-f]{64})")
_PROOF_PATTERN = r"^Attachment [0-9]{6,15}:[0-9a-f]{64}$"
_KEY_PATTERN = r"^[!-~]{1,128}$"
_IDEMPOTENCY_KEY = re.compile(_KEY_PATTERN)
P = ParamSpec("P")
R = TypeVar("R")


class DeviceRefusals(Protocol):
    """Takes the audit record of a refused device whose attachment is proven."""

    def record_device_refusal(self, *, pcid: str, route: str, code: str, detail: str, at: datetime) -> None:
        """Append an audit leaf, a bounded number an attachment."""


def device_app(
    *,
    attachments: AttachmentDesk,
    discovery: DiscoveryDesk,
    registrations: RegistrationDesk,
    devices: DeviceRefusals,
    clock: Clock,
    anonymous: AnonymousRefusals,
) -> Flask:
    """Application of the device listener; each request is judged at one time of `clock`."""
    app = Flask("operators.drf.device", static_folder=None)

    attached = _attached(attachments, clock)

    @app.post("/v1/discovery")
    @device
    @attached
    @takes(DiscoveryBody, bytes_max=DEVICE_BODY_BYTES_MAX)
    @takes_header("Authorization", description="proof of the attachment", pattern=_PROOF_PATTERN)
    @answers(DiscoveryAnswer)
    def discover(body: DiscoveryBody) -> Told:
        """Ask which operator is one's own."""
        _check_own(g.drf_pcid, body.pcid)
        question = Question(
            device_id=body.device_id, nonce=decoded(body.nonce), supplier=body.supplier, choice=body.choice
        )
        return {"discovery": discovery.discover(question, at=g.drf_at)}

    @app.post("/v1/registrations")
    @device
    @attached
    @takes(RegistrationBody, bytes_max=DEVICE_BODY_BYTES_MAX)
    @takes_header("Authorization", description="proof of the attachment", pattern=_PROOF_PATTERN)
    @takes_header("Idempotency-Key", description="of this registration alone", pattern=_KEY_PATTERN)
    @answers(RegistrationAnswer)
    def register(body: RegistrationBody) -> Told:
        """Register with an operator, and get its signed order."""
        _check_own(g.drf_pcid, body.pcid)
        wish = RegistrationWish(
            pcid=body.pcid,
            device_id=body.device_id,
            sho=body.sho,
            pfc_chain=tuple(decoded(each) for each in body.pfc_chain),
            ak_public=decoded(body.ak_public),
        )
        return {"order": registrations.register(wish, idempotency_key=_key(), at=g.drf_at)}

    def on_refusal(problem: Problem) -> None:
        pcid = g.get("drf_pcid")
        if pcid is None:
            anonymous.count(problem)
            return
        devices.record_device_refusal(
            pcid=pcid,
            route=f"{request.method} {request.path}",
            code=problem.reason or problem.type,
            detail=f"{problem.subject}: {problem.detail}",
            at=clock(),
        )

    register_refusals(app, on_refusal=on_refusal)
    enforce_access(app)
    return app


def _attached(attachments: AttachmentDesk, clock: Clock) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let nobody reach a view, or have a body read, without the proof of an attachment."""

    def guard(view: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(view)
        def proven(*args: P.args, **kwargs: P.kwargs) -> R:
            g.drf_at = clock()
            g.drf_pcid = _proven(attachments, at=g.drf_at)
            return view(*args, **kwargs)

        return proven

    return guard


def _proven(attachments: AttachmentDesk, *, at: datetime) -> str:
    """The PCID whose attachment proves the present request. Raises RefusalError."""
    match = _PROOF.fullmatch(request.headers.get("Authorization", ""))
    if match is None:
        raise RefusalError(
            RefusalCode.NOT_ATTACHED,
            subject="Authorization",
            reason="expected Attachment <pcid>:<mac>, got another form or nothing",
        )
    sent = DeviceRequest(
        pcid=match["pcid"],
        mac=match["mac"],
        method=request.method,
        path=request.full_path.rstrip("?"),
        body=request.get_data(cache=True),
    )
    return attachments.authenticate(sent, at=at).pcid


def _check_own(proven: str, claimed: str) -> None:
    if proven != claimed:
        raise RefusalError(
            RefusalCode.PCID_MISMATCH, subject="pcid", reason="the body names another PCID than the proof"
        )


def _key() -> str:
    given = request.headers.get("Idempotency-Key", "")
    if not _IDEMPOTENCY_KEY.fullmatch(given):
        raise ProblemError(
            Problem(
                status=400,
                type="idempotency-key-required",
                title="Bad Request",
                detail="expected the header Idempotency-Key with 1 to 128 printable characters",
                subject="Idempotency-Key",
                reason="missing",
                remedy="send one key a registration, and the same key when it is repeated",
            )
        )
    return given
