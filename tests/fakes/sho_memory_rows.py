"""Rows of the SHO's store in memory, and the one way in which an order's state changes there."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from operators.sho.lives import MidLife
from operators.sho.order_states import (
    Change,
    MidMigration,
    MidUpdate,
    OrderRecord,
    OrderState,
    check_transition,
)
from operators.sho.packages import Package
from operators.sho.receipts import ReceiptAnswer
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.registration import NewOrder
from operators.sho.releases import ReleaseRecord
from operators.sho.spoken_states import UpdatedPlatform
from operators.sho.subscriptions import StoredSubscription
from operators.sho.validation import ValidationRequest

_AT_ONCE = {OrderState.REGISTERED, OrderState.VALIDATING, OrderState.PACKAGED}
_WHEN_LAPSED = {OrderState.REFUSED, OrderState.AUTHORIZED}


@dataclass
class MemoryRows:
    """Everything in dictionaries."""

    records: dict[str, OrderRecord] = field(default_factory=dict)
    placed: dict[str, NewOrder] = field(default_factory=dict)
    told_texts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lives: dict[str, MidLife] = field(default_factory=dict)
    barred: set[str] = field(default_factory=set)
    proofs: dict[str, bytes] = field(default_factory=dict)
    subscriptions: dict[str, StoredSubscription] = field(default_factory=dict)
    requests: dict[str, ValidationRequest] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)
    packages: dict[str, Package] = field(default_factory=dict)
    receipts: dict[bytes, ReceiptAnswer] = field(default_factory=dict)
    kinds: list[tuple[str, str]] = field(default_factory=list)
    states: dict[tuple[str, str], tuple[int, bool]] = field(default_factory=dict)
    changes: dict[str, Change] = field(default_factory=dict)
    asked: dict[tuple[str, str], ReleaseRecord] = field(default_factory=dict)
    updates: dict[str, MidUpdate] = field(default_factory=dict)
    next_keys: dict[str, bytes] = field(default_factory=dict)
    moves: dict[str, MidMigration] = field(default_factory=dict)
    platforms: dict[str, UpdatedPlatform] = field(default_factory=dict)

    def told_users(self, order_id: str, text: str) -> None:
        """One more text for the user of an order."""
        self.told_texts[order_id] = (*self.told_texts.get(order_id, ()), text)

    def leaves(self, subject: str) -> list[str]:
        """Kinds of the leaves about a subject, oldest first."""
        return [kind for kind, about in self.kinds if about == subject]

    def _move(
        self,
        order_id: str,
        before: OrderState,
        after: OrderState,
        *,
        at: datetime,
        reason: str | None = None,
    ) -> bool:
        check_transition(before, after)
        order = self.records.get(order_id)
        if order is None or order.state is not before:
            return False
        due_at = at if after in _AT_ONCE else order.expires_at if after in _WHEN_LAPSED else None
        self._set(order_id, state=after, due_at=due_at, reason=reason)
        self._leaf(f"order-{after.value}", order_id)
        return True

    def _check_state(self, order_id: str, state: OrderState) -> None:
        if self.records[order_id].state is not state:
            raise RefusalError(RefusalCode.CONCURRENT_CHANGE, subject=order_id, reason="it has changed")

    def _set(self, order_id: str, **values: Any) -> None:
        self.records[order_id] = replace(self.records[order_id], **values)

    def _leaf(self, kind: str, subject: str) -> None:
        self.kinds.append((kind, subject))
