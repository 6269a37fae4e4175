"""Routes of the administrators behind EST: which keys wait, and what each key gets."""

from http import HTTPStatus
from typing import Any

from flask import Blueprint

from ca.errors import InvalidInputError
from ca.est import EST_KINDS, Est
from ca.records import EstEnrollment, EstState, serial_text
from ca.web import bodies
from ca.web.answer_models import EstEnrollmentAnswer, EstEnrollmentsAnswer
from ca.web.answers import caller
from edge.operations import Told, answers, takes, takes_query
from edge.pages import PageQuery, page_of
from edge.principals import require


def est_routes(est: Est) -> Blueprint:
    """Registering a key before it asks and approving it after are one act."""
    routes = Blueprint("est", __name__)

    @routes.get("/v1/est-enrollments")
    @require("admin")
    @takes_query(PageQuery)
    @answers(EstEnrollmentsAnswer)
    def list_enrollments(query: PageQuery) -> Told:
        """List keys that are registered for EST, or wait for approval, by kind and key."""
        return page_of(
            "enrollments",
            est.known(),
            query,
            key=lambda each: (str(each.kind), each.spki_sha256),
            shown=_described,
        )

    @routes.post("/v1/est-enrollments")
    @require("admin")
    @takes(bodies.NewEstEnrollment)
    @answers(EstEnrollmentAnswer, HTTPStatus.CREATED)
    def register(body: bodies.NewEstEnrollment) -> Told:
        """Register a key for EST, or approve one that waits."""
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
        return _described(est.register(wanted, caller=caller()))

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
