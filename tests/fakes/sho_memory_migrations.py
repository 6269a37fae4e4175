"""Migrations of MIDs in the SHO's store in memory: open, committed or given up, and what follows from each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from messages.instruction import ERASE, LOCK, UNLOCK
from operators.sho.lives import MidLife
from operators.sho.mid_migrations import LOCKED, MOVED, REASON
from operators.sho.order_states import STANDING, MidMigration, MigrationState, OrderRecord, OrderState
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.successions import NewSuccession
from tests.fakes.sho_memory_updates import MemoryUpdates


@dataclass
class MemoryMigrations(MemoryUpdates):
    """Satisfies `operators.sho.mid_migrations.MidMigrationStore`."""

    def life(self, order_id: str) -> MidLife:
        """See `operators.sho.lives.LifeStore`."""
        return self.lives.get(order_id, MidLife(order_id=order_id))

    def place_migration(self, new: NewSuccession) -> OrderRecord:
        """See `operators.sho.mid_migrations.MidMigrationStore`."""
        known = self._placed_before(new.order)
        if known is not None:
            return known
        is_updated = self.standing_update(new.prior_id) is not None
        if is_updated or self.standing_migration(new.prior_id) is not None:
            raise RefusalError(RefusalCode.UPDATE_UNDER_WAY, subject=new.prior_id, reason="under way")
        self._add_succession(new)
        order_id = new.order.record.id
        self.moves[order_id] = MidMigration(
            order_id=order_id, source_id=new.prior_id, state=MigrationState.OPEN
        )
        self._leaf("mid-migration-ordered", order_id)
        return new.order.record

    def migration_of(self, order_id: str) -> MidMigration | None:
        """See `operators.sho.mid_migrations.MidMigrationStore`."""
        return self.moves.get(order_id)

    def migrations_from(self, order_id: str) -> Sequence[MidMigration]:
        """See `operators.sho.mid_migrations.MidMigrationStore`."""
        return [each for each in self.moves.values() if each.source_id == order_id]

    def abort_migration(self, order_id: str, *, reason: str, at: datetime) -> bool:
        """See `operators.sho.mid_migrations.MidMigrationStore`."""
        before = self.records[order_id].state
        if before not in STANDING:
            return False
        self._move(order_id, before, OrderState.EXPIRED, at=at, reason=reason)
        return self._give_up(order_id, before=before)

    def _give_up(self, order_id: str, *, before: OrderState) -> bool:
        source_id = self._leave_open(order_id, MigrationState.ABORTED)
        if source_id is None:
            return False
        for each in self.subscriptions_of(source_id):
            self.next_keys.pop(each.imsi, None)
        life = self.life(source_id)
        if life.wish == LOCK or life.state == LOCKED:
            self.lives[source_id] = replace(life, wish=UNLOCK, reason=REASON)
        if before in {OrderState.PACKAGED, OrderState.AUTHORIZED}:
            self.lives[order_id] = replace(self.life(order_id), wish=ERASE, reason=REASON)
        self._leaf("mid-migration-aborted", order_id)
        return True

    def _wish_lock(self, order_id: str) -> None:
        migration = self.moves.get(order_id)
        if migration is not None:
            source_id = migration.source_id
            self.lives[source_id] = replace(self.life(source_id), wish=LOCK, reason=REASON)
            self._leaf("mid-wish", source_id)

    def _take_over(self, order_id: str, *, at: datetime) -> None:
        super()._take_over(order_id, at=at)
        source_id = self._leave_open(order_id, MigrationState.COMMITTED)
        if source_id is None:
            return
        if not self._move(source_id, OrderState.ACTIVE, OrderState.MOVED, at=at):
            self._check_state(source_id, OrderState.ACTIVE)
        self._move_subscriptions(source_id, to=order_id)
        self.lives[source_id] = replace(self.life(source_id), wish=ERASE, reason=REASON)
        self._leaf("subscription-taken-over", order_id)
        self.told_users(source_id, MOVED)
        self._leaf("user-informed", source_id)

    def _leave_open(self, order_id: str, after: MigrationState) -> str | None:
        migration = self.moves.get(order_id)
        if migration is None or migration.state is not MigrationState.OPEN:
            return None
        self.moves[order_id] = replace(migration, state=after)
        return migration.source_id
