"""Watches in memory: they satisfy the port, and the contract tests hold them to the same behaviour."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from messages.reliance import permits_release
from pva.refusals import RefusalCode, RefusalError
from pva.requests import ValidationRequest
from pva.store.watches import PostedEvent
from pva.watching.watches import SignedEvent, WatchPlace
from pva.watching.watching import Watch, WatchAnswer
from tests.fakes.pva_memory import MemoryStore


@dataclass
class MemoryWatches:
    """Watches over the requests and results of a store in memory, and the events on their way."""

    store: MemoryStore
    callbacks: frozenset[str]
    event_life: timedelta
    by_id: dict[str, Watch] = field(default_factory=dict)
    lease: tuple[str, datetime] | None = None
    posted: dict[tuple[str, str], tuple[PostedEvent, datetime]] = field(default_factory=dict)

    def add_watch(self, watch: Watch, *, watches_max: int) -> Watch:
        """See `pva.watching.watches.WatchStore`."""
        own = self.watches(watch.operator)
        for each in own:
            if each.terms.device_id == watch.terms.device_id:
                if each.terms != watch.terms:
                    raise RefusalError(RefusalCode.WATCH_CONFLICT, subject="device", reason="other terms")
                return each
        passing = any(
            permits_release(each.result) and each.result.device_id == watch.terms.device_id
            for each in self.store.results.values()
            if (self._of(each.request_id).party.role, self._of(each.request_id).tenant)
            == ("sho", watch.operator)
        )
        if not passing:
            raise RefusalError(RefusalCode.WATCH_WITHOUT_RESULT, subject="device", reason="no result")
        if len(own) >= watches_max:
            raise RefusalError(RefusalCode.TOO_MANY_WATCHES, subject="device", reason="too many")
        self.by_id[watch.id] = watch
        self.store.audit.append("watch-added")
        return watch

    def _of(self, request_id: str) -> ValidationRequest:
        return self.store.requests[request_id]

    def watches(
        self, operator: str, *, after: WatchPlace | None = None, count_max: int | None = None
    ) -> Sequence[Watch]:
        """See `pva.watching.watches.WatchStore`."""
        own = [each for each in self.by_id.values() if each.operator == operator]
        own.sort(key=lambda each: (each.created_at, each.id))
        return tuple(each for each in own if after is None or (each.created_at, each.id) > after)[:count_max]

    def end_watch(self, watch_id: str, *, operator: str, by: str, at: datetime) -> bool:
        """See `pva.watching.watches.WatchStore`."""
        del by, at
        known = self.by_id.get(watch_id)
        if known is None or known.operator != operator:
            return False
        del self.by_id[watch_id]
        self.store.audit.append("watch-ended")
        return True

    def take_lease(self, name: str, *, holder: str, at: datetime, lasting: timedelta) -> bool:
        """See `pva.watching.watches.WatchStore`."""
        del name
        if self.lease is not None and self.lease[0] != holder and self.lease[1] > at:
            return False
        self.lease = (holder, at + lasting)
        return True

    def watches_to_look_at(self, *, at: datetime, limit: int) -> Sequence[tuple[Watch, WatchAnswer | None]]:
        """See `pva.watching.watches.WatchStore`."""
        seen = [(each, self._answer(each)) for each in self.by_id.values()]
        return tuple((each, answer) for each, answer in seen if answer or each.look_at <= at)[:limit]

    def _answer(self, watch: Watch) -> WatchAnswer | None:
        result = self.store.results.get(watch.request_id or "")
        if result is None:
            return None
        return WatchAnswer(result_id=result.id, status=result.status, at=result.result.issued_at)

    def change_watch(
        self,
        after: Watch,
        *,
        revision: int,
        request: ValidationRequest | None,
        event: SignedEvent | None,
        at: datetime,
    ) -> bool:
        """See `pva.watching.watches.WatchStore`."""
        known = self.by_id.get(after.id)
        if known is None or known.revision != revision:
            return False
        self.by_id[after.id] = after
        if request is not None:
            self.store.requests[request.id] = request
            self.store.audit.append("watch-asked")
        if event is not None:
            for audience in self.callbacks & set(event.event.audience):
                posted = PostedEvent(
                    event_id=event.event.jti,
                    audience=audience,
                    token=event.token,
                    tries=0,
                    expires_at=at + self.event_life,
                )
                self.posted[posted.event_id, audience] = (posted, at)
            self.store.audit.append("state-event")
        return True

    # the outbox of events

    def due(self, audience: str, *, at: datetime, count_max: int) -> Sequence[PostedEvent]:
        """See `pva.pushing.Outbox`."""
        due = [each for each, next_at in self.posted.values() if each.audience == audience and next_at <= at]
        return tuple(due[:count_max])

    def claim(self, posted: PostedEvent, *, until: datetime) -> bool:
        """See `pva.pushing.Outbox`."""
        key = posted.event_id, posted.audience
        if self.posted.get(key, (None, None))[0] != posted:
            return False
        self.posted[key] = (replace(posted, tries=posted.tries + 1), until)
        return True

    def postpone(self, posted: PostedEvent, *, until: datetime) -> None:
        """See `pva.pushing.Outbox`."""
        key = posted.event_id, posted.audience
        claimed = replace(posted, tries=posted.tries + 1)
        if self.posted.get(key, (None, None))[0] == claimed:
            self.posted[key] = (claimed, until)

    def remove(self, posted: PostedEvent) -> None:
        """See `pva.pushing.Outbox`."""
        self.posted.pop((posted.event_id, posted.audience), None)
