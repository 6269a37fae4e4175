"""Routes of the operator listener for policies: read, tried, activated and retired by their owner (docs/adr/0030-policies.md).

Rule: an operator or a supplier sees and changes its own; an auditor reads all.
"""

from datetime import datetime
from http import HTTPStatus
from typing import Any

from flask import Flask

from edge.idempotency import repeatable
from edge.operations import Told, answers, takes, takes_query
from edge.pages import Key, PageQuery, page_of
from edge.principals import current_principal, require
from edge.process import Clock
from pva.policies.desk import DryRun, Owner, PolicyDesk, StoredPolicy
from pva.policies.language import Policy, PolicyFaultsError, read_policy
from pva.web.answers import DryRunAnswer, PoliciesAnswer, PolicyAnswer, PolicyCheckAnswer
from pva.web.bodies import DryRunBody, PolicyBody
from pva.web.path_digests import policy_digest


def add_policies(app: Flask, desk: PolicyDesk, clock: Clock) -> None:
    """Add every route about policies."""
    _add_reading(app, desk)
    _add_trying(app, desk)
    _add_changing(app, desk, clock)


def _add_reading(app: Flask, desk: PolicyDesk) -> None:
    @app.get("/v1/policies")
    @require("sho", "es", "auditor")
    @takes_query(PageQuery)
    @answers(PoliciesAnswer)
    def list_policies(query: PageQuery) -> Told:
        """List policies, oldest first; an auditor sees everybody's."""

        def key(policy: StoredPolicy) -> Key:
            return (policy.added_at, policy.digest, policy.owner.role, policy.owner.tenant)

        return page_of("policies", desk.policies(owner=_reader()), query, key=key, shown=_stored)

    @app.get("/v1/policies/<digest>")
    @require("sho", "es", "auditor")
    @answers(PolicyAnswer)
    def show_policy(digest: str) -> Told:
        """Show a policy with its text."""
        policy = desk.show(policy_digest(digest), owner=_reader())
        return {**_stored(policy), "text": policy.text}


def _add_trying(app: Flask, desk: PolicyDesk) -> None:
    @app.post("/v1/policies/check")
    @require("sho", "es")
    @takes(PolicyBody)
    @answers(PolicyCheckAnswer)
    def check_policy(body: PolicyBody) -> Told:
        """Read a policy, and say what it says or what is wrong with it."""
        try:
            policy = desk.check(body.text)
        except PolicyFaultsError as error:
            return {
                "faults": [
                    {"line": each.line, "message": each.message, "remedy": each.remedy}
                    for each in error.faults
                ]
            }
        return {**_statements(policy), "faults": []}

    @app.post("/v1/policies/dry-run")
    @require("sho", "es")
    @takes(DryRunBody)
    @answers(DryRunAnswer)
    def try_policy(body: DryRunBody) -> Told:
        """Try a policy on the results since a time, and change nothing."""
        return _dry_run(desk.dry_run(body.text, owner=_owner(), since=body.since_at))


def _add_changing(app: Flask, desk: PolicyDesk, clock: Clock) -> None:
    @app.post("/v1/policies")
    @require("sho", "es")
    @repeatable
    @takes(PolicyBody)
    @answers(PolicyAnswer, HTTPStatus.CREATED)
    def add_policy(body: PolicyBody) -> Told:
        """Add a policy as a draft."""
        return _stored(desk.add(body.text, owner=_owner(), by=current_principal().name, at=clock()))

    @app.post("/v1/policies/<digest>/activate")
    @require("sho", "es")
    @answers(PolicyAnswer)
    def activate_policy(digest: str) -> Told:
        """Judge by a policy from now on."""
        by = current_principal().name
        return _stored(desk.activate(policy_digest(digest), owner=_owner(), by=by, at=clock()))

    @app.post("/v1/policies/<digest>/retire")
    @require("sho", "es")
    @answers(PolicyAnswer)
    def retire_policy(digest: str) -> Told:
        """Judge by a policy no more."""
        by = current_principal().name
        return _stored(desk.retire(policy_digest(digest), owner=_owner(), by=by, at=clock()))


def _owner() -> Owner:
    caller = current_principal()
    return Owner(role=caller.role, tenant=caller.tenant)


def _reader() -> Owner | None:
    return None if current_principal().role == "auditor" else _owner()


def _stored(policy: StoredPolicy) -> dict[str, Any]:
    return {
        **_statements_of(policy.text),
        "digest": policy.digest.hex(),
        "role": policy.owner.role,
        "owner": policy.owner.tenant,
        "state": policy.state.value,
        "added_at": _moment(policy.added_at),
        "changed_at": _moment(policy.changed_at),
        "changed_by": policy.changed_by,
    }


def _statements_of(text: str) -> dict[str, Any]:
    """What a stored text says; one that this version cannot read any more says nothing, and denies."""
    try:
        return _statements(read_policy(text))
    except PolicyFaultsError:
        return {"name": "unreadable", "statements": []}


def _statements(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "digest": policy.digest.hex(),
        "statements": [
            {"id": each.id, "reason": each.reason, "line": each.line} for each in policy.statements
        ],
    }


def _dry_run(run: DryRun) -> dict[str, Any]:
    return {
        **_statements(run.policy),
        "judged": run.judged,
        "without_facts": run.without_facts,
        "denied": run.denied,
        "changed": run.changed,
        "complete": run.complete,
        "by_statement": dict(run.by_statement),
        "changes": [
            {
                "result_id": each.result_id,
                "device_id": each.device_id,
                "issued_at": _moment(each.issued_at),
                "denied_by": list(each.denied_by),
                "reasons": list(each.reasons),
            }
            for each in run.changes
        ],
    }


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
