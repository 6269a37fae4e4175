"""Use case: an operator or a supplier reads, tries, activates and retires policies of its own.

Rule: a policy belongs to who wrote it, and judges what is its owner's: an operator's its own requests, a supplier's its own
devices. It is checked before it is stored, named by the digest of its text, and in force from the moment of its activation to
that of its retirement, without a restart. What it would have changed can be seen before, on the facts of past results.

    draft --activate--> active --retire--> retired          retired --activate--> active
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from typing import Any, Protocol

from pva.policies.facts import facts_of_json
from pva.policies.language import Policy, PolicyFaultsError, read_policy
from pva.policies.narrowing import Denial, PolicyInForce, denials
from pva.refusals import RefusalCode, RefusalError
from standards.rats.ar4si import Tier

OWNERS = frozenset({"sho", "es"})
ACTIVE_MAX = 7
"""Policies of one owner in force: with the other owner's and the baseline's, their names fit into a result."""
STORED_MAX = 256
TRIED_MAX = 10_000
CHANGES_SHOWN_MAX = 100


@unique
class PolicyState(StrEnum):
    """Where a policy stands; see the module's diagram."""

    DRAFT = "draft"
    ACTIVE = "active"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose policies: `role` sho or es, and its tenant."""

    role: str
    tenant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """A policy on record; `changed_at` and `changed_by` tell of the last step of its life."""

    owner: Owner
    digest: bytes
    text: str
    state: PolicyState
    added_at: datetime
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PastVerdict:
    """A result of the past with the facts that policies judge; `facts` is None of a result from before policies."""

    result_id: str
    device_id: str
    issued_at: datetime
    status: str
    facts: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedVerdict:
    """A past result that was affirming and would not have been."""

    result_id: str
    device_id: str
    issued_at: datetime
    denied_by: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a policy would have changed since a time.

    `judged` past results had facts, `without_facts` had none; `denied` are those that it denies, whatever they said before;
    `changed` of them were affirming, of which `changes` shows the newest (a supplier is shown none: they are others' requests);
    `by_statement` counts denials. `complete` is False where there were more results than are looked at.
    """

    policy: Policy
    judged: int
    without_facts: int
    denied: int
    changed: int
    by_statement: Mapping[str, int]
    changes: tuple[ChangedVerdict, ...]
    complete: bool


class PolicyRecords(Protocol):
    """What this use case needs of a store; each call is one transaction with its audit leaf."""

    def add_policy(self, policy: StoredPolicy, *, stored_max: int) -> StoredPolicy:
        """Add a draft; one that is there already stays as it is. Raises RefusalError: `stored_max` are there."""

    def policies(self, owner: Owner | None) -> Sequence[StoredPolicy]:
        """Policies of an owner, of all for None; oldest first."""

    def change_state(
        self, owner: Owner, digest: bytes, *, to: PolicyState, by: str, at: datetime
    ) -> StoredPolicy | None:
        """Move a policy to `to`; None where the owner has none of this digest. Raises RefusalError.

        A step that leads nowhere (`policy-state`), or more than `ACTIVE_MAX` in force (`too-many-policies`).
        """

    def past_verdicts(self, owner: Owner, *, since: datetime, count_max: int) -> Sequence[PastVerdict]:
        """Results of an operator's requests, or about a supplier's devices, issued since a time; newest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDesk:
    """The use case and what it works with."""

    records: PolicyRecords

    def check(self, text: str) -> Policy:
        """Read a policy without storing anything. Raises PolicyFaultsError."""
        return read_policy(text)

    def add(self, text: str, *, owner: Owner, by: str, at: datetime) -> StoredPolicy:
        """Store a policy as a draft. Raises RefusalError: it has faults, or there are too many."""
        policy = _without_faults(text)
        draft = StoredPolicy(
            owner=owner,
            digest=policy.digest,
            text=text,
            state=PolicyState.DRAFT,
            added_at=at,
            changed_at=at,
            changed_by=by,
        )
        return self.records.add_policy(draft, stored_max=STORED_MAX)

    def dry_run(self, text: str, *, owner: Owner, since: datetime) -> DryRun:
        """What a policy would have changed among the results since then. Raises RefusalError: it has faults."""
        policy = _without_faults(text)
        past = self.records.past_verdicts(owner, since=since, count_max=TRIED_MAX + 1)
        tried = PolicyInForce(role=owner.role, owner=owner.tenant, digest=policy.digest, text=text)
        return _dry_run(policy, past[:TRIED_MAX], tried=tried, complete=len(past) <= TRIED_MAX)

    def activate(self, digest: bytes, *, owner: Owner, by: str, at: datetime) -> StoredPolicy:
        """Put a policy in force, for every validation from now on. Raises RefusalError."""
        own = self.show(digest, owner=owner)
        _without_faults(own.text)
        return self._changed(own, to=PolicyState.ACTIVE, by=by, at=at)

    def retire(self, digest: bytes, *, owner: Owner, by: str, at: datetime) -> StoredPolicy:
        """Take a policy out of force. Raises RefusalError."""
        return self._changed(self.show(digest, owner=owner), to=PolicyState.RETIRED, by=by, at=at)

    def policies(self, *, owner: Owner | None) -> Sequence[StoredPolicy]:
        """Policies of an owner; of all, for an auditor (None)."""
        return self.records.policies(owner)

    def show(self, digest: bytes, *, owner: Owner | None) -> StoredPolicy:
        """One policy of an owner, or of anybody for an auditor. Raises RefusalError."""
        found = next((each for each in self.records.policies(owner) if each.digest == digest), None)
        if found is None:
            raise _not_found(digest)
        return found

    def _changed(self, policy: StoredPolicy, *, to: PolicyState, by: str, at: datetime) -> StoredPolicy:
        changed = self.records.change_state(policy.owner, policy.digest, to=to, by=by, at=at)
        if changed is None:
            raise _not_found(policy.digest)
        return changed


def refuse_step(policy: StoredPolicy, *, to: PolicyState, active: int) -> None:
    """Refuse a step that the diagram does not have, or one policy too many in force."""
    if (policy.state, to) not in _STEPS:
        raise RefusalError(
            RefusalCode.POLICY_STATE,
            subject=f"policy {policy.digest.hex()}",
            reason=f"it is {policy.state.value}, which does not become {to.value}",
        )
    if to is PolicyState.ACTIVE and active >= ACTIVE_MAX:
        raise RefusalError(
            RefusalCode.TOO_MANY_POLICIES,
            subject=f"policies of {policy.owner.role} {policy.owner.tenant!r}",
            reason=f"{active} are in force, at most {ACTIVE_MAX} can be",
        )


_STEPS = frozenset(
    {
        (PolicyState.DRAFT, PolicyState.ACTIVE),
        (PolicyState.ACTIVE, PolicyState.RETIRED),
        (PolicyState.DRAFT, PolicyState.RETIRED),
        (PolicyState.RETIRED, PolicyState.ACTIVE),
    }
)


def _without_faults(text: str) -> Policy:
    try:
        return read_policy(text)
    except PolicyFaultsError as error:
        raise RefusalError(RefusalCode.POLICY_FAULTY, subject="policy", reason=str(error)[:2000]) from None


def _dry_run(policy: Policy, past: Sequence[PastVerdict], *, tried: PolicyInForce, complete: bool) -> DryRun:
    counts: Counter[str] = Counter()
    changed: list[ChangedVerdict] = []
    denied = 0
    judged = [(each, facts_of_json(each.facts)) for each in past if each.facts is not None]
    for verdict, facts in judged:
        found = tuple(denials(facts, policies=(tried,)))
        names = tuple(_names(found))
        counts.update(names)
        denied += bool(found)
        if found and verdict.status == Tier.AFFIRMING.value:
            changed.append(
                ChangedVerdict(
                    result_id=verdict.result_id,
                    device_id=verdict.device_id,
                    issued_at=verdict.issued_at,
                    denied_by=names,
                    reasons=tuple(each.reason for each in found),
                )
            )
    shown = changed[:CHANGES_SHOWN_MAX] if tried.role == "sho" else []
    return DryRun(
        policy=policy,
        judged=len(judged),
        without_facts=len(past) - len(judged),
        denied=denied,
        changed=len(changed),
        by_statement=dict(counts),
        changes=tuple(shown),
        complete=complete,
    )


def _names(found: Iterable[Denial]) -> Iterable[str]:
    return ("not evaluated" if each.statement is None else each.statement.id for each in found)


def _not_found(digest: bytes) -> RefusalError:
    return RefusalError(
        RefusalCode.NOT_FOUND,
        subject=f"policy {digest.hex()}",
        reason="the caller has no policy with this digest",
    )
