"""Policies of operators and suppliers on SQLAlchemy, and the facts of past results.

Rule: every query is scoped by the owner; a step in a policy's life and its audit leaf are one transaction, decided under the
writer's lock. A text that is not the one of its digest any more judges nobody: the validation is refused.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from edge.database import transaction
from edge.ledger_leaf import SALT_BYTES
from edge.process import RandomBytes
from edge.serialization import repeated
from pva.policies.desk import Owner, PastVerdict, PolicyState, StoredPolicy, refuse_step
from pva.policies.narrowing import PolicyInForce
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RelyingParty
from pva.store import tables

_TABLE = tables.policies


class PolicyStore:
    """Satisfies `pva.policies.desk.PolicyRecords`, and what `pva.validation.ReferencesNow` asks of policies."""

    def __init__(self, engine: sa.Engine, *, random_bytes: RandomBytes) -> None:
        """Work on an engine whose schema is migrated; `random_bytes` salts audit leaves."""
        self._engine = engine
        self._random_bytes = random_bytes

    def in_force(self, party: RelyingParty, *, supplier: str) -> Sequence[PolicyInForce]:
        """See `pva.validation.ReferencesNow`. Raises RefusalError where a text was altered."""
        owners = [_owned(Owner(role="es", tenant=supplier))]
        if party.role == "sho":
            owners.append(_owned(Owner(role="sho", tenant=party.tenant)))
        query = (
            sa.select(_TABLE)
            .where(sa.or_(*owners), _TABLE.c.state == PolicyState.ACTIVE.value)
            .order_by(_TABLE.c.role, _TABLE.c.digest)
        )
        with transaction(self._engine, write=False) as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(_in_force(row) for row in rows)

    @repeated
    def add_policy(self, policy: StoredPolicy, *, stored_max: int) -> StoredPolicy:
        """See `pva.policies.desk.PolicyRecords`."""
        with transaction(self._engine) as connection:
            known = _one(connection, policy.owner, policy.digest)
            if known is not None:
                return known
            count = connection.scalar(
                sa.select(sa.func.count()).select_from(_TABLE).where(_owned(policy.owner))
            )
            if (count or 0) >= stored_max:
                raise RefusalError(
                    RefusalCode.TOO_MANY_POLICIES,
                    subject=f"policies of {policy.owner.role} {policy.owner.tenant!r}",
                    reason=f"{count} are stored, at most {stored_max} can be",
                )
            connection.execute(sa.insert(_TABLE).values(**_row(policy)))
            self._audit(connection, policy, kind="policy-added")
        return policy

    def policies(self, owner: Owner | None) -> Sequence[StoredPolicy]:
        """See `pva.policies.desk.PolicyRecords`."""
        query = sa.select(_TABLE).order_by(_TABLE.c.added_at, _TABLE.c.digest)
        if owner is not None:
            query = query.where(_owned(owner))
        with transaction(self._engine, write=False) as connection:
            return tuple(_stored(row) for row in connection.execute(query).mappings())

    @repeated
    def change_state(
        self, owner: Owner, digest: bytes, *, to: PolicyState, by: str, at: datetime
    ) -> StoredPolicy | None:
        """See `pva.policies.desk.PolicyRecords`."""
        with transaction(self._engine) as connection:
            policy = _one(connection, owner, digest)
            if policy is None:
                return None
            active = connection.scalar(
                sa.select(sa.func.count())
                .select_from(_TABLE)
                .where(_owned(owner), _TABLE.c.state == PolicyState.ACTIVE.value)
            )
            refuse_step(policy, to=to, active=active or 0)
            connection.execute(
                sa.update(_TABLE)
                .where(_owned(owner), _TABLE.c.digest == digest)
                .values(state=to.value, changed_at=at, changed_by=by)
            )
            changed = _one(connection, owner, digest)
            if changed is not None:
                self._audit(connection, changed, kind=f"policy-{to.value}")
        return changed

    def past_verdicts(self, owner: Owner, *, since: datetime, count_max: int) -> Sequence[PastVerdict]:
        """See `pva.policies.desk.PolicyRecords`."""
        requests, results, facts = tables.validation_requests, tables.results, tables.result_facts
        query = (
            sa.select(results.c.id, results.c.device_id, results.c.issued_at, results.c.status, facts.c.facts)
            .join(requests, requests.c.id == results.c.request_id)
            .outerjoin(facts, facts.c.result_id == results.c.id)
            .where(results.c.issued_at >= since)
            .order_by(results.c.issued_at.desc(), results.c.id)
            .limit(count_max)
        )
        if owner.role == "es":
            query = query.where(facts.c.supplier == owner.tenant)
        else:
            query = query.where(requests.c.role == owner.role, requests.c.tenant == owner.tenant)
        with transaction(self._engine, write=False) as connection:
            return tuple(
                PastVerdict(
                    result_id=row["id"],
                    device_id=row["device_id"],
                    issued_at=row["issued_at"],
                    status=row["status"],
                    facts=row["facts"],
                )
                for row in connection.execute(query).mappings()
            )

    def _audit(self, connection: sa.Connection, policy: StoredPolicy, *, kind: str) -> None:
        record: Mapping[str, Any] = {
            "role": policy.owner.role,
            "owner": policy.owner.tenant,
            "digest": policy.digest.hex(),
            "state": policy.state.value,
            "by": policy.changed_by,
        }
        tables.ledger.append(
            connection,
            kind=kind,
            subject=policy.owner.tenant,
            record=record,
            at=policy.changed_at,
            salt=self._random_bytes(SALT_BYTES),
        )


def _owned(owner: Owner) -> sa.ColumnElement[bool]:
    return sa.and_(_TABLE.c.role == owner.role, _TABLE.c.owner == owner.tenant)


def _one(connection: sa.Connection, owner: Owner, digest: bytes) -> StoredPolicy | None:
    query = sa.select(_TABLE).where(_owned(owner), _TABLE.c.digest == digest)
    row = connection.execute(query).mappings().first()
    return None if row is None else _stored(row)


def _in_force(row: sa.RowMapping) -> PolicyInForce:
    if hashlib.sha256(row["text"].encode()).digest() != row["digest"]:
        raise RefusalError(
            RefusalCode.MALFUNCTION,
            subject=f"policy {row['digest'].hex()}",
            reason="the stored text is not the one that its digest names",
        )
    return PolicyInForce(role=row["role"], owner=row["owner"], digest=row["digest"], text=row["text"])


def _stored(row: sa.RowMapping) -> StoredPolicy:
    return StoredPolicy(
        owner=Owner(role=row["role"], tenant=row["owner"]),
        digest=row["digest"],
        text=row["text"],
        state=PolicyState(row["state"]),
        added_at=row["added_at"],
        changed_at=row["changed_at"],
        changed_by=row["changed_by"],
    )


def _row(policy: StoredPolicy) -> dict[str, Any]:
    return {
        "role": policy.owner.role,
        "owner": policy.owner.tenant,
        "digest": policy.digest,
        "text": policy.text,
        "state": policy.state.value,
        "added_at": policy.added_at,
        "changed_at": policy.changed_at,
        "changed_by": policy.changed_by,
    }
