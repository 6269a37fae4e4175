"""Approvals on SQLAlchemy: satisfies `pva.updates.approvals.ApprovalRecords`.

Rule: what decides is read in one transaction and read again in the one that records; if it is not the same then,
nothing is recorded. That an order is approved at one value of a counter stands under a primary key.
"""

import base64
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from edge.database import transaction
from edge.ledger_leaf import SALT_BYTES
from edge.process import RandomBytes
from edge.serialization import repeated
from messages.approval import decode_approval
from pva.refusals import RefusalCode, RefusalError
from pva.store import tables
from pva.store.rows import state_of
from pva.updates.approvals import ApprovalFacts, GivenApprovals, OrderApproval
from standards.rats.ar4si import Tier

_U64_BYTES = 8


class ApprovalStore:
    """Facts about results, and the approvals that were given on them."""

    def __init__(self, engine: sa.Engine, *, random_bytes: RandomBytes) -> None:
        """Work on an engine whose schema is migrated; `random_bytes` salts audit leaves."""
        self._engine = engine
        self._random_bytes = random_bytes

    def approval_facts(self, result_id: str, *, sho: str) -> ApprovalFacts | None:
        """See `pva.updates.approvals.ApprovalRecords`."""
        with transaction(self._engine, write=False) as connection:
            return _facts(connection, result_id, sho=sho)

    @repeated
    def record_approvals(
        self, given: GivenApprovals, *, facts: ApprovalFacts, sho: str, at: datetime
    ) -> GivenApprovals:
        """See `pva.updates.approvals.ApprovalRecords`."""
        try:
            with transaction(self._engine) as connection:
                now = _facts(connection, facts.result_id, sho=sho)
                if now is not None and now.given is not None:
                    return now.given
                if now != facts:
                    raise _changed(facts)
                self._insert(connection, given, facts=facts, sho=sho, at=at)
        except IntegrityError:
            raise _changed(facts) from None
        return given

    def _insert(
        self,
        connection: sa.Connection,
        given: GivenApprovals,
        *,
        facts: ApprovalFacts,
        sho: str,
        at: datetime,
    ) -> None:
        package = decode_approval(given.approvals[0])
        if facts.approved is None:
            connection.execute(
                sa.insert(tables.order_approvals).values(
                    sho=sho,
                    order_digest=facts.order_digest,
                    device_id=facts.device_id,
                    counter=package.state.counter.to_bytes(_U64_BYTES, "big"),
                    approved_at=at,
                )
            )
        connection.execute(
            sa.insert(tables.given_approvals).values(
                result_id=facts.result_id,
                approvals=_texts(given.approvals),
                day_key_chain=_texts(given.day_key_chain),
                given_at=at,
            )
        )
        tables.ledger.append(
            connection,
            kind="state-approved",
            subject=facts.device_id,
            record={
                "result_id": facts.result_id,
                "sho": sho,
                "order_digest": package.use.order_digest.hex() if package.use.order_digest else None,
                "counter": str(package.state.counter),
                "pcr_digest": package.state.pcr_digest.hex(),
                "approvals": _texts(given.approvals),
            },
            at=at,
            salt=self._random_bytes(SALT_BYTES),
        )


def _facts(connection: sa.Connection, result_id: str, *, sho: str) -> ApprovalFacts | None:
    results, requests, devices = tables.results, tables.validation_requests, tables.devices
    query = (
        sa.select(
            results,
            requests.c.order_digest,
            requests.c.jti,
            devices.c.generation_counter.label("counter_seen"),
        )
        .join(requests, requests.c.id == results.c.request_id)
        .join(devices, devices.c.device_id == results.c.device_id)
        .where(results.c.id == result_id, requests.c.role == "sho", requests.c.tenant == sho)
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    order_digest = None if row["jti"] is None else row["order_digest"]
    return ApprovalFacts(
        result_id=result_id,
        token=row["token"],
        expires_at=row["expires_at"],
        device_id=row["device_id"],
        order_digest=order_digest,
        state=state_of(row),
        refuted=_refuted(connection, row),
        counter_seen=int.from_bytes(row["counter_seen"], "big"),
        approved=_approved(connection, order_digest, sho=sho),
        given=_given(connection, result_id),
    )


def _refuted(connection: sa.Connection, row: sa.RowMapping) -> bool:
    """Whether a result of the same device that is newer in the order of its history is not affirming."""
    table = tables.results
    newer = sa.select(table.c.id).where(
        table.c.device_id == row["device_id"],
        table.c.revision > row["revision"],
        table.c.status != Tier.AFFIRMING.value,
    )
    return connection.execute(newer.limit(1)).first() is not None


def _approved(connection: sa.Connection, order_digest: bytes | None, *, sho: str) -> OrderApproval | None:
    table = tables.order_approvals
    if order_digest is None:
        return None
    row = connection.execute(
        sa.select(table).where(table.c.sho == sho, table.c.order_digest == order_digest)
    ).first()
    if row is None:
        return None
    return OrderApproval(device_id=row.device_id, counter=int.from_bytes(row.counter, "big"))


def _given(connection: sa.Connection, result_id: str) -> GivenApprovals | None:
    table = tables.given_approvals
    row = connection.execute(sa.select(table).where(table.c.result_id == result_id)).first()
    if row is None:
        return None
    return GivenApprovals(approvals=_octets(row.approvals), day_key_chain=_octets(row.day_key_chain))


def _texts(values: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(each).decode("ascii") for each in values]


def _octets(values: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(base64.b64decode(each) for each in values)


def _changed(facts: ApprovalFacts) -> RefusalError:
    return RefusalError(
        RefusalCode.CONCURRENT_CHANGE,
        subject=f"device {facts.device_id}",
        reason="a validation or an approval of this device was recorded meanwhile",
        retry_after_s=1,
    )
