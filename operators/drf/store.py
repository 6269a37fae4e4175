"""The DRF's store on SQLAlchemy: satisfies the ports that the use cases declare.

Rule: one method, one transaction; what is decided on the content of the store is decided inside it, on unique keys or
under the writer's lock, and the audit leaf is written in the same transaction.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from edge.database import transaction
from edge.ledger_leaf import SALT_BYTES
from edge.process import RandomBytes
from edge.serialization import repeated
from operators.drf import schema
from operators.drf.attachments import Attachment
from operators.drf.discovery import AnnouncedOrder
from operators.drf.refusals import RefusalCode, RefusalError
from operators.drf.registrations import RegistrationRecord
from operators.drf.relay import Relayed

REFUSALS_MAX = 32
"""Refusals of a device kept an attachment; more are only counted, so that a flood costs no storage."""
REGISTRATIONS_MAX = 32
"""Registrations kept a PCID: the oldest make room, since an SHO answers a repeat alike."""


class Store:
    """Attachments, announced orders, registrations, relayed requests."""

    def __init__(self, engine: sa.Engine, *, random_bytes: RandomBytes) -> None:
        """Work on an engine whose schema is migrated; `random_bytes` salts audit leaves."""
        self._engine = engine
        self._random_bytes = random_bytes

    @repeated
    def save_attachment(self, attachment: Attachment, *, at: datetime) -> None:
        """See `operators.drf.attachments.AttachmentStore`."""
        table = schema.attachments
        with transaction(self._engine) as connection:
            known = connection.execute(
                sa.select(table.c.icf, table.c.expires_at).where(table.c.pcid == attachment.pcid)
            ).first()
            if known is not None and known.icf != attachment.icf and at < known.expires_at:
                raise RefusalError(
                    RefusalCode.ATTACHMENT_CONFLICT,
                    subject=f"attachment of {attachment.pcid}",
                    reason="another ICF's attachment of this PCID lasts",
                )
            connection.execute(sa.delete(table).where(table.c.pcid == attachment.pcid))
            connection.execute(
                sa.insert(table).values(
                    pcid=attachment.pcid,
                    icf=attachment.icf,
                    serving_network=attachment.serving_network,
                    key=attachment.key,
                    expires_at=attachment.expires_at,
                    refusals=0,
                )
            )
            self._audit(
                connection,
                kind="attached",
                subject=attachment.pcid,
                record={"icf": attachment.icf, "serving_network": attachment.serving_network},
                at=at,
            )

    def attachment(self, pcid: str) -> Attachment | None:
        """See `operators.drf.attachments.AttachmentStore`."""
        table = schema.attachments
        with transaction(self._engine, write=False) as connection:
            row = connection.execute(sa.select(table).where(table.c.pcid == pcid)).mappings().first()
        if row is None:
            return None
        return Attachment(**{name: row[name] for name in Attachment.__slots__})

    @repeated
    def announce(self, order: AnnouncedOrder) -> None:
        """See `operators.drf.discovery.DiscoveryStore`."""
        try:
            with transaction(self._engine) as connection:
                values = {name: getattr(order, name) for name in AnnouncedOrder.__slots__}
                connection.execute(sa.insert(schema.announced_orders).values(**values))
                self._audit(
                    connection,
                    kind="order-announced",
                    subject=order.sho,
                    record={"order_id": order.order_id, "device_code": order.device_code},
                    at=order.announced_at,
                )
        except IntegrityError:
            self._check_same(order)

    def operators_with_orders(self, code: str, *, since: datetime) -> frozenset[str]:
        """See `operators.drf.discovery.DiscoveryStore`."""
        table = schema.announced_orders
        query = sa.select(table.c.sho).where(table.c.device_code == code, table.c.announced_at > since)
        with transaction(self._engine, write=False) as connection:
            return frozenset(connection.scalars(query))

    def registration(self, pcid: str, idempotency_key: str) -> RegistrationRecord | None:
        """See `operators.drf.registrations.RegistrationStore`."""
        table = schema.registrations
        query = sa.select(table).where(table.c.pcid == pcid, table.c.idempotency_key == idempotency_key)
        with transaction(self._engine, write=False) as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else RegistrationRecord(**row)

    @repeated
    def add_registration(self, record: RegistrationRecord) -> RegistrationRecord:
        """See `operators.drf.registrations.RegistrationStore`."""
        try:
            with transaction(self._engine) as connection:
                is_new = not _is_registered(connection, record)
                values = {name: getattr(record, name) for name in RegistrationRecord.__slots__}
                connection.execute(sa.insert(schema.registrations).values(values))
                _make_room(connection, record)
                if is_new:
                    self._audit(
                        connection,
                        kind="registered",
                        subject=record.device_id,
                        record={
                            "pcid": record.pcid,
                            "sho": record.sho,
                            "order_sha256": hashlib.sha256(record.order.encode()).hexdigest(),
                        },
                        at=record.registered_at,
                    )
        except IntegrityError:
            first = self.registration(record.pcid, record.idempotency_key)
            if first is None:
                raise
            return first
        return record

    @repeated
    def add_relayed(self, relayed: Relayed, *, token_digest: bytes, at: datetime) -> None:
        """See `operators.drf.relay.RelayStore`."""
        table = schema.relayed_requests
        with transaction(self._engine) as connection:
            owner = connection.scalar(sa.select(table.c.sho).where(table.c.request_id == relayed.request_id))
            if owner == relayed.sho:
                return
            if owner is not None:
                raise RefusalError(
                    RefusalCode.NOT_FOUND,
                    subject="validation request",
                    reason="another operator had this request relayed",
                )
            connection.execute(
                sa.insert(table).values(
                    request_id=relayed.request_id,
                    sho=relayed.sho,
                    token_digest=token_digest,
                    expires_at=relayed.expires_at,
                    relayed_at=at,
                )
            )
            self._audit(
                connection,
                kind="relayed",
                subject=relayed.sho,
                record={"request_id": relayed.request_id, "token_sha256": token_digest.hex()},
                at=at,
            )

    def is_relayed_for(self, request_id: str, *, sho: str) -> bool:
        """See `operators.drf.relay.RelayStore`."""
        table = schema.relayed_requests
        query = sa.select(table.c.sho).where(table.c.request_id == request_id, table.c.sho == sho)
        with transaction(self._engine, write=False) as connection:
            return connection.scalar(query) is not None

    @repeated
    def record_device_refusal(self, *, pcid: str, route: str, code: str, detail: str, at: datetime) -> None:
        """Audit leaf for a request of an attached device that was refused, `REFUSALS_MAX` an attachment."""
        table = schema.attachments
        with transaction(self._engine) as connection:
            counted = connection.execute(
                sa.update(table)
                .where(table.c.pcid == pcid, table.c.refusals < REFUSALS_MAX)
                .values(refusals=table.c.refusals + 1)
            )
            if counted.rowcount == 1:
                record = {"route": route[:200], "code": code, "detail": detail[:2000]}
                self._audit(connection, kind="request-refused", subject=pcid, record=record, at=at)

    def _check_same(self, order: AnnouncedOrder) -> None:
        table = schema.announced_orders
        query = sa.select(table.c.device_code, table.c.sho_name).where(
            table.c.sho == order.sho, table.c.order_id == order.order_id
        )
        with transaction(self._engine, write=False) as connection:
            known = connection.execute(query).one()
        if (known.device_code, known.sho_name) != (order.device_code, order.sho_name):
            raise RefusalError(
                RefusalCode.ORDER_CONFLICT,
                subject=f"order {order.order_id}",
                reason="it was announced for another device or under another name",
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


def _is_registered(connection: sa.Connection, record: RegistrationRecord) -> bool:
    """Whether the PCID had the same order for this device before, under another key of its own."""
    table = schema.registrations
    query = sa.select(table.c.pcid).where(
        table.c.pcid == record.pcid, table.c.device_id == record.device_id, table.c.order == record.order
    )
    return connection.execute(query.limit(1)).first() is not None


def _make_room(connection: sa.Connection, record: RegistrationRecord) -> None:
    table = schema.registrations
    kept = (
        sa.select(table.c.idempotency_key)
        .where(table.c.pcid == record.pcid)
        .order_by(table.c.registered_at.desc(), table.c.idempotency_key)
        .limit(REGISTRATIONS_MAX)
    )
    connection.execute(
        sa.delete(table).where(
            table.c.pcid == record.pcid,
            table.c.idempotency_key != record.idempotency_key,
            table.c.idempotency_key.not_in(kept),
        )
    )
