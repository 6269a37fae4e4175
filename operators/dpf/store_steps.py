"""Steps of the DPF's store inside a transaction: what is read there, and what one change means for others.

Rule: nothing here opens or ends a transaction; the states move as `operators.dpf.records` says, each by an UPDATE that
names the state that it comes from, so that a lost race changes no row.
"""

import sqlalchemy as sa

from messages.statement import INSTALLED
from operators.dpf import schema, store_rows
from operators.dpf.records import (
    AuthorizationRecord,
    AuthorizationStatus,
    DeliveryRecord,
    DeliveryStatus,
    Grant,
    ReceiptRecord,
    status_after,
)
from operators.dpf.refusals import RefusalCode, RefusalError

RECEIPTS_MAX = 16
"""Receipts kept an authorisation: a TRE says the same again when its first word was lost."""


def find_authorization(
    connection: sa.Connection, *conditions: sa.ColumnElement[bool]
) -> AuthorizationRecord | None:
    """The authorisation that speaks for what is asked: one that is not closed, else the last."""
    table = schema.authorizations
    closed = sa.case((table.c.status == AuthorizationStatus.CLOSED.value, 1), else_=0)
    query = (
        sa.select(table).where(*conditions).order_by(closed, table.c.accepted_at.desc(), table.c.id).limit(1)
    )
    row = connection.execute(query).mappings().first()
    return None if row is None else store_rows.authorization_of(row)


def find_delivery(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> DeliveryRecord | None:
    """One delivery."""
    row = connection.execute(sa.select(schema.deliveries).where(condition)).mappings().first()
    return None if row is None else store_rows.delivery_of(row)


def find_grant(connection: sa.Connection, delivery_id: str) -> Grant | None:
    """The grant of a delivery."""
    query = sa.select(schema.grants).where(schema.grants.c.delivery_id == delivery_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else Grant(**row)


def find_receipt(connection: sa.Connection, digest: bytes) -> ReceiptRecord | None:
    """A receipt by the SHA-256 of its statement."""
    query = sa.select(schema.receipts).where(schema.receipts.c.digest == digest)
    row = connection.execute(query).mappings().first()
    return None if row is None else store_rows.receipt_of(row)


def close_order(connection: sa.Connection, order_digest: bytes) -> None:
    """A new authorisation of an order takes the place of every one before it."""
    deliveries, authorizations = schema.deliveries, schema.authorizations
    connection.execute(
        sa.update(deliveries)
        .where(deliveries.c.order_digest == order_digest, deliveries.c.open_for.is_not(None))
        .values(status=DeliveryStatus.DONE.value, open_for=None)
    )
    connection.execute(
        sa.update(authorizations)
        .where(authorizations.c.order_digest == order_digest)
        .values(status=AuthorizationStatus.CLOSED.value)
    )


def spend(connection: sa.Connection, grant: Grant) -> None:
    """The step from open to granted, for this one grant; a lost race changes no row."""
    table = schema.authorizations
    spent = connection.execute(
        sa.update(table)
        .where(
            table.c.id == grant.authorization_id,
            table.c.status == AuthorizationStatus.OPEN.value,
            table.c.grants == grant.number - 1,
        )
        .values(status=AuthorizationStatus.GRANTED.value, grants=grant.number)
    )
    validating = find_delivery(connection, schema.deliveries.c.id == grant.delivery_id)
    is_open = validating is not None and validating.status is DeliveryStatus.VALIDATING
    if spent.rowcount != 1 or not is_open:
        raise closed_meanwhile(grant)


def refuse_contradiction(connection: sa.Connection, record: ReceiptRecord) -> None:
    """Raise RefusalError where the TRE has said otherwise under this authorisation, or too often."""
    table = schema.receipts
    said = list(
        connection.scalars(
            sa.select(table.c.outcome).where(table.c.authorization_id == record.authorization_id)
        )
    )
    contradicts = INSTALLED in said and record.outcome != INSTALLED
    if contradicts or len(said) >= RECEIPTS_MAX:
        raise RefusalError(
            RefusalCode.RECEIPT_CONFLICT,
            subject=f"receipt for delivery {record.delivery_id}",
            reason="the TRE has said before that the package is installed"
            if contradicts
            else f"{RECEIPTS_MAX} receipts under this authorisation are on record",
        )


def follow(connection: sa.Connection, record: ReceiptRecord) -> None:
    """What a new receipt means: its delivery is over, and its authorisation goes on as the table says."""
    set_delivery(connection, record.delivery_id, status=DeliveryStatus.DONE)
    table = schema.authorizations
    if record.outcome == INSTALLED:
        close_order(connection, record.order_digest)
        connection.execute(
            sa.update(table)
            .where(table.c.id == record.authorization_id)
            .values(status=AuthorizationStatus.INSTALLED.value)
        )
        return
    grant = find_grant(connection, record.delivery_id)
    if grant is not None:
        set_authorization(connection, grant, status=status_after(record.outcome, grants=grant.number))


def set_authorization(connection: sa.Connection, grant: Grant, *, status: AuthorizationStatus) -> None:
    """Move an authorisation on, if this grant is the one that it stands on."""
    table = schema.authorizations
    connection.execute(
        sa.update(table)
        .where(
            table.c.id == grant.authorization_id,
            table.c.status == AuthorizationStatus.GRANTED.value,
            table.c.grants == grant.number,
        )
        .values(status=status.value)
    )


def set_delivery(
    connection: sa.Connection,
    delivery_id: str,
    *,
    status: DeliveryStatus,
    only: DeliveryStatus | None = None,
) -> None:
    """End an open delivery; `only` where it must be in this state."""
    table = schema.deliveries
    query = sa.update(table).where(table.c.id == delivery_id, table.c.open_for.is_not(None))
    if only is not None:
        query = query.where(table.c.status == only.value)
    connection.execute(query.values(status=status.value, open_for=None))


def closed_meanwhile(grant: Grant) -> RefusalError:
    """What a grant meets whose authorisation is no longer open."""
    return RefusalError(
        RefusalCode.AUTHORIZATION_CLOSED,
        subject=f"delivery {grant.delivery_id}",
        reason="its authorisation was granted, replaced or ended meanwhile",
    )
