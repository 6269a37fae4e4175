"""Routes of a change of operator on the operator listener: successors ask, administrators decide, networks tell who attached.

Rule: a successor is the tenant of its certificate, and is told of a MID that it names and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from flask import Flask

from edge.operations import Told, answers, answers_nothing, takes
from edge.principals import current_principal, require
from edge.process import Clock
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.releases import ReleaseDesk, ReleaseRecord
from operators.sho.web.answers import AskedReleasesAnswer, ReleaseAnswer
from operators.sho.web.bodies import AttachmentBody, DecisionBody, ReleaseBody
from standards.rats.fields import encode_base64url

APPROVE = "approve"


class AttachmentBook(Protocol):
    """Takes the word of a network that a subscriber attached."""

    def attached(self, imsi: str, *, network: str, at: datetime) -> None:
        """See `operators.sho.changes.ChangeStore`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeDesks:
    """The use cases behind these routes."""

    releases: ReleaseDesk
    attachments: AttachmentBook


def add_changes(app: Flask, desks: ChangeDesks, clock: Clock) -> None:
    """Add the routes."""

    @app.post("/v1/releases")
    @require("sho")
    @takes(ReleaseBody, bytes_max=1024)
    @answers(ReleaseAnswer)
    def ask_release(body: ReleaseBody) -> Told:
        """Ask for the release of a MID to oneself, or what became of the question."""
        found = desks.releases.ask(
            current_principal().tenant, device_id=body.device_id, mid_id=body.mid_id, at=clock()
        )
        told = {
            "release": found.token,
            "instruction": found.instruction,
            "proof": None if found.proof is None else encode_base64url(found.proof),
        }
        shown = {name: value for name, value in told.items() if value is not None}
        return {"state": found.state.value, **shown}

    @app.get("/v1/orders/<order_id>/releases")
    @require("admin")
    @answers(AskedReleasesAnswer)
    def show_releases(order_id: str) -> Told:
        """Show which successors asked for the MID of an order."""
        return shown_releases(desks.releases.about(order_id))

    @app.post("/v1/orders/<order_id>/releases")
    @require("admin")
    @takes(DecisionBody, bytes_max=1024)
    @answers(AskedReleasesAnswer)
    def decide_release(body: DecisionBody, order_id: str) -> Told:
        """Approve or deny that a successor takes the MID of an order over."""
        desks.releases.decide(order_id, body.successor, approves=body.decision == APPROVE, at=clock())
        return shown_releases(desks.releases.about(order_id))

    @app.post("/v1/attachments")
    @require("vno")
    @takes(AttachmentBody, bytes_max=1024)
    @answers_nothing
    def take_attachment(body: AttachmentBody) -> None:
        """Tell that a subscriber attached to one's own network."""
        check_network(body.serving_network)
        desks.attachments.attached(body.pcid, network=body.serving_network, at=clock())


def shown_releases(records: Sequence[ReleaseRecord]) -> dict[str, Any]:
    """Questions as they are told to who may decide."""
    return {
        "releases": [
            {"successor": each.successor, "state": each.state.value}
            | ({} if each.decided_by is None else {"decided_by": each.decided_by})
            for each in records
        ]
    }


def check_network(serving_network: str) -> None:
    """A network speaks for itself alone. Raises RefusalError."""
    if serving_network != current_principal().tenant:
        raise RefusalError(
            RefusalCode.FOREIGN_NETWORK,
            subject="serving_network",
            reason="it is not the network that the caller's certificate is registered for",
        )
