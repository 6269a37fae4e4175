"""Whatever an order needs next, done until it waits for somebody else: the one engine behind all orders.

Rule: the state in the store says what is next, never memory; every step may be repeated. So a process that is killed
anywhere goes on where it was, and a push only has to wake this up. An order whose step fails waits a little longer
each time and holds up no other.

    ordered     announce it to the DRF
    registered  get the prior operator's release, in a change of operator; in a migration, wait until the MID is locked; ask a PVA
    validating  hand the request in, look for the result; pack, once a result permits release
    packaged    authorise it at the DPF
    active      after a change of operator: get the proof that the prior MID is gone
    all         expire, once nobody can use it any more
"""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from edge.process import Clock, logger
from edge.refused import RefusedError
from operators.sho.changes import ChangeDesk
from operators.sho.mid_migrations import MigrationDesk
from operators.sho.order_states import OrderRecord, OrderState
from operators.sho.provisioning import Provisioning
from operators.sho.refusals import PeerError
from operators.sho.registration import Registrar
from operators.sho.validation import Validation, ValidationRequest

AT_ONCE: Final = 100
"""Orders looked at in one round."""
STEPS_MAX: Final = 8
_EXPIRABLE: Final = frozenset(
    {
        OrderState.ORDERED,
        OrderState.REGISTERED,
        OrderState.VALIDATING,
        OrderState.REFUSED,
        OrderState.PACKAGED,
        OrderState.AUTHORIZED,
    }
)
_OURS: Final = frozenset(
    {OrderState.REGISTERED, OrderState.VALIDATING, OrderState.PACKAGED, OrderState.ACTIVE}
)
"""States in which the next step is this operator's; an active order is due only while a proof is."""
_POLLED_SLOWEST_S: Final = 5.0
_PROOF_SLOWEST_S: Final = 60.0
_FAILED_FIRST_S: Final = 0.5
_FAILED_SLOWEST_S: Final = 60.0
_AT_REST_S: Final = 1.0
"""How long a round waits at most while nothing is due; what happens meanwhile wakes it."""
_SLOWER: Final = 1.3


class AdvanceStore(Protocol):
    """What the engine needs of a store."""

    def due(self, *, at: datetime, limit: int) -> Sequence[OrderRecord]:
        """Orders that are to be looked at, the longest waiting first; behind them those that no device came for."""

    def order(self, order_id: str) -> OrderRecord | None:
        """One order."""

    def accepted_request(self, order_id: str) -> ValidationRequest | None:
        """The request whose result this order rests on."""

    def expire(self, order_id: str, *, before: OrderState, at: datetime) -> None:
        """Let an order expire, if it is in this state still."""

    def postpone(self, order: OrderRecord, *, due_at: datetime) -> None:
        """Look at an order again later, if it has not changed meanwhile."""

    def note(self, order_id: str, *, code: str, reason: str, at: datetime) -> None:
        """Audit leaf: what another service gave for an order was refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Advances orders; `poll_s` is how soon a PVA is asked first what came of a request.

    `late` is how long a receipt may be on its way: an order whose package may be at the device outlives its token by it.
    """

    store: AdvanceStore
    registrar: Registrar
    changes: ChangeDesk
    migrations: MigrationDesk
    validation: Validation
    provisioning: Provisioning
    clock: Clock
    poll_s: float
    late: timedelta = timedelta(days=1)

    def advance(self, order: OrderRecord) -> None:
        """Take every step that can be taken now, then say when to look again."""
        try:
            for _ in range(STEPS_MAX):
                if not self._step(order):
                    break
                order = self.store.order(order.id) or order
                if order.due_at is None:
                    return
            slowest_s = _PROOF_SLOWEST_S if order.state is OrderState.ACTIVE else _POLLED_SLOWEST_S
            self._wait(order, first_s=self.poll_s, slowest_s=slowest_s)
        except PeerError as error:
            logger("orders").warning("service-unavailable", service=error.service, reason=error.reason)
            self._wait_failed(order)
        except RefusedError as refusal:
            self.store.note(order.id, code=refusal.code, reason=refusal.reason, at=self.clock())
            self._wait_failed(order)
        except Exception as error:  # noqa: BLE001  # one order that fails must not hold up the others
            logger("orders").error("order-not-advanced", order_id=order.id, exc_info=error)
            self._wait_failed(order)

    def _step(self, order: OrderRecord) -> bool:
        """The next step of an order; whether there may be another one now."""
        at = self.clock()
        if self._lapses_at(order) <= at and order.state in _EXPIRABLE:
            self.store.expire(order.id, before=order.state, at=at)
            return True
        match order.state:
            case OrderState.ORDERED:
                self.registrar.announce(order, at=at)
                changed = False
            case OrderState.REGISTERED:
                changed = (
                    self.changes.is_released(order, at=at)
                    and self.migrations.is_ready(order)
                    and self.validation.ask(order, at=at)
                )
            case OrderState.VALIDATING:
                accepted = self.store.accepted_request(order.id)
                if accepted is None:
                    changed = self.validation.pursue(order, at=at)
                else:
                    changed = self.provisioning.pack(order, request=accepted, at=at)
            case OrderState.PACKAGED:
                changed = self.provisioning.authorize(order, at=at)
            case OrderState.ACTIVE:
                changed = self.changes.fetch_proof(order, at=at)
            case _:
                changed = False
        return changed

    def _wait(self, order: OrderRecord, *, first_s: float, slowest_s: float) -> None:
        """Later each time; an order that only its user or its device can bring on waits until it expires."""
        at = self.clock()
        pause_s = min(slowest_s, first_s * _SLOWER ** min(order.tries, 64))
        due_at = at + timedelta(seconds=pause_s)
        if order.state not in _OURS and (order.announced or order.state is not OrderState.ORDERED):
            due_at = max(self._lapses_at(order), due_at)
        if due_at == order.due_at:
            return
        self.store.postpone(order, due_at=due_at)

    def _lapses_at(self, order: OrderRecord) -> datetime:
        return order.expires_at + (self.late if order.state is OrderState.AUTHORIZED else timedelta())

    def _wait_failed(self, order: OrderRecord) -> None:
        self._wait(order, first_s=max(self.poll_s, _FAILED_FIRST_S), slowest_s=_FAILED_SLOWEST_S)


class Rounds:
    """Runs the engine: at once when woken, `poll_s` after a round that found work, and later each time while there is none."""

    def __init__(self, engine: Engine, *, woken: threading.Event, workers: int) -> None:
        """Work with `workers` threads; starts nothing."""
        self._engine = engine
        self._woken = woken
        self._workers = workers
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="order")
        self._pause_s = engine.poll_s

    def run_once(self) -> None:
        """One round: wait to be woken, but no longer than a moment, then advance what is due."""
        is_woken = self._woken.wait(self._pause_s)
        self._woken.clear()
        due = self._engine.store.due(at=self._engine.clock(), limit=AT_ONCE)
        # anybody can order: what waits for the DRF alone never takes more of a round than one turn of each worker
        coming = [each for each in due if each.state is not OrderState.ORDERED]
        ordered = [each for each in due if each.state is OrderState.ORDERED]
        list(self._pool.map(self._engine.advance, [*coming, *ordered[: self._workers]]))
        poll_s = self._engine.poll_s
        longest_s = max(poll_s, _AT_REST_S)
        self._pause_s = poll_s if due or is_woken else min(2 * self._pause_s, longest_s)
