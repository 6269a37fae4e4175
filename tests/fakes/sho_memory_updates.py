"""Updates of MIDs in the SHO's store in memory: what waits beside, and what goes over with a receipt."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from operators.sho.order_states import (
    REPLACEABLE,
    STANDING,
    MidMigration,
    MidUpdate,
    MigrationState,
    OrderRecord,
    OrderState,
)
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.registration import NewOrder
from operators.sho.subscriptions import StoredSubscription
from operators.sho.successions import NewSuccession
from tests.fakes.sho_memory_rows import MemoryRows


@dataclass
class MemoryUpdates(MemoryRows):
    """Satisfies `operators.sho.mid_updates.MidUpdateStore`."""

    def subscriptions_of(self, order_id: str) -> tuple[StoredSubscription, ...]:
        updated, moved = self.updates.get(order_id), self.moves.get(order_id)
        of_prior = "" if updated is None else updated.prior_id
        if moved is not None and moved.state is MigrationState.OPEN:
            of_prior = moved.source_id
        return tuple(
            replace(each, sealed=self.next_keys.get(each.imsi, each.sealed))
            if each.order_id == of_prior
            else each
            for each in self.subscriptions.values()
            if each.order_id in {order_id, of_prior}
        )

    def place_update(self, new: NewSuccession) -> OrderRecord:
        """See `operators.sho.mid_updates.MidUpdateStore`."""
        record = new.order.record
        known = self._placed_before(new.order)
        if known is not None:
            return known
        if self.standing_migration(new.prior_id) is not None:
            raise RefusalError(RefusalCode.UPDATE_UNDER_WAY, subject=new.prior_id, reason="on its way")
        standing = self.standing_update(new.prior_id)
        if standing is not None and standing.state not in REPLACEABLE:
            raise RefusalError(RefusalCode.UPDATE_UNDER_WAY, subject=standing.id, reason="under way")
        if standing is not None:
            self._move(
                standing.id, standing.state, OrderState.EXPIRED, at=record.created_at, reason="replaced"
            )
        self._add_succession(new)
        self.updates[record.id] = MidUpdate(order_id=record.id, prior_id=new.prior_id, mid_id=new.mid_id)
        self._leaf("mid-update-ordered", record.id)
        return record

    def _placed_before(self, order: NewOrder) -> OrderRecord | None:
        known = self.placed.get(order.idempotency_key)
        if known is None:
            return None
        if known.request_digest != order.request_digest:
            raise RefusalError(RefusalCode.IDEMPOTENCY_CONFLICT, subject="Idempotency-Key", reason="another")
        return self.records[known.record.id]

    def _add_succession(self, new: NewSuccession) -> None:
        order = new.order
        self.placed[order.idempotency_key], self.records[order.record.id] = order, order.record
        for each in self.subscriptions_of(new.prior_id):
            self.next_keys.pop(each.imsi, None)
        self.next_keys.update(new.sealed_keys)

    def standing_migration(self, order_id: str) -> MidMigration | None:
        """See `operators.sho.lives.LifeStore`."""
        of_source = (each for each in self.moves.values() if each.source_id == order_id)
        return next((each for each in of_source if each.state is MigrationState.OPEN), None)

    def current(self, order_id: str) -> str:
        """See `operators.sho.mid_updates.MidUpdateStore`."""
        over = {OrderState.ACTIVE, OrderState.SUPERSEDED, OrderState.MOVED, OrderState.ERASED}
        for each in self.updates.values():
            if each.prior_id == order_id and self.records[each.order_id].state in over:
                return self.current(each.order_id)
        return order_id

    def sealed_subscriber(self, order_id: str) -> bytes:
        """See `operators.sho.mid_updates.MidUpdateStore`."""
        return next(each.sealed_subscriber for each in self.placed.values() if each.record.id == order_id)

    def update_of(self, order_id: str) -> MidUpdate | None:
        """See `operators.sho.mid_updates.MidUpdateStore`."""
        return self.updates.get(order_id)

    def updates_of(self, mid_id: str) -> Sequence[OrderRecord]:
        """See `operators.sho.mid_updates.MidUpdateStore`."""
        return [self.records[each.order_id] for each in self.updates.values() if each.mid_id == mid_id]

    def standing_update(self, order_id: str) -> OrderRecord | None:
        """See `operators.sho.mid_updates.MidUpdateStore`."""
        own = (self.records[each.order_id] for each in self.updates.values() if each.prior_id == order_id)
        return next((each for each in own if each.state in STANDING), None)

    def newest_version(self, order_id: str) -> int:
        """See `operators.sho.provisioning.ProvisioningStore`."""
        updated = self.updates.get(order_id)
        mid_id = None if updated is None else updated.mid_id
        found = (
            each.version for name, each in self.packages.items() if name == order_id or each.mid_id == mid_id
        )
        return max(found, default=0)

    def _take_over(self, order_id: str, *, at: datetime) -> None:
        updated = self.updates.get(order_id)
        if updated is None:
            return
        before = updated.prior_id
        if not self._move(before, OrderState.ACTIVE, OrderState.SUPERSEDED, at=at):
            self._check_state(before, OrderState.ACTIVE)
        self._move_subscriptions(before, to=order_id)
        if before in self.lives:
            self.lives[order_id] = replace(self.lives.pop(before), order_id=order_id)
        if before in self.barred:
            self.barred = (self.barred - {before}) | {order_id}
        for key in [key for key in self.asked if key[0] == before]:
            self.asked[order_id, key[1]] = replace(self.asked.pop(key), order_id=order_id)
        self._leaf("subscription-taken-over", order_id)

    def _move_subscriptions(self, order_id: str, *, to: str) -> None:
        for each in self.subscriptions_of(order_id):
            sealed = self.next_keys.pop(each.imsi, each.sealed)
            self.subscriptions[each.imsi] = replace(each, order_id=to, sealed=sealed)
