"""Use cases: an operator has a device of its own watched, and the PVA keeps the watch (R24).

Rule: an operator watches what it has a passing result of, and no more devices than the settings allow; it sees and ends
its own watches alone. A watch asks the device like any other request, so an ordinary run of its agent answers; the
nonce in these results is the PVA's own. Every change of a watch is one transaction with the request or the event that
belongs to it, decided on the watch as it was: of several processes one carries each change out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from edge.process import Clock, RandomBytes
from messages.binding import NONCE_SIZE
from messages.challenge import VALIDATION
from messages.operator_token import OperatorSigner
from messages.state_event import STATE_EVENT_KIND, PlatformState, StateEvent
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RelyingParty, RequestDesk, ValidationRequest, ValidationWish
from pva.watching.watching import (
    GRACE_MIN,
    INTERVAL_MAX,
    INTERVAL_MIN,
    Step,
    Watch,
    WatchAnswer,
    WatchTerms,
    answered,
    asked,
    gone_stale,
    is_event,
    next_step,
    state_of,
)

ID_BYTES: Final = 16
LEASE: Final = "watches"
LEASE_LIFE: Final = timedelta(seconds=10)
BATCH: Final = 256
WATCHER_ROLE: Final = "sho"
WatchPlace = tuple[datetime, str]
"""Where a watch is among its operator's: when it was made, and its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedEvent:
    """An event and its token."""

    event: StateEvent
    token: str


class WatchStore(Protocol):
    """What these use cases need of a store; each call is one transaction."""

    def add_watch(self, watch: Watch, *, watches_max: int) -> Watch:
        """Add a watch and its audit leaf; the one on record where the same operator asked for the same before.

        Raises RefusalError: no passing result of the operator about the device, other terms on record, too many.
        """

    def watches(
        self, operator: str, *, after: WatchPlace | None = None, count_max: int | None = None
    ) -> Sequence[Watch]:
        """An operator's watches behind a place, oldest first, at most `count_max`."""

    def end_watch(self, watch_id: str, *, operator: str, by: str, at: datetime) -> bool:
        """End an operator's watch, with an audit leaf; False where it has none with this id."""

    def take_lease(self, name: str, *, holder: str, at: datetime, lasting: timedelta) -> bool:
        """Whether `holder` may do the periodic work `name` until `at + lasting`; renews its own lease."""

    def watches_to_look_at(self, *, at: datetime, limit: int) -> Sequence[tuple[Watch, WatchAnswer | None]]:
        """Watches with something to be done, and the results of their requests."""

    def change_watch(
        self,
        after: Watch,
        *,
        revision: int,
        request: ValidationRequest | None,
        event: SignedEvent | None,
        at: datetime,
    ) -> bool:
        """Save a watch that is at `revision`, with what belongs to the change; False where it is not any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchDesk:
    """What operators ask for."""

    store: WatchStore
    requests: RequestDesk
    random_bytes: RandomBytes
    watches_max: int
    interval_min: timedelta = INTERVAL_MIN

    def add(self, terms: WatchTerms, *, operator: str, requester: str, at: datetime) -> Watch:
        """Watch a device from now on. Raises RefusalError."""
        if (
            not self.interval_min <= terms.interval <= INTERVAL_MAX
            or not GRACE_MIN <= terms.grace <= INTERVAL_MAX
        ):
            raise RefusalError(
                RefusalCode.WATCH_TERMS,
                subject="terms of the watch",
                reason=f"expected an interval of {_seconds(self.interval_min)} to {_seconds(INTERVAL_MAX)} s and a grace of "
                f"{_seconds(GRACE_MIN)} s at least, got {_seconds(terms.interval)} and {_seconds(terms.grace)} s",
            )
        watch = Watch(
            id=self.random_bytes(ID_BYTES).hex(),
            operator=operator,
            requester=requester,
            terms=terms,
            created_at=at,
            due_at=at + terms.interval,
            state=None,
            sequence=int(at.timestamp()),
            revision=1,
        )
        compose_request(watch, requests=self.requests, random_bytes=self.random_bytes, at=at)  # can be asked
        return self.store.add_watch(watch, watches_max=self.watches_max)

    def watches(
        self, *, operator: str, after: WatchPlace | None = None, count_max: int | None = None
    ) -> Sequence[Watch]:
        """The operator's watches behind a place, oldest first, at most `count_max`; all of them unless told otherwise."""
        return self.store.watches(operator, after=after, count_max=count_max)

    def end(self, watch_id: str, *, operator: str, by: str, at: datetime) -> None:
        """End one of the operator's watches. Raises RefusalError."""
        if not self.store.end_watch(watch_id, operator=operator, by=by, at=at):
            raise RefusalError(
                RefusalCode.NOT_FOUND, subject="watch", reason="no watch with this id belongs to the caller"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchKeeper:
    """The loop: `round` is called again and again; `holder` names this process, `signer` signs events."""

    store: WatchStore
    requests: RequestDesk
    signer: OperatorSigner
    clock: Clock
    random_bytes: RandomBytes
    holder: str

    def round(self) -> int:
        """Do what is due, unless another process does; how many watches were changed."""
        at = self.clock()
        if not self.store.take_lease(LEASE, holder=self.holder, at=at, lasting=LEASE_LIFE):
            return 0
        due = self.store.watches_to_look_at(at=at, limit=BATCH)
        return sum(self._look(watch, answer=answer, at=at) for watch, answer in due)

    def _look(self, watch: Watch, *, answer: WatchAnswer | None, at: datetime) -> bool:
        step = next_step(watch, answer=answer, at=at)
        if step is Step.WAIT:
            return False
        if step is Step.ASK:
            request = compose_request(watch, requests=self.requests, random_bytes=self.random_bytes, at=at)
            after = asked(watch, request_id=request.id, until=request.expires_at, at=at)
            return self.store.change_watch(after, revision=watch.revision, request=request, event=None, at=at)
        after = gone_stale(watch) if answer is None else answered(watch, answer)
        event = self._event(after, answer=answer, at=at) if is_event(watch, after) else None
        return self.store.change_watch(after, revision=watch.revision, request=None, event=event, at=at)

    def _event(self, watch: Watch, *, answer: WatchAnswer | None, at: datetime) -> SignedEvent:
        state = PlatformState.STALE if answer is None else state_of(answer.status)
        event = StateEvent(
            pva=self.signer.issuer,
            jti=self.random_bytes(ID_BYTES).hex(),
            audience=watch.terms.audience,
            operator=watch.operator,
            device_id=watch.terms.device_id,
            state=state,
            sequence=watch.sequence,
            result_id=None if answer is None else answer.result_id,
            since=watch.deadline if answer is None else answer.at,
            issued_at=at.replace(microsecond=0),
        )
        return SignedEvent(event=event, token=self.signer.sign(event.claims(), typ=STATE_EVENT_KIND.typ))


def _seconds(time: timedelta) -> int:
    return int(time.total_seconds())


def compose_request(
    watch: Watch, *, requests: RequestDesk, random_bytes: RandomBytes, at: datetime
) -> ValidationRequest:
    """The standing request of a watch, on a nonce of the PVA's own. Raises RefusalError."""
    wish = ValidationWish(
        device_id=watch.terms.device_id,
        purpose=VALIDATION,
        rp_nonce=random_bytes(NONCE_SIZE),
        order_digest=None,
        audience=watch.terms.audience,
    )
    party = RelyingParty(role=WATCHER_ROLE, tenant=watch.operator, name=f"watch of {watch.requester}"[:200])
    return requests.compose(wish, party=party, at=at)
