"""Why a validation ended as it did, as the PVA's answer says it: typed, every text bounded and printable.

Rule: an answer of another shape is the reader's error; nothing in it is verified here, the signed result is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from standards.rats.fields import Fields

_TEXT_MAX = 4_096
_ITEMS_MAX = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedCause:
    """The measurement behind a finding."""

    register: int
    number: int
    type: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedFinding:
    """One finding; `claim` and `value` say what it moved in the trustworthiness vector."""

    scope: str
    code: str
    subject: str
    reason: str
    remedy: str
    expected: str | None
    measured: str | None
    event: str | None
    cause: ExplainedCause | None
    claim: str | None
    value: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedScope:
    """The verdict on a scope."""

    scope: str
    status: str
    vector: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedNearest:
    """The known manifest that explains most: in a sentence, and how much of what was measured."""

    name: str
    sentence: str
    explained: int
    measurements: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRefusal:
    """A refused try."""

    at: str
    code: str
    subject: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a validation ended as it did; `result_id` and `status` are None without a result.

    `whole` is the answer as it came, for programs.
    """

    request_id: str
    device_id: str
    state: str
    result_id: str | None
    status: str | None
    issued_at: str | None
    manifest: str | None
    policy_digest: str | None
    evidence_kept: bool
    scopes: tuple[ExplainedScope, ...]
    findings: tuple[ExplainedFinding, ...]
    nearest: ExplainedNearest | None
    refusals: tuple[ExplainedRefusal, ...]
    whole: Mapping[str, Any]


def read_explanation(fields: Fields, *, whole: Mapping[str, Any]) -> Explanation:
    """Read the members of an answer; `fields` raises the reader's own error."""
    answered = "result_id" in fields
    return Explanation(
        request_id=fields.text("request_id"),
        device_id=fields.text("device_id"),
        state=fields.text("state"),
        result_id=_optional(fields, "result_id"),
        status=_optional(fields, "status"),
        issued_at=_optional(fields, "issued_at"),
        manifest=_manifest(fields) if answered else None,
        policy_digest=_optional(fields, "policy_digest"),
        evidence_kept=answered and fields.raw("evidence_kept") is True,
        scopes=tuple(_scope(each) for each in _rows(fields, "scopes")),
        findings=tuple(_finding(each) for each in _rows(fields, "findings")),
        nearest=_nearest(fields.nested("nearest")) if "nearest" in fields else None,
        refusals=tuple(_refusal(each) for each in _rows(fields, "refusals")),
        whole=whole,
    )


def _rows(fields: Fields, key: str) -> list[Fields]:
    if key not in fields:
        return []
    values = fields.items(key, size_max=_ITEMS_MAX)
    return [fields.of(each, what=key) for each in values]


def _manifest(fields: Fields) -> str | None:
    if fields.raw("manifest") is None:
        return None
    manifest = fields.nested("manifest")
    return f"{manifest.text('id')} (svn {manifest.integer('svn')})"


def _scope(fields: Fields) -> ExplainedScope:
    vector = fields.nested("trustworthiness_vector")
    return ExplainedScope(
        scope=fields.text("scope"),
        status=fields.text("status"),
        vector={str(name): vector.integer(name, low=-128, high=127) for name in vector.present()},
    )


def _finding(fields: Fields) -> ExplainedFinding:
    return ExplainedFinding(
        scope=fields.text("scope"),
        code=fields.text("code"),
        subject=fields.text("subject", size_max=_TEXT_MAX),
        reason=fields.text("reason", size_max=_TEXT_MAX),
        remedy=fields.text("remedy", size_max=_TEXT_MAX),
        expected=_optional(fields, "expected"),
        measured=_optional(fields, "measured"),
        event=_optional(fields, "event"),
        cause=_cause(fields.nested("cause")) if "cause" in fields else None,
        claim=_optional(fields, "claim"),
        value=fields.integer("value", low=-128, high=127) if "value" in fields else None,
    )


def _cause(fields: Fields) -> ExplainedCause:
    return ExplainedCause(
        register=fields.integer("register"),
        number=fields.integer("number"),
        type=fields.text("type"),
        description=fields.text("description", size_max=_TEXT_MAX),
    )


def _nearest(fields: Fields) -> ExplainedNearest:
    return ExplainedNearest(
        name=fields.text("name"),
        sentence=fields.text("sentence", size_max=_TEXT_MAX),
        explained=fields.integer("explained"),
        measurements=fields.integer("measurements"),
    )


def _refusal(fields: Fields) -> ExplainedRefusal:
    return ExplainedRefusal(
        at=fields.text("at"),
        code=fields.text("code"),
        subject=fields.text("subject", size_max=_TEXT_MAX),
        reason=fields.text("reason", size_max=_TEXT_MAX),
        remedy=fields.text("remedy", size_max=_TEXT_MAX),
    )


def _optional(fields: Fields, key: str) -> str | None:
    return fields.text(key, size_max=_TEXT_MAX) if key in fields else None
