"""The VNO's store on SQLAlchemy: satisfies the ports that attachment and gateway declare.

Rule: one method, one transaction. Bytes are set aside in the store before they flow, so that a process that is killed
has counted too much rather than too little.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from edge.database import transaction
from edge.ledger_leaf import SALT_BYTES
from edge.problem_document import Problem
from edge.process import RandomBytes
from edge.serialization import repeated
from operators.vno import schema
from operators.vno.bearers import Bearer, block_of

REFUSALS_MAX = 64
"""Refusals put on record for one bearer; more cost no storage."""
_TABLE = schema.bearers


class Store:
    """Bearers."""

    def __init__(self, engine: sa.Engine, *, random_bytes: RandomBytes) -> None:
        """Work on an engine whose schema is migrated; `random_bytes` salts audit leaves."""
        self._engine = engine
        self._random_bytes = random_bytes

    def used_bytes(self, pcid: str, *, at: datetime) -> int:
        """See `operators.vno.attachment.BearerStore`."""
        with transaction(self._engine, write=False) as connection:
            return _used(connection, pcid, at=at)

    @repeated
    def open(self, bearer: Bearer, *, at: datetime) -> None:
        """See `operators.vno.attachment.BearerStore`."""
        row = {
            "id": bearer.id,
            "pcid": bearer.pcid,
            "secret_sha256": bearer.secret_sha256,
            "apn": bearer.apn,
            "destinations": list(bearer.destinations),
            "quota_bytes": bearer.quota_bytes,
            "refusals": 0,
            "expires_at": bearer.expires_at,
        }
        with transaction(self._engine) as connection:
            row["used_bytes"] = _used(connection, bearer.pcid, at=at)
            connection.execute(sa.delete(_TABLE).where(_TABLE.c.pcid == bearer.pcid))
            connection.execute(sa.insert(_TABLE).values(**row))
            record = {
                "bearer": bearer.id,
                "apn": bearer.apn,
                "destinations": list(bearer.destinations),
                "quota_bytes": bearer.quota_bytes,
                "expires_at": f"{bearer.expires_at:%Y-%m-%dT%H:%M:%SZ}",
            }
            self._audit(connection, kind="bearer-opened", subject=bearer.pcid, record=record, at=at)

    def bearer(self, bearer_id: str) -> Bearer | None:
        """See `operators.vno.admission.BearerBook`."""
        with transaction(self._engine, write=False) as connection:
            row = connection.execute(sa.select(_TABLE).where(_TABLE.c.id == bearer_id)).mappings().first()
        if row is None:
            return None
        values = {name: row[name] for name in row if name not in {"refusals", "destinations"}}
        return Bearer(**values, destinations=tuple(row["destinations"]))

    @repeated
    def set_aside(self, bearer_id: str, *, bytes_needed: int, at: datetime) -> int:
        """See `operators.vno.tunnel.QuotaBook`."""
        with transaction(self._engine) as connection:
            row = connection.execute(
                sa.select(_TABLE.c.quota_bytes, _TABLE.c.used_bytes).where(
                    _TABLE.c.id == bearer_id, _TABLE.c.expires_at > at
                )
            ).first()
            left = 0 if row is None else max(0, row.quota_bytes - row.used_bytes)
            granted = block_of(left, needed=bytes_needed)
            if granted:
                connection.execute(
                    sa.update(_TABLE)
                    .where(_TABLE.c.id == bearer_id)
                    .values(used_bytes=_TABLE.c.used_bytes + granted)
                )
        return granted

    @repeated
    def give_back(self, bearer_id: str, *, bytes_unused: int) -> None:
        """See `operators.vno.tunnel.QuotaBook`."""
        with transaction(self._engine) as connection:
            connection.execute(
                sa.update(_TABLE)
                .where(_TABLE.c.id == bearer_id)
                .values(used_bytes=_TABLE.c.used_bytes - bytes_unused)
            )

    @repeated
    def record_refusal(self, bearer: Bearer, problem: Problem, *, at: datetime) -> None:
        """See `operators.vno.gateway.GatewayRecords`."""
        with transaction(self._engine) as connection:
            counted = connection.execute(
                sa.update(_TABLE)
                .where(_TABLE.c.id == bearer.id, _TABLE.c.refusals < REFUSALS_MAX)
                .values(refusals=_TABLE.c.refusals + 1)
            )
            if counted.rowcount == 1:
                record = {"bearer": bearer.id, "code": problem.type, "detail": problem.detail}
                self._audit(connection, kind="tunnel-refused", subject=bearer.pcid, record=record, at=at)

    def _audit(
        self, connection: sa.Connection, *, kind: str, subject: str, record: Mapping[str, Any], at: datetime
    ) -> None:
        salt = self._random_bytes(SALT_BYTES)
        schema.ledger.append(connection, kind=kind, subject=subject, record=record, at=at, salt=salt)


def _used(connection: sa.Connection, pcid: str, *, at: datetime) -> int:
    query = sa.select(_TABLE.c.used_bytes).where(_TABLE.c.pcid == pcid, _TABLE.c.expires_at > at)
    return connection.scalar(query) or 0
