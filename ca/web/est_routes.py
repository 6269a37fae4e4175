"""Routes of the administrators behind EST: which keys wait, and what each key gets."""

from typing import Any

from flask import Blueprint

from ca.errors import InvalidInputError
from ca.est import EST_KINDS, Est
from ca.records import EstEnrollment, EstState, serial_text
from ca.web import bodies
from ca.web.answers import Answer, caller
from edge.bodies import json_body
from edge.principals import require


def est_routes(est: Est) -> Blueprint:
    """Registering a key before it asks and approving it after are one act."""
    routes = Blueprint("est", __name__)

    @routes.get("/v1/est-enrollments")
    @require("admin")
    def list_enrollments() -> Answer:
        return {"enrollments": [_described(each) for each in est.known()]}, 200

    @routes.post("/v1/est-enrollments")
    @require("admin")
    def register() -> Answer:
        body = json_body(bodies.NewEstEnrollment)
        kind = EST_KINDS.get(body.label)
        if kind is None:
            raise InvalidInputError(
                "label",
                subject="label",
                detail=f"expected {', '.join(EST_KINDS)}, got {body.label[:40]!r}",
                remedy="choose one of them",
            )
        wanted = EstEnrollment(
            kind=kind,
            spki_sha256=body.spki_sha256,
            state=EstState.REGISTERED,
            since=est.clock(),
            name=body.name,
            role=body.role,
            dns=tuple(body.dns),
            addresses=tuple(body.ip),
        )
        return _described(est.register(wanted, caller=caller())), 201

    return routes


def _described(found: EstEnrollment) -> dict[str, Any]:
    return {
        "label": str(found.kind),
        "spki_sha256": found.spki_sha256,
        "state": str(found.state),
        "since": bodies.moment(found.since),
        "name": found.name,
        "role": found.role,
        "dns": list(found.dns),
        "ip": list(found.addresses),
        "serial": None if found.serial is None else serial_text(found.serial),
    }
