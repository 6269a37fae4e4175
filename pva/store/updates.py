"""Roll-outs and approvals of next states on SQLAlchemy: satisfies the ports of `pva.updates.rollouts` and `pva.updates.next_states`.

Rule: what decides is read in one transaction and read again in the one that records. That a manifest is announced once,
and that a state is approved once for one device, operator and value of the counter, stands under primary keys.
"""

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from edge.database import transaction
from edge.ledger_leaf import SALT_BYTES
from edge.process import RandomBytes
from edge.serialization import repeated
from pva.refusals import RefusalCode, RefusalError
from pva.store import tables
from pva.store.rows import state_of
from pva.updates.approvals import GivenApprovals
from pva.updates.next_states import LastLook, NextApproval, NextFacts, state_key
from pva.updates.rollouts import AnnounceableManifest, Rollout, RolloutState

_U64_BYTES = 8


class UpdateStore:
    """Announced updates, and what was approved for them."""

    def __init__(self, engine: sa.Engine, *, random_bytes: RandomBytes) -> None:
        """Work on an engine whose schema is migrated; `random_bytes` salts audit leaves."""
        self._engine = engine
        self._random_bytes = random_bytes

    # roll-outs

    def announceable(self, manifest_digest: bytes) -> AnnounceableManifest | None:
        """See `pva.updates.rollouts.RolloutRecords`."""
        table = tables.manifests
        with transaction(self._engine, write=False) as connection:
            row = (
                connection.execute(sa.select(table).where(table.c.digest == manifest_digest))
                .mappings()
                .first()
            )
        if row is None:
            return None
        return AnnounceableManifest(
            supplier=row["supplier"],
            follows=row["succeeds"],
            approved=row["approved_at"] is not None and row["retired_at"] is None,
        )

    @repeated
    def add_rollout(self, rollout: Rollout) -> Rollout:
        """See `pva.updates.rollouts.RolloutRecords`."""
        table = tables.rollouts
        with transaction(self._engine) as connection:
            known = _rollout(connection, rollout.manifest_digest)
            if known is not None:
                return known
            connection.execute(sa.insert(table).values(**_row_of(rollout)))
            self._audit(
                connection,
                "update-announced",
                subject=rollout.supplier,
                record=_told(rollout, by=rollout.announced_by),
                at=rollout.announced_at,
            )
        return rollout

    @repeated
    def change_rollout(
        self, manifest_digest: bytes, change: Callable[[Rollout], Rollout], *, by: str, at: datetime
    ) -> Rollout | None:
        """See `pva.updates.rollouts.RolloutRecords`."""
        table = tables.rollouts
        with transaction(self._engine) as connection:
            before = _rollout(connection, manifest_digest)
            if before is None:
                return None
            after = change(before)
            if after == before:
                return before
            connection.execute(
                sa.update(table)
                .where(table.c.manifest_digest == manifest_digest)
                .values(share_percent=after.share_percent, state=after.state.value)
            )
            self._audit(
                connection, "update-changed", subject=after.supplier, record=_told(after, by=by), at=at
            )
        return after

    def rollouts(self) -> Sequence[Rollout]:
        """See `pva.updates.rollouts.RolloutRecords`."""
        table = tables.rollouts
        query = sa.select(table).order_by(table.c.announced_at, table.c.manifest_digest)
        with transaction(self._engine, write=False) as connection:
            return tuple(_rollout_of(row) for row in connection.execute(query).mappings())

    # approvals of next states

    def next_facts(self, result_id: str, *, manifest_digest: bytes, sho: str) -> NextFacts | None:
        """See `pva.updates.next_states.NextStateRecords`."""
        with transaction(self._engine, write=False) as connection:
            return _facts(connection, result_id, manifest_digest=manifest_digest, sho=sho)

    def other_states_reach(self, device_id: str, *, state_key: bytes) -> int:
        """See `pva.updates.next_states.NextStateRecords`."""
        with transaction(self._engine, write=False) as connection:
            return _reach(connection, device_id, key=state_key)

    def given_next_approvals(self, wanted: NextApproval) -> GivenApprovals | None:
        """See `pva.updates.next_states.NextStateRecords`."""
        with transaction(self._engine, write=False) as connection:
            return _given(connection, wanted)

    @repeated
    def record_next_approvals(
        self, given: GivenApprovals, *, wanted: NextApproval, facts: NextFacts, result_id: str, at: datetime
    ) -> GivenApprovals:
        """See `pva.updates.next_states.NextStateRecords`."""
        try:
            with transaction(self._engine) as connection:
                known = _given(connection, wanted)
                if known is not None:
                    return known
                now = _facts(connection, result_id, manifest_digest=wanted.manifest_digest, sho=wanted.sho)
                reached = _reach(connection, wanted.device_id, key=state_key(wanted.state))
                if now != facts or reached >= wanted.last:
                    raise _changed(wanted)
                self._insert(connection, given, wanted=wanted, result_id=result_id, at=at)
        except IntegrityError:
            raise _changed(wanted) from None
        return given

    def _insert(
        self,
        connection: sa.Connection,
        given: GivenApprovals,
        *,
        wanted: NextApproval,
        result_id: str,
        at: datetime,
    ) -> None:
        connection.execute(
            sa.insert(tables.next_approvals).values(
                **_key_of(wanted),
                result_id=result_id,
                approvals=_texts(given.approvals),
                day_key_chain=_texts(given.day_key_chain),
                given_at=at,
            )
        )
        self._audit(
            connection,
            "next-state-approved",
            subject=wanted.device_id,
            record={
                "result_id": result_id,
                "sho": wanted.sho,
                "manifest_digest": wanted.manifest_digest.hex(),
                "counters": f"{wanted.first} to {wanted.last}",
                "pcr_digest": wanted.state.pcr_digest.hex(),
                "approvals": _texts(given.approvals),
            },
            at=at,
        )

    def _audit(
        self, connection: sa.Connection, kind: str, *, subject: str, record: dict[str, Any], at: datetime
    ) -> None:
        tables.ledger.append(
            connection,
            kind=kind,
            subject=subject,
            record=record,
            at=at,
            salt=self._random_bytes(SALT_BYTES),
        )


def _facts(
    connection: sa.Connection, result_id: str, *, manifest_digest: bytes, sho: str
) -> NextFacts | None:
    results, requests = tables.results, tables.validation_requests
    own = (
        sa.select(results.c.device_id, requests.c.order_digest, requests.c.jti)
        .join(requests, requests.c.id == results.c.request_id)
        .where(results.c.id == result_id, requests.c.role == "sho", requests.c.tenant == sho)
    )
    row = connection.execute(own).first()
    if row is None:
        return None
    last = _last_look(connection, row.device_id)
    if last is None:
        return None
    return NextFacts(
        device_id=row.device_id,
        order_digest=None if row.jti is None else row.order_digest,
        last=last,
        rollout=_rollout(connection, manifest_digest),
    )


def _last_look(connection: sa.Connection, device_id: str) -> LastLook | None:
    """The newest result, in the order of the device's history."""
    results, devices = tables.results, tables.devices
    query = (
        sa.select(results, devices.c.hw_type, devices.c.generation_counter.label("counter_seen"))
        .join(devices, devices.c.device_id == results.c.device_id)
        .where(results.c.device_id == device_id, results.c.revision.is_not(None))
        .order_by(results.c.revision.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    return LastLook(
        result_id=row["id"],
        passes=bool(row["passes"]),
        accepted=row["manifest_digest"],
        hw_type=row["hw_type"],
        state=state_of(row),
        counter_seen=int.from_bytes(row["counter_seen"], "big"),
    )


def _reach(connection: sa.Connection, device_id: str, *, key: bytes) -> int:
    table = tables.next_approvals
    # bytes have no max() on PostgreSQL; big-endian numbers are in the order of their bytes
    found = connection.scalar(
        sa.select(table.c.last)
        .where(table.c.device_id == device_id, table.c.state_key != key)
        .order_by(table.c.last.desc())
        .limit(1)
    )
    return 0 if found is None else int.from_bytes(found, "big")


def _key_of(wanted: NextApproval) -> dict[str, Any]:
    return {
        "sho": wanted.sho,
        "device_id": wanted.device_id,
        "manifest_digest": wanted.manifest_digest,
        "state_key": state_key(wanted.state),
        "first": wanted.first.to_bytes(_U64_BYTES, "big"),
        "last": wanted.last.to_bytes(_U64_BYTES, "big"),
    }


def _given(connection: sa.Connection, wanted: NextApproval) -> GivenApprovals | None:
    table = tables.next_approvals
    same = [table.c[name] == value for name, value in _key_of(wanted).items()]
    row = connection.execute(sa.select(table).where(*same)).first()
    if row is None:
        return None
    return GivenApprovals(approvals=_octets(row.approvals), day_key_chain=_octets(row.day_key_chain))


def _rollout(connection: sa.Connection, manifest_digest: bytes) -> Rollout | None:
    table = tables.rollouts
    query = sa.select(table).where(table.c.manifest_digest == manifest_digest)
    row = connection.execute(query).mappings().first()
    return None if row is None else _rollout_of(row)


def _rollout_of(row: sa.RowMapping) -> Rollout:
    return Rollout(**{**row, "state": RolloutState(row["state"])})


def _row_of(rollout: Rollout) -> dict[str, Any]:
    return {
        "manifest_digest": rollout.manifest_digest,
        "supplier": rollout.supplier,
        "share_percent": rollout.share_percent,
        "state": rollout.state.value,
        "announced_by": rollout.announced_by,
        "announced_at": rollout.announced_at,
    }


def _told(rollout: Rollout, *, by: str) -> dict[str, Any]:
    return {
        "manifest_digest": rollout.manifest_digest.hex(),
        "share_percent": rollout.share_percent,
        "state": rollout.state.value,
        "by": by,
    }


def _texts(values: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(each).decode("ascii") for each in values]


def _octets(values: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(base64.b64decode(each) for each in values)


def _changed(wanted: NextApproval) -> RefusalError:
    return RefusalError(
        RefusalCode.CONCURRENT_CHANGE,
        subject=f"device {wanted.device_id}",
        reason="a validation, an approval or the announcement of this update was recorded meanwhile",
        retry_after_s=1,
    )
