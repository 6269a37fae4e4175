"""A subscription moves to another device of the same subscriber: a new MID there, and the one here is erased (R56, R59, R60).

Rule: usable is what is ACTIVE in a TRE and accepted by the AuC for that device, and there is never more than one. No key leaves
a TRE: the MID in the other device has keys of its own, and the AuC takes them with that TRE's receipt, which is the commit point.
Until then the MID here is locked and not erased, and can be called back; after it there is only forward.

    place    1 the MID serves, and nothing else is to succeed it   2 an order for the other device's code, fresh keys laid beside
    lock     3 once the other device has registered, the MID here is to be locked; nobody is validated before its TRE says so
    commit   4 the receipt of the other TRE (`receipts`): AuC and subscription go over, the order here has moved, its MID is
               to be erased; one transaction
    abort    5 before that: the order for the other device lapses, the MID here is to be unlocked; what may be there is to be erased;
               so it ends by itself where that order lapses or fails
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from edge.process import RandomBytes
from messages.device_code import read_device_code
from messages.errors import MessageError
from operators.sho.lives import MidLife
from operators.sho.order_states import MidMigration, OrderRecord, OrderState
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.registration import Registrar
from operators.sho.subscriptions import StoredSubscription, SubscriptionMaker
from operators.sho.successions import (
    NewSuccession,
    SuccessionStore,
    not_to_be_succeeded,
    succeeding,
    to_be_succeeded,
)

LOCKED: Final = "MIGRATING"
MOVED: Final = "The subscription has moved to your other device, and is active there."
REASON: Final = "migration"
"""Why a MID is to be erased whose subscription serves in another device."""
_ID_SIZE: Final = 16


class MidMigrationStore(SuccessionStore, Protocol):
    """What this use case needs of a store; each call is one transaction with its audit leaf."""

    def subscriptions_of(self, order_id: str) -> tuple[StoredSubscription, ...]:
        """The USIMs of an order."""

    def is_blocked(self, order_id: str) -> bool:
        """Whether this operator has the MID of an order blocked."""

    def life(self, order_id: str) -> MidLife:
        """What is on record about the MID of an order."""

    def place_migration(self, new: NewSuccession) -> OrderRecord:
        """Store an order for the other device; the same request again gives the order that is there.

        Raises RefusalError: another request came under this key before, or something else is to succeed the order here.
        """

    def migration_of(self, order_id: str) -> MidMigration | None:
        """The migration that an order is for, if it is for one."""

    def migrations_from(self, order_id: str) -> Sequence[MidMigration]:
        """Every migration of the MID of an order, oldest first."""

    def abort_migration(self, order_id: str, *, reason: str, at: datetime) -> bool:
        """Give a migration up, with all that follows from it; False where the AuC has switched, or it was given up before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationWish:
    """What the operator's staff wants: `device_code` of the other device, as typed."""

    device_code: str
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationDesk:
    """The use case and what it works with; the registrar waits for the other device as for any."""

    store: MidMigrationStore
    registrar: Registrar
    maker: SubscriptionMaker
    random_bytes: RandomBytes = field(repr=False)

    def place(self, order_id: str, wish: MigrationWish, *, at: datetime) -> OrderRecord:
        """Order the migration of the MID of an order to the device with this code. Raises RefusalError."""
        order, package = to_be_succeeded(self.store, order_id)  # 1
        if self.store.is_blocked(order.id):
            raise not_to_be_succeeded(order, "its operator has it blocked")
        code = _checked_code(wish.device_code, other_than=order.device_code)
        record = OrderRecord(
            id=self.random_bytes(_ID_SIZE).hex(),
            device_code=code,
            product=order.product,
            subscriber=order.subscriber,
            order_code=self.registrar.order_code(),
            state=OrderState.ORDERED,
            created_at=at,
            expires_at=at + self.registrar.wait,
            announced=False,
            due_at=at,
            tries=0,
        )
        new = succeeding(
            record,
            key=wish.idempotency_key,
            asked=("migration", order_id, code),
            store=self.store,
            prior_id=order.id,
            secrets=self.maker.secrets,
        )
        keys = self.maker.renew(order.product, self.store.subscriptions_of(order.id))
        stored = self.store.place_migration(
            NewSuccession(order=new, prior_id=order.id, mid_id=package.mid_id, sealed_keys=keys)
        )  # 2
        self.registrar.announce_now(stored, at=at)
        return stored

    def about(self, order_id: str) -> Sequence[tuple[MidMigration, OrderRecord]]:
        """Every migration of the MID of an order, oldest first, with the order for the other device. Raises RefusalError."""
        if self.store.order(order_id) is None:
            raise RefusalError(
                RefusalCode.ORDER_UNKNOWN, subject="order", reason="there is none with this id"
            )
        found = ((each, self.store.order(each.order_id)) for each in self.store.migrations_from(order_id))
        return [(each, order) for each, order in found if order is not None]

    def is_ready(self, order: OrderRecord) -> bool:
        """Whether an order may go on to its validation: it is for no migration, or its TRE has said that the MID is locked (3)."""
        migration = self.store.migration_of(order.id)
        if migration is None:
            return True
        life = self.store.life(migration.source_id)
        return life.wish is None and life.state == LOCKED

    def abort(self, migration_id: str, *, at: datetime) -> None:
        """Give a migration up (5); given up already is no error. Raises RefusalError: the AuC has switched."""
        migration = self.store.migration_of(migration_id)
        if migration is None:
            raise RefusalError(
                RefusalCode.ORDER_UNKNOWN, subject="migration", reason="there is none with this id"
            )
        if self.store.abort_migration(migration_id, reason="its operator has given it up", at=at):
            return
        now = self.store.migration_of(migration_id) or migration
        if now.is_committed:
            raise RefusalError(
                RefusalCode.MIGRATION_COMMITTED,
                subject=f"migration {migration_id}",
                reason="the subscription serves in the other device",
            )


def _checked_code(typed: str, *, other_than: str) -> str:
    try:
        code = read_device_code(typed)
    except MessageError as error:
        raise RefusalError(
            RefusalCode.DEVICE_CODE_INVALID, subject="device code", reason=str(error)
        ) from None
    if code == other_than:
        raise RefusalError(
            RefusalCode.DEVICE_CODE_INVALID,
            subject="device code",
            reason="it is that of the device that the MID is in",
        )
    return code
