"""Routes of the operator listener about results that are on record: each in its forms, and why it is as it is.

Rule: who may read the result may read its explanation; a relay, who learns pass or fail, is not among them.
"""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from flask import Flask, Response

from edge.operations import JSON, Told, answers, answers_octets, takes_query
from edge.principals import current_principal, require
from edge.process import Clock
from pva.appraisal.findings import finding_rule
from pva.appraisal.nearest import NearestManifest, manifest_name
from pva.recheck.exporting import ExportDesk
from pva.results.explanation import Explanation, ExplanationDesk, Reader
from pva.results.reissue import ReissueDesk
from pva.signed_requests import refusal_members
from pva.web.answers import ExplanationAnswer, ResultAnswer
from pva.web.bodies import ProfileQuery
from standards.rats.ear import AttestationResult, Finding


def add_explanations(app: Flask, desk: ExplanationDesk, clock: Clock) -> None:
    """Explain a validation, by its id or by that of its result."""

    @app.get("/v1/results/<result_id>/explanation")
    @require("sho", "dpf", "auditor")
    @answers(ExplanationAnswer)
    def explain_result(result_id: str) -> Told:
        """Explain a validation, by its id or by that of its result."""
        caller = current_principal()
        reader = Reader(role=caller.role, tenant=caller.tenant)
        return explanation_members(desk.explain(result_id, reader=reader, at=clock()))


def add_results(app: Flask, desk: ReissueDesk, clock: Clock) -> None:
    """The signed result, in the profile that the query names."""

    @app.get("/v1/results/<result_id>")
    @require("sho", "dpf", "auditor")
    @takes_query(ProfileQuery)
    @answers(ResultAnswer)
    def fetch_result(query: ProfileQuery, result_id: str) -> Told:
        """Fetch a signed result, in the profile that one's software reads."""
        caller = current_principal()
        reader = Reader(role=caller.role, tenant=caller.tenant)
        token = desk.result(result_id, profile=query.profile, reader=reader, at=clock())
        return {"result": token, "profile": query.profile}


def add_exports(app: Flask, desk: ExportDesk, clock: Clock) -> None:
    """A result with all that it stands on."""

    @app.get("/v1/results/<result_id>/bundle")
    @require("sho", "dpf", "auditor")
    @answers_octets(JSON)
    def export_result(result_id: str) -> Response:
        """Fetch a result with all that it stands on, to judge it anew offline."""
        caller = current_principal()
        reader = Reader(role=caller.role, tenant=caller.tenant)
        bundle = desk.bundle(result_id, reader=reader, at=clock())
        answer = Response(bundle, content_type=JSON)
        answer.headers["Cache-Control"] = "no-store"
        return answer


def explanation_members(explanation: Explanation) -> dict[str, Any]:
    """An explanation as JSON; what it does not have is left out."""
    record, result = explanation.record, explanation.result
    members: dict[str, Any] = {
        "request_id": record.request_id,
        "device_id": record.device_id,
        "purpose": record.purpose,
        "state": record.state.value,
        "refusals": [refusal_members(each) for each in record.refusals],
    }
    if result is not None:
        members |= _verdict(result)
        members["evidence_kept"] = explanation.evidence_kept
    if explanation.nearest is not None:
        members["nearest"] = _nearest(explanation.nearest)
    return members


def _verdict(result: AttestationResult) -> dict[str, Any]:
    manifest = result.manifest
    return {
        "result_id": result.result_id,
        "status": result.status.value,
        "issued_at": _moment(result.issued_at),
        "expires_at": _moment(result.expires_at),
        "policy_digest": result.policy_digest.hex(),
        "evidence_digest": result.evidence_digest.hex(),
        "manifest": None
        if manifest is None
        else {"id": manifest.id, "svn": manifest.svn, "digest": manifest.digest.hex()},
        "scopes": [
            {
                "scope": name,
                "status": part.status.value,
                "trustworthiness_vector": dict(part.trustworthiness_vector),
                "policy_ids": list(part.policy_ids),
            }
            for name, part in result.submodules.items()
        ],
        "findings": [_finding(each) for part in result.submodules.values() for each in part.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    rule = finding_rule(finding.code)
    moved = {} if rule is None else {"claim": rule.claim.value, "value": rule.value}
    return {name: value for name, value in asdict(finding).items() if value is not None} | moved


def _nearest(nearest: NearestManifest) -> dict[str, Any]:
    manifest = nearest.manifest
    return {
        "manifest": {"id": manifest.id, "svn": manifest.svn, "version": manifest.version},
        "name": manifest_name(manifest),
        "sentence": nearest.sentence,
        "explained": nearest.explained,
        "measurements": nearest.measurements,
        "differences": [
            {name: value for name, value in asdict(each).items() if value is not None}
            for each in nearest.differences
        ],
        "more": nearest.more,
    }


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
