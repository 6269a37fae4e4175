"""Routes of the administrators behind EST: which keys wait, what each key gets, and what a second one has to approve."""

from http import HTTPStatus
from typing import Any

from flask import Blueprint

from ca.errors import InvalidInputError
from ca.est import EST_KINDS, Est
from ca.key_registrations import KeyProposal, KeyRegistrations
from ca.records import EstEnrollment, EstState, serial_text
from ca.web import bodies
from ca.web.answer_models import EstEnrollmentAnswer, EstEnrollmentsAnswer, KeyProposalsAnswer
from ca.web.answers import caller
from edge.operations import Told, answers, answers_nothing, takes, takes_query
from edge.pages import PageQuery, page_of
from edge.principals import require


def est_routes(est: Est, registrations: KeyRegistrations) -> Blueprint:
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
    @answers(EstEnrollmentAnswer, HTTPStatus.ACCEPTED, HTTPStatus.CREATED)
    def register(body: bodies.NewEstEnrollment) -> Told:
        """Register a key for EST, or approve one that waits; of some purposes, with the second administrator's approval."""
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
        return _agreed(registrations.register(wanted, caller=caller()))

    _add_proposals(routes, registrations)
    return routes


def _add_proposals(routes: Blueprint, registrations: KeyRegistrations) -> None:
    @routes.get("/v1/key-proposals")
    @require("admin", "auditor")
    @takes_query(PageQuery)
    @answers(KeyProposalsAnswer)
    def list_proposals(query: PageQuery) -> Told:
        """List the keys whose registration waits for another administrator, oldest first."""
        return page_of(
            "key_proposals",
            registrations.waiting(),
            query,
            key=lambda each: (each.enrollment.since, each.digest),
            shown=proposal_body,
        )

    @routes.post("/v1/key-proposals/<digest>/approvals")
    @require("admin")
    @answers(EstEnrollmentAnswer, HTTPStatus.ACCEPTED, HTTPStatus.CREATED)
    def approve(digest: str) -> Told:
        """Approve the registration of a key by its digest; with the second approval it is registered."""
        return _agreed(registrations.approve(digest, caller=caller()))

    @routes.post("/v1/key-proposals/<digest>/withdrawal")
    @require("admin")
    @answers_nothing
    def withdraw(digest: str) -> None:
        """Take back a registration that waits."""
        registrations.withdraw(digest, caller=caller())


def _agreed(made: KeyProposal) -> Told:
    return proposal_body(made), HTTPStatus.CREATED if made.is_registered else HTTPStatus.ACCEPTED


def proposal_body(made: KeyProposal) -> dict[str, Any]:
    """A registration with its digest and approvals; one that is one administrator's word has none."""
    if made.is_registered and not made.approvals:
        return _described(made.enrollment)
    state = {} if made.is_registered else {"state": "waiting"}
    approvals = bodies.approvals_body(made.approvals)
    return {**_described(made.enrollment), **state, "digest": made.digest, "approvals": approvals}


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
