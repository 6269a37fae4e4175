"""Manifests on the operator listener: import, dry run, list, the signed bytes, approval, retirement.

Rule: a supplier sees and sends its own manifests only; approving and retiring are an administrator's, who is known by
name and by key.
"""

from datetime import datetime
from http import HTTPStatus
from typing import Any

from flask import Flask, Response

from edge.idempotency import repeatable
from edge.operations import Told, answers, answers_octets, takes, takes_octets, takes_query
from edge.pages import PageQuery, page_of
from edge.principals import current_principal, require
from edge.process import Clock
from pva.appraisal.manifest_records import ImportedManifest
from pva.manifests.approvals import ManifestApprovalDesk
from pva.manifests.recognition import RecognitionDesk
from pva.web.administrators import current_administrator
from pva.web.answers import ManifestAnswer, ManifestsAnswer
from pva.web.bodies import RetirementBody
from pva.web.path_digests import manifest_digest
from standards.rats.corim import MANIFEST_BYTES_MAX, RIM_COSE


def add_manifests(app: Flask, recognition: RecognitionDesk, desk: ManifestApprovalDesk, clock: Clock) -> None:
    """Add the routes of manifests; each request is judged at one time of `clock`."""
    _add_import(app, recognition, clock)
    _add_views(app, recognition)
    _add_decisions(app, desk, clock)


def _add_import(app: Flask, recognition: RecognitionDesk, clock: Clock) -> None:
    @app.post("/v1/manifests")
    @require("es", "admin")
    @repeatable
    @takes_octets(RIM_COSE, bytes_max=MANIFEST_BYTES_MAX)
    @answers(ManifestAnswer, HTTPStatus.CREATED)
    def import_manifest(signed: bytes) -> Told:
        """Import a signed reference manifest (CoRIM)."""
        by = current_principal().name
        return _manifest(recognition.import_manifest(signed, only_of=_own(), by=by, at=clock()))

    @app.post("/v1/manifest-checks")
    @require("es", "admin")
    @takes_octets(RIM_COSE, bytes_max=MANIFEST_BYTES_MAX)
    @answers(ManifestAnswer)
    def check_manifest(signed: bytes) -> Told:
        """Say what an import would do, and change nothing."""
        by = current_principal().name
        return _manifest(recognition.check_import(signed, only_of=_own(), by=by, at=clock()))


def _add_views(app: Flask, recognition: RecognitionDesk) -> None:
    @app.get("/v1/manifests")
    @require("admin", "auditor", "es", "sho", "dpf")
    @takes_query(PageQuery)
    @answers(ManifestsAnswer)
    def list_manifests(query: PageQuery) -> Told:
        """List manifests, oldest first; a supplier sees its own."""
        found = recognition.manifests(only_of=_own())
        return page_of(
            "manifests", found, query, key=lambda each: (each.imported_at, each.digest), shown=_manifest
        )

    @app.get("/v1/manifests/<digest>")
    @require("admin", "auditor", "es", "sho", "dpf")
    @answers_octets(RIM_COSE)
    def show_manifest(digest: str) -> Response:
        """Fetch the signed bytes of a manifest."""
        found = recognition.manifest(manifest_digest(digest), only_of=_own())
        return Response(found.signed, content_type=RIM_COSE)


def _add_decisions(app: Flask, desk: ManifestApprovalDesk, clock: Clock) -> None:
    @app.post("/v1/manifests/<digest>/approvals")
    @require("admin")
    @answers(ManifestAnswer)
    def approve_manifest(digest: str) -> Told:
        """Give one of the approvals that a manifest takes before anybody is judged by it."""
        return _manifest(desk.approve(manifest_digest(digest), by=current_administrator(), at=clock()))

    @app.post("/v1/manifests/<digest>/retirement")
    @require("admin")
    @takes(RetirementBody)
    @answers(ManifestAnswer)
    def retire_manifest(body: RetirementBody, digest: str) -> Told:
        """Withdraw a manifest: it affirms nobody from now on."""
        by = current_principal().name
        return _manifest(desk.retire(manifest_digest(digest), reason=body.reason, by=by, at=clock()))


def _own() -> str | None:
    """The supplier whose manifests the caller may see; None is all."""
    caller = current_principal()
    return caller.tenant if caller.role == "es" else None


def _manifest(imported: ImportedManifest) -> dict[str, Any]:
    before, retirement = imported.predecessor, imported.retirement
    return {
        "id": imported.id,
        "supplier": imported.supplier,
        "svn": imported.svn,
        "models": list(imported.models),
        "release": imported.release,
        "line": imported.line,
        "digest": imported.digest.hex(),
        "predecessor": None if before is None else before.digest.hex(),
        "predecessor_until": None if before is None else _moment(before.until),
        "valid_from": _moment(imported.valid_from),
        "valid_to": _moment(imported.valid_to),
        "imported_by": imported.imported_by,
        "imported_at": _moment(imported.imported_at),
        "standing": imported.standing.value,
        "approvals": [{"by": each.approver, "at": _moment(each.approved_at)} for each in imported.approvals],
        "retired": None
        if retirement is None
        else {"by": retirement.by, "at": _moment(retirement.at), "reason": retirement.reason},
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"
