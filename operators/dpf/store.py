"""The DPF's store on SQLAlchemy: satisfies the ports that the use cases declare.

Rule: one method, one transaction; what is decided on the content of the store is decided inside it, on unique keys or
under the writer's lock, and the audit leaf is written in the same transaction.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from edge.database import transaction
from edge.ledger_leaf import SALT_BYTES
from edge.process import RandomBytes
from edge.serialization import repeated
from operators.dpf import schema, store_rows, store_steps
from operators.dpf.records import (
    AuthorizationRecord,
    AuthorizationStatus,
    DeliveryRecord,
    DeliveryStatus,
    Grant,
    ReceiptRecord,
    RecordedRefusal,
    status_after_lapse,
)
from operators.dpf.refusals import RefusalCode, RefusalError

REFUSALS_MAX = 64
"""Refusals kept an authorisation; more are only counted by the web layer, so that a flood costs no storage.

The same silence of a counterpart is kept once in a row, so that it cannot crowd out what else is refused.
"""


class Store:
    """Authorisations, deliveries, grants, receipts and refusals."""

    def __init__(self, engine: sa.Engine, *, random_bytes: RandomBytes) -> None:
        """Work on an engine whose schema is migrated; `random_bytes` salts audit leaves."""
        self._engine = engine
        self._random_bytes = random_bytes

    # authorisations

    @repeated
    def add_authorization(self, record: AuthorizationRecord) -> tuple[AuthorizationRecord, bool]:
        """See `operators.dpf.authorizations.AuthorizationStore`."""
        try:
            with transaction(self._engine) as connection:
                known = store_steps.find_authorization(connection, schema.authorizations.c.id == record.id)
                if known is None:
                    self._enter(connection, record)
                    return record, True
        except IntegrityError:  # another one was entered meanwhile
            known = self.authorization(record.id)
        if known is None or known.parts.digest != record.parts.digest:
            raise RefusalError(
                RefusalCode.AUTHORIZATION_CONFLICT,
                subject=f"authorisation {record.jti}",
                reason="another authorisation with this id is on record",
            )
        return known, False

    def authorization(self, authorization_id: str) -> AuthorizationRecord | None:
        """See `operators.dpf.authorizations.AuthorizationStore`."""
        with transaction(self._engine, write=False) as connection:
            return store_steps.find_authorization(connection, schema.authorizations.c.id == authorization_id)

    def newest_authorization(self, device_id: str, order_digest: bytes) -> AuthorizationRecord | None:
        """See `operators.dpf.release.ReleaseStore`."""
        table = schema.authorizations
        with transaction(self._engine, write=False) as connection:
            return store_steps.find_authorization(
                connection, table.c.device_id == device_id, table.c.order_digest == order_digest
            )

    def refusals(self, authorization_id: str) -> tuple[RecordedRefusal, ...]:
        """See `operators.dpf.authorizations.AuthorizationStore`."""
        table = schema.refusals
        query = sa.select(table).where(table.c.authorization_id == authorization_id).order_by(table.c.number)
        with transaction(self._engine, write=False) as connection:
            return tuple(store_rows.refusal_of(each) for each in connection.execute(query).mappings())

    @repeated
    def record_refusal(
        self, authorization_id: str, refusal: RefusalError, *, delivery_id: str | None, at: datetime
    ) -> None:
        """See `operators.dpf.release.ReleaseStore`."""
        with transaction(self._engine) as connection:
            self._record_refusal(connection, authorization_id, refusal, delivery_id=delivery_id, at=at)
            if delivery_id is not None and not refusal.waiting_helps:
                store_steps.set_delivery(
                    connection, delivery_id, status=DeliveryStatus.REFUSED, only=DeliveryStatus.VALIDATING
                )

    # deliveries

    def open_delivery(self, authorization_id: str) -> DeliveryRecord | None:
        """See `operators.dpf.release.ReleaseStore`."""
        return self._one_delivery(schema.deliveries.c.open_for == authorization_id)

    def delivery(self, delivery_id: str) -> DeliveryRecord | None:
        """See `operators.dpf.release.ReleaseStore`."""
        return self._one_delivery(schema.deliveries.c.id == delivery_id)

    @repeated
    def add_delivery(self, record: DeliveryRecord, *, pause: timedelta) -> DeliveryRecord:
        """See `operators.dpf.release.ReleaseStore`."""
        table = schema.deliveries
        try:
            with transaction(self._engine) as connection:
                latest = connection.scalar(
                    sa.select(sa.func.max(table.c.opened_at, type_=table.c.opened_at.type)).where(
                        table.c.authorization_id == record.authorization_id, table.c.open_for.is_(None)
                    )
                )
                if latest is not None and record.opened_at < latest + pause:
                    raise RefusalError(
                        RefusalCode.TOO_SOON,
                        subject=f"device {record.device_id}",
                        reason="its last delivery was opened a moment ago",
                        retry_after_s=max(1, int(pause.total_seconds())),
                    )
                connection.execute(sa.insert(table).values(**store_rows.row_of_delivery(record)))
                self._audit(
                    connection,
                    kind="delivery-opened",
                    subject=record.device_id,
                    record={"delivery_id": record.id, "authorization_id": record.authorization_id},
                    at=record.opened_at,
                )
        except IntegrityError:
            first = self.open_delivery(record.authorization_id)
            if first is None:
                raise
            return first
        return record

    @repeated
    def record_request_id(self, delivery_id: str, request_id: str) -> None:
        """See `operators.dpf.release.ReleaseStore`."""
        table = schema.deliveries
        with transaction(self._engine) as connection:
            connection.execute(
                sa.update(table)
                .where(table.c.id == delivery_id, table.c.request_id.is_(None))
                .values(request_id=request_id)
            )

    @repeated
    def record_fresh_result(self, nonce: bytes, token: str) -> None:
        """See `operators.dpf.release.ReleaseStore`."""
        table = schema.deliveries
        with transaction(self._engine) as connection:
            connection.execute(
                sa.update(table)
                .where(
                    table.c.nonce == nonce,
                    table.c.status == DeliveryStatus.VALIDATING.value,
                    table.c.fresh_result.is_(None),
                )
                .values(fresh_result=token)
            )

    @repeated
    def end_delivery(self, delivery_id: str, *, at: datetime, spent: bool = False) -> None:
        """See `operators.dpf.release.ReleaseStore`; `spent` ends a grant before its time."""
        with transaction(self._engine) as connection:
            delivery = store_steps.find_delivery(connection, schema.deliveries.c.id == delivery_id)
            if delivery is None:
                return
            if delivery.status is DeliveryStatus.VALIDATING and at >= delivery.expires_at:
                lapsed = RefusalError(
                    RefusalCode.VALIDATION_EXPIRED,
                    subject=f"delivery {delivery_id}",
                    reason=f"the platform gave no evidence until {delivery.expires_at:%Y-%m-%dT%H:%M:%SZ}",
                )
                self._record_refusal(
                    connection, delivery.authorization_id, lapsed, delivery_id=delivery_id, at=at
                )
                store_steps.set_delivery(connection, delivery_id, status=DeliveryStatus.REFUSED)
            elif delivery.status is DeliveryStatus.GRANTED:
                self._end_grant(connection, delivery, at=at, spent=spent)

    # grants

    @repeated
    def grant(self, grant: Grant, *, fresh_result: str) -> Grant:
        """See `operators.dpf.release.ReleaseStore`."""
        try:
            with transaction(self._engine) as connection:
                known = store_steps.find_grant(connection, grant.delivery_id)
                if known is not None:
                    return known
                store_steps.spend(connection, grant)
                connection.execute(sa.insert(schema.grants).values(**store_rows.row_of_grant(grant)))
                connection.execute(
                    sa.update(schema.deliveries)
                    .where(schema.deliveries.c.id == grant.delivery_id)
                    .values(status=DeliveryStatus.GRANTED.value, fresh_result=fresh_result)
                )
                self._audit(
                    connection,
                    kind="grant",
                    subject=grant.device_id,
                    record=store_rows.grant_leaf(grant, fresh_result=fresh_result),
                    at=grant.granted_at,
                )
        except IntegrityError:
            first = self.grant_of(grant.delivery_id)
            if first is None:
                raise store_steps.closed_meanwhile(grant) from None
            return first
        return grant

    def grant_of(self, delivery_id: str) -> Grant | None:
        """See `operators.dpf.release.ReleaseStore`."""
        with transaction(self._engine, write=False) as connection:
            return store_steps.find_grant(connection, delivery_id)

    # receipts

    def receipt(self, digest: bytes) -> ReceiptRecord | None:
        """See `operators.dpf.receipts.ReceiptStore`."""
        with transaction(self._engine, write=False) as connection:
            return store_steps.find_receipt(connection, digest)

    @repeated
    def add_receipt(self, record: ReceiptRecord) -> ReceiptRecord:
        """See `operators.dpf.receipts.ReceiptStore`."""
        with transaction(self._engine) as connection:
            known = store_steps.find_receipt(connection, record.digest)
            if known is not None:
                return known
            store_steps.refuse_contradiction(connection, record)
            connection.execute(sa.insert(schema.receipts).values(**store_rows.row_of_receipt(record)))
            store_steps.follow(connection, record)
            self._audit(
                connection,
                kind="receipt",
                subject=record.authorization_id,
                record={
                    "delivery_id": record.delivery_id,
                    "outcome": record.outcome,
                    "statement_sha256": record.digest.hex(),
                },
                at=record.received_at,
            )
        return record

    def unforwarded_receipts(
        self, *, since: datetime, after: ReceiptRecord | None, limit: int
    ) -> tuple[ReceiptRecord, ...]:
        """See `operators.dpf.receipts.ReceiptStore`."""
        table = schema.receipts
        query = sa.select(table).where(table.c.forwarded_at.is_(None), table.c.received_at >= since)
        if after is not None:
            same_time = sa.and_(table.c.received_at == after.received_at, table.c.digest > after.digest)
            query = query.where(sa.or_(table.c.received_at > after.received_at, same_time))
        query = query.order_by(table.c.received_at, table.c.digest).limit(limit)
        with transaction(self._engine, write=False) as connection:
            return tuple(store_rows.receipt_of(each) for each in connection.execute(query).mappings())

    @repeated
    def record_forwarded(self, digest: bytes, *, instruction: str | None, at: datetime) -> None:
        """See `operators.dpf.receipts.ReceiptStore`."""
        table = schema.receipts
        with transaction(self._engine) as connection:
            changed = connection.execute(
                sa.update(table)
                .where(table.c.digest == digest, table.c.forwarded_at.is_(None))
                .values(forwarded_at=at, instruction=instruction)
            )
            if changed.rowcount == 1:
                self._audit(
                    connection,
                    kind="receipt-forwarded",
                    subject=digest.hex(),
                    record={"instruction_sha256": _digest(instruction)},
                    at=at,
                )

    # inside a transaction

    def _enter(self, connection: sa.Connection, record: AuthorizationRecord) -> None:
        """Enter a new authorisation, in the place of those of its order before it."""
        table = schema.authorizations
        of_order = table.c.order_digest == record.order_digest
        installed = table.c.status == AuthorizationStatus.INSTALLED.value
        if store_steps.find_authorization(connection, of_order, installed):
            raise RefusalError(
                RefusalCode.ORDER_INSTALLED,
                subject=f"order {record.order_digest.hex()}",
                reason="its package is installed, says the TRE",
            )
        store_steps.close_order(connection, record.order_digest)
        connection.execute(sa.insert(table).values(**store_rows.row_of_authorization(record)))
        self._audit(
            connection,
            kind="authorization-accepted",
            subject=record.device_id,
            record=store_rows.authorization_leaf(record),
            at=record.accepted_at,
        )

    def _one_delivery(self, condition: sa.ColumnElement[bool]) -> DeliveryRecord | None:
        with transaction(self._engine, write=False) as connection:
            return store_steps.find_delivery(connection, condition)

    def _end_grant(
        self, connection: sa.Connection, delivery: DeliveryRecord, *, at: datetime, spent: bool
    ) -> None:
        grant = store_steps.find_grant(connection, delivery.id)
        if grant is None or (at < grant.expires_at and not spent):
            return
        store_steps.set_delivery(connection, delivery.id, status=DeliveryStatus.DONE)
        store_steps.set_authorization(connection, grant, status=status_after_lapse(grants=grant.number))
        self._audit(
            connection,
            kind="grant-ended",
            subject=delivery.device_id,
            record={"grant_id": grant.id, "delivery_id": delivery.id},
            at=at,
        )

    def _record_refusal(
        self,
        connection: sa.Connection,
        authorization_id: str,
        refusal: RefusalError,
        *,
        delivery_id: str | None,
        at: datetime,
    ) -> None:
        table = schema.refusals
        kept = list(
            connection.execute(
                sa.select(table.c.code, table.c.delivery_id)
                .where(table.c.authorization_id == authorization_id)
                .order_by(table.c.number)
            )
        )
        repeats = bool(kept) and tuple(kept[-1]) == (refusal.code, delivery_id)
        if len(kept) >= REFUSALS_MAX or (refusal.waiting_helps and repeats):
            return
        told = {
            "code": refusal.code,
            "subject": refusal.subject[:500],
            "reason": refusal.reason[:2000],
            "remedy": refusal.remedy,
        }
        connection.execute(
            sa.insert(table).values(authorization_id=authorization_id, delivery_id=delivery_id, at=at, **told)
        )
        self._audit(
            connection,
            kind="delivery-refused",
            subject=authorization_id,
            record={"delivery_id": delivery_id, **told},
            at=at,
        )

    def _audit(
        self, connection: sa.Connection, *, kind: str, subject: str, record: Mapping[str, Any], at: datetime
    ) -> None:
        schema.ledger.append(
            connection,
            kind=kind,
            subject=subject,
            record=record,
            at=at,
            salt=self._random_bytes(SALT_BYTES),
        )


def _digest(token: str | None) -> str | None:
    return None if token is None else hashlib.sha256(token.encode()).hexdigest()
