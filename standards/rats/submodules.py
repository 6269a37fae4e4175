"""Submodules of an EAR: the verdict on one scope, with the findings that explain it.

Rule: a status is never better than its vector, and a finding belongs to the submodule that it stands in.
Source: draft-ietf-rats-ear, section "EAR Appraisal Claims"; findings are this project's claim "pva_findings". Verifiers in the
field write the same claims under dotted names, with every claim of the vector and one policy id: both are `ClaimNames`.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

from standards.rats.ar4si import (
    NOT_CLAIMED,
    STANDARD_VALUES,
    Tier,
    check_standard_vector,
    check_vector,
    tier_of,
)
from standards.rats.errors import RatsError, refusal
from standards.rats.fields import Fields

SUBMODULES_MAX: Final = 8
FINDINGS_MAX: Final = 256
TEXT_MAX: Final = 2048
REGISTER_MAX: Final = 31
POLICIES_MAX: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimNames:
    """What a profile calls the claims of a submodule; `whole` where it has every claim of the vector and one policy id."""

    status: str
    vector: str
    policies: str
    whole: bool


DRAFT_NAMES: Final = ClaimNames(
    status="ear_status", vector="ear_trustworthiness_vector", policies="ear_appraisal_policy_ids", whole=False
)
DEPLOYED_NAMES: Final = ClaimNames(
    status="ear.status", vector="ear.trustworthiness-vector", policies="ear.appraisal-policy-id", whole=True
)
_TIERS: Final[Mapping[str, Tier]] = MappingProxyType({tier.value: tier for tier in Tier})
_OWN_POLICIES: Final = "pva_policy_ids"
"""All policy ids, beside a profile's single one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """The measurement behind a finding: which register it went into, its number in the log, its type, what it is about."""

    register: int
    number: int
    type: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason for a verdict: a stable code, and what a person needs to understand and to act.

    `event` says in words where in the log it is; `cause` is that event, where one event is it.
    """

    code: str
    scope: str
    subject: str
    reason: str
    remedy: str
    expected: str | None = None
    measured: str | None = None
    event: str | None = None
    cause: Cause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Submodule:
    """The verdict on one scope."""

    status: Tier
    trustworthiness_vector: Mapping[str, int]
    policy_ids: tuple[str, ...]
    findings: tuple[Finding, ...]


def read_submodules(value: object, *, names: ClaimNames = DRAFT_NAMES) -> Mapping[str, Submodule]:
    """Read `submods` of any verifier's result: at least one scope, each with its status.

    Raises:
        RatsError: a claim is missing or of another type, or a status is better than its vector.
    """
    fields = Fields(value, what="submods", refusal=refusal)
    scopes = fields.present()
    if not 1 <= len(scopes) <= SUBMODULES_MAX or not all(isinstance(scope, str) for scope in scopes):
        raise RatsError(
            what="submods", expected=f"1 to {SUBMODULES_MAX} named submodules", got=str(len(scopes))
        )
    return MappingProxyType(
        {scope: _read_submodule(fields.nested(scope), name=scope, names=names) for scope in scopes}
    )


def _read_vector(fields: Fields, *, names: ClaimNames) -> dict[str, int]:
    if names.vector not in fields:
        return {}
    claims = fields.nested(names.vector)
    vector = {claim: claims.raw(claim) for claim in claims.present()}
    check_vector(vector)
    return {claim: value for claim, value in vector.items() if not names.whole or value != NOT_CLAIMED}


def _read_policies(fields: Fields, *, names: ClaimNames) -> tuple[str, ...]:
    if not names.whole:
        return (
            fields.texts(names.policies, size_min=1, size_max=POLICIES_MAX)
            if names.policies in fields
            else ()
        )
    one = (fields.text(names.policies),) if names.policies in fields else ()
    if _OWN_POLICIES not in fields:
        return one
    every = fields.texts(_OWN_POLICIES, size_min=1, size_max=POLICIES_MAX)
    if every[:1] != one:
        raise RatsError(what=_OWN_POLICIES, expected=f"{names.policies} as the first", got="another one")
    return every


def _read_submodule(fields: Fields, *, name: str, names: ClaimNames) -> Submodule:
    rows = fields.items("pva_findings", size_max=FINDINGS_MAX) if "pva_findings" in fields else []
    submodule = Submodule(
        status=read_tier(fields, names.status),
        trustworthiness_vector=_read_vector(fields, names=names),
        policy_ids=_read_policies(fields, names=names),
        findings=tuple(_read_finding(row, scope=name) for row in rows),
    )
    _check_submodule(submodule, name=name)
    return submodule


def read_tier(fields: Fields, claim: str) -> Tier:
    """Read a status."""
    name = fields.text(claim, size_max=32)
    tier = _TIERS.get(name)
    if tier is None:
        raise RatsError(what=claim, expected=", ".join(_TIERS), got="another tier")
    return tier


def _read_finding(value: object, *, scope: str) -> Finding:
    fields = Fields(value, what=f"submods.{scope}.pva_findings", refusal=refusal)

    def optional(name: str) -> str | None:
        return fields.text(name, size_max=TEXT_MAX) if name in fields else None

    return Finding(
        code=fields.text("code", size_max=64),
        scope=scope,
        subject=fields.text("subject", size_max=TEXT_MAX),
        reason=fields.text("reason", size_max=TEXT_MAX),
        remedy=fields.text("remedy", size_max=TEXT_MAX),
        expected=optional("expected"),
        measured=optional("measured"),
        event=optional("event"),
        cause=_read_cause(fields.nested("cause")) if "cause" in fields else None,
    )


def _read_cause(fields: Fields) -> Cause:
    return Cause(
        register=fields.integer("register", high=REGISTER_MAX),
        number=fields.integer("number"),
        type=fields.text("type", size_max=64),
        description=fields.text("description", size_max=TEXT_MAX),
    )


def submodule_claims(submodule: Submodule, *, name: str, names: ClaimNames = DRAFT_NAMES) -> dict[str, Any]:
    """JWT claims of a submodule under the names of a profile; only values with a meaning in AR4SI are written.

    Raises:
        RatsError: a claim is missing or of another type, or a status is better than its vector.
    """
    check_standard_vector(submodule.trustworthiness_vector)
    _check_submodule(submodule, name=name)
    claims: dict[str, Any] = {names.status: submodule.status.value}
    if submodule.trustworthiness_vector:
        whole = dict.fromkeys(STANDARD_VALUES, NOT_CLAIMED) if names.whole else {}
        claims[names.vector] = {**whole, **submodule.trustworthiness_vector}
    if submodule.policy_ids and names.whole:
        claims[names.policies] = submodule.policy_ids[0]
        claims[_OWN_POLICIES] = list(submodule.policy_ids)
    elif submodule.policy_ids:
        claims[names.policies] = list(submodule.policy_ids)
    claims["pva_findings"] = [_finding_claims(finding) for finding in submodule.findings]
    return claims


def _finding_claims(finding: Finding) -> dict[str, Any]:
    names = ("code", "subject", "reason", "remedy", "expected", "measured", "event")
    values = {name: getattr(finding, name) for name in names}
    claims: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
    if finding.cause is not None:
        claims["cause"] = asdict(finding.cause)
    return claims


def _check_submodule(submodule: Submodule, *, name: str) -> None:
    vector = submodule.trustworthiness_vector
    if vector and submodule.status < tier_of(vector):
        raise RatsError(
            what=f"status of {name}",
            expected=f"no better than {tier_of(vector).value}, as its vector says",
            got=submodule.status.value,
        )
    stray = [finding.code for finding in submodule.findings if finding.scope != name]
    if stray:
        raise RatsError(
            what=f"findings of {name}", expected="findings of this scope", got=", ".join(stray)[:200]
        )
