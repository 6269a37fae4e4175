"""Policies of operators and suppliers, as the PVA's answers tell of them: typed, every text bounded and printable.

Rule: an answer of another shape is the reader's error. The text of a policy is the owner's own, and shown as it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from standards.rats.fields import Fields

_ITEMS_MAX = 1_024
_SHORT_MAX = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyStatement:
    """One statement of a policy: its name, the reason that people read, its line."""

    id: str
    reason: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFault:
    """What is wrong with a policy, in which line, and what to do."""

    line: int
    message: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPolicy:
    """What a check found: without `faults` the policy has a name, a digest and statements."""

    faults: tuple[PolicyFault, ...]
    name: str | None
    digest: str | None
    statements: tuple[PolicyStatement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyEntry:
    """A stored policy: `state` is draft, active or retired."""

    name: str
    digest: str
    role: str
    owner: str
    state: str
    changed_at: str
    changed_by: str
    statements: tuple[PolicyStatement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedVerdict:
    """A past result that would not have been affirming, and the reasons."""

    result_id: str
    device_id: str
    issued_at: str
    denied_by: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyTrial:
    """What a policy would have changed; see `pva.policies.desk.DryRun` for the counts."""

    digest: str
    judged: int
    without_facts: int
    denied: int
    changed: int
    complete: bool
    by_statement: Mapping[str, int]
    changes: tuple[ChangedVerdict, ...]


def read_checked(fields: Fields) -> CheckedPolicy:
    """The answer to a check."""
    faults = tuple(
        PolicyFault(
            line=each.integer("line"),
            message=each.text("message", size_max=_SHORT_MAX),
            remedy=each.text("remedy", size_max=_SHORT_MAX),
        )
        for each in _rows(fields, "faults")
    )
    good = not faults
    return CheckedPolicy(
        faults=faults,
        name=fields.text("name") if good else None,
        digest=fields.text("digest") if good else None,
        statements=_statements(fields) if good else (),
    )


def read_entry(fields: Fields) -> PolicyEntry:
    """A stored policy."""
    return PolicyEntry(
        name=fields.text("name"),
        digest=fields.text("digest"),
        role=fields.text("role"),
        owner=fields.text("owner"),
        state=fields.text("state"),
        changed_at=fields.text("changed_at"),
        changed_by=fields.text("changed_by"),
        statements=_statements(fields),
    )


def read_entries(fields: Fields) -> tuple[PolicyEntry, ...]:
    """A list of them."""
    return tuple(read_entry(each) for each in _rows(fields, "policies"))


def read_trial(fields: Fields) -> PolicyTrial:
    """The answer to a dry-run."""
    counts = fields.nested("by_statement")
    return PolicyTrial(
        digest=fields.text("digest"),
        judged=fields.integer("judged"),
        without_facts=fields.integer("without_facts"),
        denied=fields.integer("denied"),
        changed=fields.integer("changed"),
        complete=fields.raw("complete") is True,
        by_statement={str(name): counts.integer(name) for name in counts.present()},
        changes=tuple(_changed(each) for each in _rows(fields, "changes")),
    )


def _changed(fields: Fields) -> ChangedVerdict:
    reasons = [str(each)[:_SHORT_MAX] for each in fields.items("reasons", size_max=_ITEMS_MAX)]
    return ChangedVerdict(
        result_id=fields.text("result_id"),
        device_id=fields.text("device_id"),
        issued_at=fields.text("issued_at"),
        denied_by=tuple(str(each) for each in fields.items("denied_by", size_max=_ITEMS_MAX)),
        reasons=tuple(reasons),
    )


def _statements(fields: Fields) -> tuple[PolicyStatement, ...]:
    return tuple(
        PolicyStatement(id=each.text("id"), reason=each.text("reason"), line=each.integer("line"))
        for each in _rows(fields, "statements")
    )


def _rows(fields: Fields, key: str) -> list[Fields]:
    return [fields.of(each, what=key) for each in fields.items(key, size_max=_ITEMS_MAX)]
