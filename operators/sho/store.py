"""The SHO's store on SQLAlchemy: satisfies the ports that the use cases declare.

Rule: one method, one transaction; a change of an order's state goes through `OrderBook.move`. What an operator's own
people see of orders is in the audit leaves.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from edge.database import transaction
from edge.serialization import repeated
from operators.sho import schema
from operators.sho.device_state_store import is_suspended
from operators.sho.life_store import is_barred
from operators.sho.mid_migration_store import MidMigrations
from operators.sho.order_binding import Binding
from operators.sho.order_book import Move
from operators.sho.order_states import REPLACEABLE, MigrationState, OrderRecord, OrderState
from operators.sho.packages import Package
from operators.sho.receipts import ReceiptAnswer, TakenReceipt
from operators.sho.registration import NewOrder
from operators.sho.store_rows import (
    package_of,
    request_of,
    row_of_change,
    row_of_order,
    row_of_receipt,
    row_of_request,
    subscription_of,
)
from operators.sho.subscriptions import StoredSubscription
from operators.sho.validation import ValidationRequest
from standards.aka.sequence import HomeSequence
from standards.rats.ear import AttestationResult


class Store(MidMigrations):
    """Orders, subscriptions, validation requests, packages, receipts."""

    # orders

    @repeated
    def add_order(self, order: NewOrder) -> OrderRecord:
        """See `operators.sho.registration.RegistrationStore`."""
        with transaction(self.engine) as connection:
            known = self.placed_before(connection, order)
            if known is not None:
                return known
            connection.execute(sa.insert(schema.orders).values(**row_of_order(order)))
            record = {"product": order.record.product, "device_code": order.record.device_code}
            if order.prior is not None:
                connection.execute(sa.insert(schema.operator_changes).values(**row_of_change(order)))
                record["prior_operator"] = order.prior.operator
            self.audit(connection, "order-taken", order.record.id, record, at=order.record.created_at)
            return order.record

    def due(self, *, at: datetime, limit: int) -> Sequence[OrderRecord]:
        """See `operators.sho.advance.AdvanceStore`."""
        table = schema.orders
        for_nobody_yet = sa.case((table.c.state == OrderState.ORDERED.value, 1), else_=0)
        query = sa.select(table).where(table.c.due_at <= at).order_by(for_nobody_yet, table.c.due_at)
        return self.orders(query.limit(limit))

    def informed(self, order_id: str) -> tuple[str, ...]:
        """See `operators.sho.registration.RegistrationStore`."""
        table = schema.informed
        query = sa.select(table.c.text).where(table.c.order_id == order_id).order_by(table.c.number)
        with transaction(self.engine, write=False) as connection:
            return tuple(connection.scalars(query))

    @repeated
    def announced(self, order_id: str, *, at: datetime) -> None:
        """See `operators.sho.registration.RegistrationStore`."""
        table = schema.orders
        with transaction(self.engine) as connection:
            changed = connection.execute(
                sa.update(table).where(table.c.id == order_id, ~table.c.announced).values(announced=True)
            )
            if changed.rowcount == 1:
                self.audit(connection, "order-announced", order_id, {}, at=at)

    @repeated
    def postpone(self, order: OrderRecord, *, due_at: datetime) -> None:
        """See `operators.sho.advance.AdvanceStore`."""
        table = schema.orders
        unchanged = sa.and_(
            table.c.id == order.id,
            table.c.state == order.state.value,
            table.c.due_at == order.due_at,
            table.c.tries == order.tries,
        )
        with transaction(self.engine) as connection:
            connection.execute(sa.update(table).where(unchanged).values(due_at=due_at, tries=order.tries + 1))

    @repeated
    def note(self, order_id: str, *, code: str, reason: str, at: datetime) -> None:
        """See `operators.sho.advance.AdvanceStore`."""
        with transaction(self.engine) as connection:
            self.audit(connection, "peer-refused", order_id, {"code": code, "reason": reason[:2000]}, at=at)

    @repeated
    def expire(self, order_id: str, *, before: OrderState, at: datetime) -> None:
        """See `operators.sho.advance.AdvanceStore`."""
        with transaction(self.engine) as connection:
            move = Move(order_id=order_id, before=before, after=OrderState.EXPIRED, reason="it has lapsed")
            if self.move(connection, move, at=at):
                self.give_up(connection, order_id, before=before, at=at)

    @repeated
    def restart(self, order_id: str, *, before: OrderState, at: datetime) -> None:
        """See `operators.sho.validation.ValidationStore`."""
        table = schema.validation_requests
        with transaction(self.engine) as connection:
            move = Move(order_id=order_id, before=before, after=OrderState.REGISTERED)
            if self.move(connection, move, at=at):
                connection.execute(
                    sa.update(table).where(table.c.order_id == order_id).values(accepted=False)
                )

    @repeated
    def refuse(self, order_id: str, *, before: OrderState, reason: str, at: datetime) -> None:
        """See `operators.sho.provisioning.ProvisioningStore`."""
        with transaction(self.engine) as connection:
            move = Move(order_id=order_id, before=before, after=OrderState.REFUSED, reason=reason)
            self.move(connection, move, at=at)

    # registration

    @repeated
    def register(self, order_id: str, binding: Binding, *, replaced: Sequence[str], at: datetime) -> bool:
        """See `operators.sho.registration.RegistrationStore`."""
        values = {
            **asdict(binding.device),
            "token": binding.token,
            "digest": binding.digest,
            "expires_at": binding.expires_at,
            "tries": 0,
        }
        with transaction(self.engine) as connection:
            move = Move(
                order_id=order_id, before=OrderState.ORDERED, after=OrderState.REGISTERED, values=values
            )
            if not self.move(connection, move, at=at):
                return False
            self.wish_lock(connection, order_id, at=at)
            table, moved = schema.subscriptions, schema.mid_migrations
            has_them = sa.select(sa.exists().where(moved.c.order_id == order_id))
            number = (connection.scalar(sa.select(sa.func.max(table.c.number))) or 0) + 1
            subscriptions = () if connection.scalar(has_them) else binding.subscriptions(number)
            for at_number, made in enumerate(subscriptions, start=number):
                connection.execute(
                    sa.insert(table).values(
                        number=at_number,
                        imsi=made.imsi,
                        order_id=order_id,
                        access=made.access,
                        sealed=made.sealed,
                        active=False,
                        seq=0,
                        ind=0,
                    )
                )
            for other in replaced:
                self._replace(connection, other, by=order_id, at=at)
            return True

    def authorization_lapsed(self, order_id: str, *, at: datetime) -> bool:
        """See `operators.sho.registration.RegistrationStore`."""
        package = self.package(order_id)
        return package is None or package.expires_at <= at

    # validation

    @repeated
    def add_request(self, request: ValidationRequest, *, before: OrderState, at: datetime) -> bool:
        """See `operators.sho.validation.ValidationStore`."""
        try:
            with transaction(self.engine) as connection:
                move = Move(order_id=request.order_id, before=before, after=OrderState.VALIDATING)
                # to be asked again, elsewhere, is no change of state
                if before is not move.after and not self.move(connection, move, at=at):
                    return False
                connection.execute(sa.insert(schema.validation_requests).values(**row_of_request(request)))
                record = {"pva": request.pva, "attempt": request.attempt, "jti": request.jti}
                self.audit(connection, "validation-asked", request.order_id, record, at=at)
        except IntegrityError:  # the same attempt was stored by another thread
            return False
        return True

    @repeated
    def submitted(self, jti: str, *, request_id: str) -> None:
        """See `operators.sho.validation.ValidationStore`."""
        table = schema.validation_requests
        with transaction(self.engine) as connection:
            connection.execute(sa.update(table).where(table.c.jti == jti).values(request_id=request_id))

    def latest_request(self, order_id: str) -> ValidationRequest | None:
        """See `operators.sho.validation.ValidationStore`."""
        table = schema.validation_requests
        query = sa.select(table).where(table.c.order_id == order_id).order_by(table.c.attempt.desc())
        return self._one_request(query.limit(1))

    def accepted_request(self, order_id: str) -> ValidationRequest | None:
        """See `operators.sho.provisioning.ProvisioningStore`."""
        table = schema.validation_requests
        return self._one_request(sa.select(table).where(table.c.order_id == order_id, table.c.accepted))

    def request_of_nonce(self, rp_nonce: bytes) -> ValidationRequest | None:
        """See `operators.sho.validation.ValidationStore`."""
        table = schema.validation_requests
        return self._one_request(sa.select(table).where(table.c.rp_nonce == rp_nonce))

    @repeated
    def accept_result(self, jti: str, *, result: AttestationResult, token: str, at: datetime) -> bool:
        """See `operators.sho.validation.ValidationStore`."""
        orders, requests = schema.orders, schema.validation_requests
        with transaction(self.engine) as connection:
            order_id = connection.scalar(sa.select(requests.c.order_id).where(requests.c.jti == jti))
            has_one = sa.select(requests.c.jti).where(requests.c.order_id == order_id, requests.c.accepted)
            if connection.scalar(has_one) is not None:
                return False
            changed = connection.execute(
                sa.update(orders)
                .where(orders.c.id == order_id, orders.c.state == OrderState.VALIDATING.value)
                .values(due_at=at, tries=0)
            )
            if changed.rowcount != 1:
                return False
            self._keep_result(connection, jti, result, token, accepted=True, at=at)
            return True

    @repeated
    def refuse_result(
        self, jti: str, *, result: AttestationResult, token: str, reason: str, at: datetime
    ) -> bool:
        """See `operators.sho.validation.ValidationStore`."""
        requests = schema.validation_requests
        with transaction(self.engine) as connection:
            order_id = connection.scalar(sa.select(requests.c.order_id).where(requests.c.jti == jti)) or ""
            move = Move(
                order_id=order_id, before=OrderState.VALIDATING, after=OrderState.REFUSED, reason=reason
            )
            if not self.move(connection, move, at=at):
                return False
            self._keep_result(connection, jti, result, token, accepted=False, at=at)
            return True

    # provisioning and receipts

    def package(self, order_id: str) -> Package | None:
        """See `operators.sho.provisioning.ProvisioningStore`."""
        table = schema.packages
        query = sa.select(table).where(table.c.order_id == order_id).order_by(table.c.version.desc()).limit(1)
        with transaction(self.engine, write=False) as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else package_of(row)

    @repeated
    def save_package(self, order_id: str, package: Package, *, at: datetime) -> None:
        """See `operators.sho.provisioning.ProvisioningStore`."""
        with transaction(self.engine) as connection:
            move = Move(order_id=order_id, before=OrderState.VALIDATING, after=OrderState.PACKAGED)
            if self.move(connection, move, at=at):
                connection.execute(sa.insert(schema.packages).values(order_id=order_id, **asdict(package)))

    @repeated
    def authorized(self, order_id: str, *, at: datetime) -> None:
        """See `operators.sho.provisioning.ProvisioningStore`."""
        with transaction(self.engine) as connection:
            move = Move(order_id=order_id, before=OrderState.PACKAGED, after=OrderState.AUTHORIZED)
            self.move(connection, move, at=at)

    def answer_to(self, digest: bytes) -> ReceiptAnswer | None:
        """See `operators.sho.receipts.ReceiptStore`."""
        table = schema.receipts
        with transaction(self.engine, write=False) as connection:
            row = connection.execute(sa.select(table).where(table.c.digest == digest)).mappings().first()
        if row is None:
            return None
        return ReceiptAnswer(state=OrderState(row["state"]), instruction=row["instruction"])

    @repeated
    def activate(self, taken: TakenReceipt, *, informed: str, at: datetime) -> None:
        """See `operators.sho.receipts.ReceiptStore`."""
        order_id = taken.order_id
        with transaction(self.engine) as connection:
            installed = Move(order_id=order_id, before=OrderState.AUTHORIZED, after=OrderState.INSTALLED)
            if self.move(connection, installed, at=at):
                self._open(connection, order_id)
                self.take_over(connection, order_id, at=at)
                active = Move(order_id=order_id, before=OrderState.INSTALLED, after=OrderState.ACTIVE)
                self.move(connection, active, at=at)
                self.tell_user(connection, order_id, informed, at=at)
            else:
                self.check_state(connection, order_id, OrderState.ACTIVE)
            self._keep_receipt(connection, taken, at=at)

    @repeated
    def install(self, taken: TakenReceipt, *, at: datetime) -> None:
        """See `operators.sho.receipts.ReceiptStore`."""
        order_id = taken.order_id
        with transaction(self.engine) as connection:
            installed = Move(order_id=order_id, before=OrderState.AUTHORIZED, after=OrderState.INSTALLED)
            if self.move(connection, installed, at=at):
                self._open(connection, order_id)
                self.count_switch(connection, order_id, before=0, at=at)
            else:
                self.check_state(connection, order_id, taken.answer.state)
            self._keep_receipt(connection, taken, at=at)

    @repeated
    def keep_failure(self, taken: TakenReceipt, *, at: datetime) -> None:
        """See `operators.sho.receipts.ReceiptStore`."""
        state, reason = taken.answer.state, f"{taken.receipt.outcome}: {taken.receipt.detail}"
        with transaction(self.engine) as connection:
            move = Move(
                order_id=taken.order_id, before=OrderState.AUTHORIZED, after=OrderState.FAILED, reason=reason
            )
            if state is not OrderState.FAILED or not self.move(connection, move, at=at):
                self.check_state(connection, taken.order_id, state)
            else:
                self.give_up(connection, taken.order_id, before=OrderState.AUTHORIZED, at=at)
            self._keep_receipt(connection, taken, at=at)

    # subscriptions

    def subscriptions_of(self, order_id: str) -> tuple[StoredSubscription, ...]:
        """See `operators.sho.provisioning.ProvisioningStore`; of an update or a migration under way those that it is to have, with their keys."""
        table, updates, moves = schema.subscriptions, schema.mid_updates, schema.mid_migrations
        prior = sa.select(updates.c.prior_order_id).where(updates.c.order_id == order_id)
        source = sa.select(moves.c.source_order_id).where(
            moves.c.order_id == order_id, moves.c.state == MigrationState.OPEN.value
        )
        key = sa.func.coalesce(table.c.next_sealed, table.c.sealed)
        own = table.c.order_id == order_id
        of_prior = sa.or_(table.c.order_id.in_(prior), table.c.order_id.in_(source))
        query = (
            _subscriptions(sa.case((own, table.c.sealed), else_=key))
            .where(sa.or_(own, of_prior))
            .order_by(table.c.number)
        )
        with transaction(self.engine, write=False) as connection:
            return tuple(subscription_of(row) for row in connection.execute(query).mappings())

    @repeated
    def take_sequence(
        self, imsi: str, *, advance: Callable[[StoredSubscription], HomeSequence]
    ) -> StoredSubscription | None:
        """See `operators.sho.subscriptions.SubscriptionStore`."""
        table = schema.subscriptions
        with transaction(self.engine) as connection:
            query = _subscriptions(table.c.sealed).where(table.c.imsi == imsi)
            row = connection.execute(query).mappings().first()
            if row is None:
                return None
            before = subscription_of(row)
            after = advance(before)
            connection.execute(
                sa.update(table).where(table.c.imsi == imsi).values(seq=after.seq, ind=after.ind)
            )
            return before

    def _open(self, connection: sa.Connection, order_id: str) -> None:
        table = schema.subscriptions
        connection.execute(sa.update(table).where(table.c.order_id == order_id).values(active=True))

    def _replace(self, connection: sa.Connection, order_id: str, *, by: str, at: datetime) -> None:
        state = connection.scalar(sa.select(schema.orders.c.state).where(schema.orders.c.id == order_id))
        if state is None or OrderState(state) not in REPLACEABLE:
            return
        reason = f"order {by} for the same device took its place"
        move = Move(order_id=order_id, before=OrderState(state), after=OrderState.EXPIRED, reason=reason)
        self.move(connection, move, at=at)

    def _keep_result(
        self,
        connection: sa.Connection,
        jti: str,
        result: AttestationResult,
        token: str,
        *,
        accepted: bool,
        at: datetime,
    ) -> None:
        table = schema.validation_requests
        connection.execute(
            sa.update(table)
            .where(table.c.jti == jti)
            .values(result=token, result_id=result.result_id, accepted=accepted)
        )
        record = {"result_id": result.result_id, "status": result.status.value, "pva": result.issuer}
        self.audit(connection, "result-taken", result.device_id, record, at=at)

    def _keep_receipt(self, connection: sa.Connection, taken: TakenReceipt, *, at: datetime) -> None:
        table = schema.receipts
        if connection.scalar(sa.select(table.c.digest).where(table.c.digest == taken.digest)) is not None:
            return  # brought twice at the same time
        connection.execute(sa.insert(table).values(**row_of_receipt(taken, at=at)))
        record = {
            "outcome": taken.receipt.outcome,
            "detail": taken.receipt.detail,
            "statement": taken.digest.hex(),
            "instructed": int(taken.answer.instruction is not None),
        }
        self.audit(connection, "receipt-taken", taken.order_id, record, at=at)

    def _one_request(self, query: sa.Select[Any]) -> ValidationRequest | None:
        with transaction(self.engine, write=False) as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else request_of(row)


def _subscriptions(key: sa.ColumnElement[bytes]) -> sa.Select[Any]:
    """Subscriptions with this key, and whether the state of their device, or a block of this operator's, suspends them."""
    table = schema.subscriptions
    suspended = sa.or_(is_suspended(table.c.order_id), is_barred(table.c.order_id))
    kept = [each for each in table.c if each is not table.c.sealed]
    return sa.select(*kept, key.label("sealed"), suspended.label("suspended"))
