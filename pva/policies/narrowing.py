"""Policies of operators and suppliers on top of the baseline: they can deny, and nothing else. Pure.

Rule: the baseline permits what it has judged, and each policy may forbid; a denial is a finding, which makes a verdict worse
and never better. A policy that cannot be evaluated denies, and says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cedarpy

from pva.appraisal.appraisal import Appraisal, with_findings
from pva.appraisal.findings import FindingCode, Scope, find
from pva.policies.facts import PolicyFacts
from pva.policies.language import PolicyFaultsError, Statement, read_policy, schema
from standards.rats.ear import Finding

DENIALS_MAX = 16
"""Denials that one result tells of."""
_BASELINE = "\npermit (principal, action, resource);"
_NAME = "policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInForce:
    """A policy that judges this validation: whose it is (`role` sho or es), its digest and its text."""

    role: str
    owner: str
    digest: bytes
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """Why a policy denies; `statement` is None where it could not be evaluated, `reason` then says why."""

    policy: PolicyInForce
    statement: Statement | None
    reason: str


def narrowed(appraisal: Appraisal, *, facts: PolicyFacts, policies: Sequence[PolicyInForce]) -> Appraisal:
    """The appraisal with the denials of all policies as findings; without any it is the same."""
    denied = [_finding(each) for each in denials(facts, policies=policies)]
    return with_findings(appraisal, denied[:DENIALS_MAX]) if denied else appraisal


def denials(facts: PolicyFacts, *, policies: Sequence[PolicyInForce]) -> Iterator[Denial]:
    """Every statement of every policy that forbids these facts."""
    for policy in policies:
        yield from _denials(facts, policy=policy)


def _denials(facts: PolicyFacts, *, policy: PolicyInForce) -> Iterator[Denial]:
    try:
        statements = read_policy(policy.text).statements
        answer = cedarpy.is_authorized(facts.request(), _compiled(policy.text), facts.entities(), schema())
    except (PolicyFaultsError, ValueError, TypeError) as error:
        yield Denial(policy=policy, statement=None, reason=f"it cannot be read: {error}")
        return
    if answer.decision is cedarpy.Decision.NoDecision or answer.diagnostics.errors:
        why = "; ".join(answer.diagnostics.errors) or "it came to no decision"
        yield Denial(policy=policy, statement=None, reason=f"it cannot be evaluated: {why}")
    if answer.decision is cedarpy.Decision.Deny:
        for name in answer.diagnostics.reasons:
            statement = statements[int(name.removeprefix(_NAME))]
            yield Denial(policy=policy, statement=statement, reason=statement.reason)


@lru_cache(maxsize=256)
def _compiled(text: str) -> cedarpy.PolicySet:
    """The policy with the baseline's permit behind its statements, so that their numbers stay."""
    return cedarpy.PolicySet.from_str(text + _BASELINE)


def _finding(denial: Denial) -> Finding:
    policy, statement = denial.policy, denial.statement
    code = FindingCode.POLICY_NOT_EVALUATED if statement is None else FindingCode.POLICY_DENIED
    name = "policy" if statement is None else f"statement {statement.id!r}"
    finding = find(
        code,
        scope=Scope.PLATFORM,
        subject=f"{name} of {policy.role} {policy.owner!r}",
        expected="no denial",
        measured=denial.reason,
        event=f"policy sha256 {policy.digest.hex()}",
    )
    return finding if statement is None else replace(finding, reason=statement.reason)
