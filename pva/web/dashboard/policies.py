"""Policies as pages: an operator's or a supplier's own, with what they say; an auditor reads all."""

from flask import Flask, render_template
from werkzeug.wrappers import Response as AnyResponse

from edge.principals import current_principal, require
from edge.process import Clock
from pva.policies.desk import Owner, PolicyDesk
from pva.policies.language import Policy, PolicyFaultsError, read_policy
from pva.web.dashboard.page import back_to
from pva.web.path_digests import policy_digest

READS = ("sho", "es", "auditor")
OWNS = ("sho", "es")


def add_policies(app: Flask, desk: PolicyDesk, *, clock: Clock) -> None:
    """Add the pages of policies."""

    @app.get("/policies")
    @require(*READS)
    def list_policies() -> str:
        held = [(each, _read(each.text)) for each in desk.policies(owner=_reader())]
        return render_template("policies.html", policies=held)

    @app.get("/policies/<digest>")
    @require(*READS)
    def show_policy(digest: str) -> str:
        policy = desk.show(policy_digest(digest), owner=_reader())
        return render_template(
            "policy.html",
            policy=policy,
            said_by=_read(policy.text),
            is_own=current_principal().role in OWNS,
        )

    @app.post("/policies/<digest>/activate")
    @require(*OWNS)
    def activate_policy(digest: str) -> AnyResponse:
        by = current_principal().name
        changed = desk.activate(policy_digest(digest), owner=_owner(), by=by, at=clock())
        return back_to(f"/policies/{changed.digest.hex()}", said="policy-changed")

    @app.post("/policies/<digest>/retire")
    @require(*OWNS)
    def retire_policy(digest: str) -> AnyResponse:
        by = current_principal().name
        changed = desk.retire(policy_digest(digest), owner=_owner(), by=by, at=clock())
        return back_to(f"/policies/{changed.digest.hex()}", said="policy-changed")


def _owner() -> Owner:
    caller = current_principal()
    return Owner(role=caller.role, tenant=caller.tenant)


def _reader() -> Owner | None:
    return None if current_principal().role == "auditor" else _owner()


def _read(text: str) -> Policy | None:
    """What a stored text says; None where this version cannot read it any more: then it denies."""
    try:
        return read_policy(text)
    except PolicyFaultsError:
        return None
