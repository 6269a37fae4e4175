"""Manifests as pages: the chains, one manifest, and the two administrators who must approve it.

Rule: a supplier sees its own; an approval is of the digest that the page shows, by the key of the certificate that the
browser proved.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from flask import Flask, render_template, request
from pydantic import ValidationError
from werkzeug.wrappers import Response as AnyResponse

from edge.administrators import Standing as AdministratorStanding
from edge.principals import current_key_sha256, current_principal, require
from edge.problem_document import ProblemError, invalid_body
from edge.process import Clock
from pva.appraisal.manifest_records import ImportedManifest
from pva.manifests.approvals import ManifestApprovalDesk
from pva.manifests.proposals import Proposal
from pva.manifests.recognition import RecognitionDesk
from pva.updates.rollouts import RolloutDesk
from pva.web.administrators import current_administrator
from pva.web.bodies import RetirementBody
from pva.web.dashboard.page import PEOPLE, back_to, own_supplier
from pva.web.path_digests import manifest_digest


def add_manifests(
    app: Flask,
    *,
    recognition: RecognitionDesk,
    desk: ManifestApprovalDesk,
    rollouts: RolloutDesk,
    clock: Clock,
) -> None:
    """Add the pages of manifests."""
    _add_views(app, recognition, rollouts, needed=desk.needed, clock=clock)
    _add_decisions(app, desk, clock=clock)


def _add_views(
    app: Flask, recognition: RecognitionDesk, rollouts: RolloutDesk, *, needed: int, clock: Clock
) -> None:
    @app.get("/manifests")
    @require(*PEOPLE)
    def list_manifests() -> str:
        return render_template("manifests.html", lines=_lines(recognition.manifests(only_of=own_supplier())))

    @app.get("/manifests/<digest>")
    @require(*PEOPLE)
    def show_manifest(digest: str) -> str:
        held = recognition.manifests(only_of=own_supplier())
        manifest = recognition.manifest(manifest_digest(digest), only_of=own_supplier())
        announced = rollouts.rollouts(only_of=own_supplier())
        return render_template(
            "manifest.html",
            manifest=manifest,
            line=next(line for line in _lines(held) if manifest in line),
            rollout=next((each for each in announced if each.manifest_digest == manifest.digest), None),
            **progress(manifest, needed=needed, at=clock()),
        )


def _add_decisions(app: Flask, desk: ManifestApprovalDesk, *, clock: Clock) -> None:
    @app.post("/manifests/<digest>/approvals")
    @require("admin")
    def approve_manifest(digest: str) -> AnyResponse:
        approved = desk.approve(manifest_digest(digest), by=current_administrator(), at=clock())
        return back_to(f"/manifests/{approved.digest.hex()}", said="manifest-approved")

    @app.post("/manifests/<digest>/retirement")
    @require("admin")
    def retire_manifest(digest: str) -> AnyResponse:
        try:
            body = RetirementBody(reason=request.form.get("reason", "").strip())
        except ValidationError as error:
            raise ProblemError(invalid_body(error)) from None
        by = current_principal().name
        retired = desk.retire(manifest_digest(digest), reason=body.reason, by=by, at=clock())
        return back_to(f"/manifests/{retired.digest.hex()}", said="manifest-retired")


def _lines(held: Sequence[ImportedManifest]) -> list[list[ImportedManifest]]:
    """Chains: the manifests of one supplier and line, each after the one that it follows."""
    ordered = sorted(held, key=lambda each: (each.supplier, each.line, each.svn, each.imported_at))
    return [list(line) for _, line in groupby(ordered, key=lambda each: (each.supplier, each.line))]


def progress(
    waiting: ImportedManifest | Proposal | AdministratorStanding, *, needed: int, at: datetime
) -> dict[str, object]:
    """How far the approvals of what waits are, and whether the caller, or his key, has given one."""
    young = [each for each in waiting.approvals if each.is_young(at)]
    caller = current_principal()
    own = caller.role == "admin" and any(
        each.approver == caller.name or each.key_sha256 == current_key_sha256() for each in young
    )
    return {"young": young, "own": own, "missing": max(0, needed - len(young)), "needed": needed}
