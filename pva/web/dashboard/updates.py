"""Roll-outs of updates as pages: how far each is, and the forms that announce, widen, pause and resume it.

Rule: a supplier speaks for its own updates alone; a share only grows.
"""

from typing import Annotated, Any

from flask import Flask, render_template, request
from pydantic import BaseModel, Field, ValidationError
from werkzeug.wrappers import Response as AnyResponse

from edge.principals import current_principal, require
from edge.problem_document import ProblemError, invalid_body
from edge.process import Clock
from pva.appraisal.manifest_records import Standing
from pva.manifests.recognition import RecognitionDesk
from pva.updates.rollouts import RolloutDesk, RolloutState
from pva.web.dashboard.page import PEOPLE, back_to, own_supplier
from pva.web.path_digests import update_digest

CHANGES = ("es", "admin")
"""Who changes updates."""


class ShareForm(BaseModel):
    """A share as a form sends it."""

    share_percent: Annotated[int, Field(ge=0, le=100)]


def add_updates(app: Flask, *, recognition: RecognitionDesk, desk: RolloutDesk, clock: Clock) -> None:
    """Add the pages of updates."""

    @app.get("/updates")
    @require(*PEOPLE)
    def list_updates() -> str:
        only_of = own_supplier()
        held = {each.digest: each for each in recognition.manifests(only_of=only_of)}
        rollouts = desk.rollouts(only_of=only_of)
        announced = {each.manifest_digest for each in rollouts}
        announceable = [
            each
            for each in held.values()
            if each.standing is Standing.APPROVED and each.predecessor and each.digest not in announced
        ]
        return render_template(
            "updates.html",
            rollouts=[(each, held.get(each.manifest_digest)) for each in reversed(rollouts)],
            announceable=announceable,
            may_change=current_principal().role in CHANGES,
        )

    @app.post("/updates/<digest>")
    @require(*CHANGES)
    def announce_update(digest: str) -> AnyResponse:
        desk.announce(update_digest(digest), share_percent=_share(), at=clock(), **_caller())
        return back_to("/updates", said="update-announced")

    @app.post("/updates/<digest>/share")
    @require(*CHANGES)
    def widen_update(digest: str) -> AnyResponse:
        desk.widen(update_digest(digest), share_percent=_share(), at=clock(), **_caller())
        return back_to("/updates", said="update-changed")

    @app.post("/updates/<digest>/pause")
    @require(*CHANGES)
    def pause_update(digest: str) -> AnyResponse:
        desk.set_state(update_digest(digest), RolloutState.PAUSED, at=clock(), **_caller())
        return back_to("/updates", said="update-changed")

    @app.post("/updates/<digest>/resume")
    @require(*CHANGES)
    def resume_update(digest: str) -> AnyResponse:
        desk.set_state(update_digest(digest), RolloutState.RUNNING, at=clock(), **_caller())
        return back_to("/updates", said="update-changed")


def _caller() -> dict[str, Any]:
    """Who speaks, and for which supplier alone; an administrator speaks for all."""
    return {"by": current_principal().name, "only_of": own_supplier()}


def _share() -> int:
    try:
        return ShareForm.model_validate(
            {"share_percent": request.form.get("share_percent", "").strip()}
        ).share_percent
    except ValidationError as error:
        raise ProblemError(invalid_body(error)) from None
