"""Renewals that CAs are to be asked for, on SQLAlchemy: satisfies `pva.updates.renewals.RenewalBook`.

Rule: a row is written by `note`, in the transaction that records the result; a claim is one UPDATE that names the number of
tries it has seen, so that of many who claim one wins.
"""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from edge.database import transaction
from edge.ledger_leaf import SALT_BYTES
from edge.process import RandomBytes
from edge.serialization import repeated
from pva.results.result import SignedResult
from pva.store import tables
from pva.updates.renewals import PendingRenewal
from pva.updates.rollouts import RolloutState, in_share


class RenewalStore:
    """Pending renewals."""

    def __init__(self, engine: sa.Engine, *, random_bytes: RandomBytes) -> None:
        """Work on an engine whose schema is migrated; `random_bytes` salts audit leaves."""
        self._engine = engine
        self._random_bytes = random_bytes

    def due_renewals(
        self, suppliers: Sequence[str], *, at: datetime, count_max: int
    ) -> Sequence[PendingRenewal]:
        """See `pva.updates.renewals.RenewalBook`."""
        table = tables.renewals
        query = (
            sa.select(table)
            .where(table.c.next_at <= at, table.c.supplier.in_(suppliers))
            .order_by(table.c.next_at, table.c.device_id)
            .limit(count_max)
        )
        with transaction(self._engine, write=False) as connection:
            return tuple(_pending(row) for row in connection.execute(query).mappings())

    @repeated
    def claim_renewal(self, pending: PendingRenewal, *, until: datetime) -> bool:
        """See `pva.updates.renewals.RenewalBook`."""
        table = tables.renewals
        with transaction(self._engine) as connection:
            claimed = connection.execute(
                sa.update(table)
                .where(_is(pending), table.c.tries == pending.tries)
                .values(tries=pending.tries + 1, next_at=until)
            )
            return claimed.rowcount == 1

    @repeated
    def postpone_renewal(self, pending: PendingRenewal, *, until: datetime) -> None:
        """See `pva.updates.renewals.RenewalBook`."""
        table = tables.renewals
        with transaction(self._engine) as connection:
            connection.execute(
                sa.update(table).where(_is(pending), table.c.tries == pending.tries + 1).values(next_at=until)
            )

    @repeated
    def end_renewal(self, pending: PendingRenewal, *, outcome: str, at: datetime) -> None:
        """See `pva.updates.renewals.RenewalBook`."""
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(tables.renewals).where(_is(pending)))
            tables.ledger.append(
                connection,
                kind="credential-renewal",
                subject=pending.device_id,
                record={
                    "issuer": pending.issuer,
                    "serial": f"{pending.serial:040x}",
                    "manifest_digest": pending.manifest_digest.hex(),
                    "result_id": pending.result_id,
                    "outcome": outcome,
                },
                at=at,
                salt=self._random_bytes(SALT_BYTES),
            )


def note_renewal(connection: sa.Connection, result: SignedResult, *, at: datetime) -> None:
    """Note that a device was accepted under another manifest than its credential names, if it may have a new one.

    It may while the update is announced to it and not held. A renewal that is noted already stays as it is.
    """
    manifest, named = result.result.manifest, result.credential
    if manifest is None or not result.accepted or manifest.digest == named.manifest_digest:
        return
    rollouts, table = tables.rollouts, tables.renewals
    rollout = connection.execute(
        sa.select(rollouts).where(rollouts.c.manifest_digest == manifest.digest)
    ).first()
    device_id = result.result.device_id
    if (
        rollout is None
        or rollout.state != RolloutState.RUNNING.value
        or not in_share(device_id, manifest_digest=manifest.digest, share_percent=rollout.share_percent)
    ):
        return
    noted = connection.scalar(
        sa.select(table.c.tries).where(
            table.c.device_id == device_id, table.c.manifest_digest == manifest.digest
        )
    )
    if noted is None:
        connection.execute(
            sa.insert(table).values(
                device_id=device_id,
                manifest_digest=manifest.digest,
                supplier=named.supplier,
                issuer=named.issuer,
                serial=f"{result.result.pfc.serial:040x}",
                result_id=result.id,
                next_at=at,
                tries=0,
            )
        )


def _is(pending: PendingRenewal) -> sa.ColumnElement[bool]:
    table = tables.renewals
    return sa.and_(table.c.device_id == pending.device_id, table.c.manifest_digest == pending.manifest_digest)


def _pending(row: sa.RowMapping) -> PendingRenewal:
    return PendingRenewal(
        device_id=row["device_id"],
        manifest_digest=row["manifest_digest"],
        supplier=row["supplier"],
        issuer=row["issuer"],
        serial=int(row["serial"], 16),
        result_id=row["result_id"],
        tries=row["tries"],
    )
