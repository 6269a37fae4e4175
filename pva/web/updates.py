"""Routes of the operator listener for updates: announcements by suppliers, approvals of next states for SHOs (R82).

Rule: a supplier announces, widens and holds updates of its own; an SHO has the next state approved for itself alone.
"""

from http import HTTPStatus
from typing import Any

from flask import Flask

from edge.idempotency import repeatable
from edge.operations import Told, answers, takes, takes_query
from edge.pages import PageQuery, page_of
from edge.principals import current_principal, require
from edge.process import Clock
from pva.updates.next_states import NextStateDesk
from pva.updates.rollouts import Rollout, RolloutDesk, RolloutState
from pva.web.answers import ApprovalsAnswer, UpdateAnswer, UpdatesAnswer
from pva.web.bodies import NextApprovalBody, ShareBody, UpdateBody
from pva.web.path_digests import update_digest
from pva.web.relying_parties import approved_answer


def add_rollouts(app: Flask, desk: RolloutDesk, clock: Clock) -> None:
    """Announce updates, look at them, widen, pause and resume them."""

    @app.post("/v1/updates")
    @require("es", "admin")
    @repeatable
    @takes(UpdateBody)
    @answers(UpdateAnswer, HTTPStatus.CREATED)
    def announce_update(body: UpdateBody) -> Told:
        """Announce the update to a manifest, to a share of the devices."""
        made = desk.announce(
            bytes.fromhex(body.manifest_digest), share_percent=body.share_percent, at=clock(), **_caller()
        )
        return _rollout(made)

    @app.get("/v1/updates")
    @require("admin", "auditor", "es", "sho", "dpf")
    @takes_query(PageQuery)
    @answers(UpdatesAnswer)
    def list_updates(query: PageQuery) -> Told:
        """List announced updates, oldest first; a supplier sees its own."""
        found = desk.rollouts(only_of=_caller()["only_of"])
        return page_of(
            "updates",
            found,
            query,
            key=lambda each: (each.announced_at, each.manifest_digest),
            shown=_rollout,
        )

    @app.post("/v1/updates/<digest>/share")
    @require("es", "admin")
    @takes(ShareBody)
    @answers(UpdateAnswer)
    def widen_update(body: ShareBody, digest: str) -> Told:
        """Announce an update to more devices."""
        return _rollout(
            desk.widen(update_digest(digest), share_percent=body.share_percent, at=clock(), **_caller())
        )

    @app.post("/v1/updates/<digest>/pause")
    @require("es", "admin")
    @answers(UpdateAnswer)
    def pause_update(digest: str) -> Told:
        """Hold an update: no device is given what it needs for it."""
        return _rollout(desk.set_state(update_digest(digest), RolloutState.PAUSED, at=clock(), **_caller()))

    @app.post("/v1/updates/<digest>/resume")
    @require("es", "admin")
    @answers(UpdateAnswer)
    def resume_update(digest: str) -> Told:
        """Go on with an update."""
        return _rollout(desk.set_state(update_digest(digest), RolloutState.RUNNING, at=clock(), **_caller()))


def add_next_approvals(app: Flask, desk: NextStateDesk, clock: Clock) -> None:
    """Have the state after an update approved."""

    @app.post("/v1/update-approvals")
    @require("sho")
    @repeatable
    @takes(NextApprovalBody)
    @answers(ApprovalsAnswer)
    def approve_next_state(body: NextApprovalBody) -> Told:
        """Have the state after an update approved, for one's own order."""
        return approved_answer(
            desk.approve(
                body.result_id,
                order_digest=bytes.fromhex(body.order_digest),
                manifest_digest=bytes.fromhex(body.manifest_digest),
                sho=current_principal().tenant,
                at=clock(),
            )
        )


def _caller() -> dict[str, Any]:
    """Who speaks, and for which supplier alone; an administrator speaks for all."""
    caller = current_principal()
    return {"by": caller.name, "only_of": caller.tenant if caller.role == "es" else None}


def _rollout(rollout: Rollout) -> dict[str, Any]:
    return {
        "manifest_digest": rollout.manifest_digest.hex(),
        "supplier": rollout.supplier,
        "share_percent": rollout.share_percent,
        "state": rollout.state.value,
        "announced_by": rollout.announced_by,
        "announced_at": f"{rollout.announced_at:%Y-%m-%dT%H:%M:%SZ}",
    }
