"""Follow the CA's change feed, so that a revocation is answered within a second of its commit.

The one rule: the store is level with the feed as of the moment *before* the question that found nothing more;
what the CA did later is not in it. A CA whose store was set back to a backup gives old numbers to new changes: the
reader knows that by the change at its own place, and reads everything again. While the CA is away the reader asks less and less often, and the store
keeps the moment at which it was last level.
"""

from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Protocol

from clients.ca_status import CaAnswerError, ChangePage, StatusChange, Suspensions
from edge.http_client import HttpError, UnreachableError
from edge.process import Clock, logger

PAUSE_FIRST = timedelta(milliseconds=500)
PAUSE_MAX = timedelta(seconds=2)
PAGES_PER_ROUND = 1000


class ChangeFeed(Protocol):
    """The CA's side."""

    def status_changes(self, *, after: int, level_with: Suspensions | None = None) -> ChangePage:
        """The page of changes after `after`; waited for, a moment, by who is level with the feed and these suspensions."""


class ChangeStore(Protocol):
    """The responder's side."""

    def next_seq(self) -> int:
        """After which change to ask on."""

    def follows(self, previous: StatusChange | None) -> bool:
        """Whether `previous` is the change that was applied last."""

    def start_over(self) -> None:
        """Go back to the beginning of the feed; what is known stays known."""

    def apply(
        self,
        changes: Iterable[StatusChange],
        *,
        next_seq: int,
        as_of: datetime | None,
        suspensions: Suspensions,
    ) -> list[StatusChange]:
        """Apply a page and the place in the feed in one transaction; returns what was refused."""


class FeedReader:
    """One reader a store; `poll` is called again and again, and waits a moment for the CA while nothing happens there."""

    def __init__(
        self,
        feed: ChangeFeed,
        store: ChangeStore,
        *,
        clock: Clock,
        heard_of: Callable[[Collection[str]], None],
    ) -> None:
        """Ask `feed`, fill `store`, and tell `heard_of` which CAs the changes came from; asks nothing yet."""
        self._heard_of = heard_of
        self._feed = feed
        self._store = store
        self._clock = clock
        self._failures = 0
        self._not_before: datetime | None = None
        self._level_with: Suspensions | None = None
        self._log = logger("ocsp")

    def poll(self) -> bool:
        """Read until level with the feed; False when the CA is away or it is too soon to ask again."""
        now = self._clock()
        if self._not_before is not None and now < self._not_before:
            return False
        try:
            self._read()
        except (UnreachableError, HttpError, CaAnswerError) as error:
            self._back_off(now, error)
            return False
        if self._failures:
            self._log.info("feed-found-again", after_failures=self._failures, next_seq=self._store.next_seq())
        self._failures, self._not_before = 0, None
        return True

    def _read(self) -> None:
        for _ in range(PAGES_PER_ROUND):
            # 1 note the time, 2 ask, 3 apply: the page shows the CA as it was at that time or later
            asked_at = self._clock()
            known, self._level_with = self._level_with, None
            page = self._feed.status_changes(after=self._store.next_seq(), level_with=known)
            if known is not None and (page.changes or page.suspensions.version != known.version):
                continue  # it came while it was waited for, after that time: asked for once more
            if not self._store.follows(page.previous):
                self._log.error(
                    "feed-set-back",
                    next_seq=self._store.next_seq(),
                    remedy="the CA has forgotten changes: revoke again there what was revoked since its backup",
                )
                self._store.start_over()
                continue
            level = asked_at if page.complete else None
            applied = self._store.apply(
                page.changes, next_seq=page.next, as_of=level, suspensions=page.suspensions
            )
            for refused in applied:
                self._log.error(
                    "status-change-refused", seq=refused.seq, reason="it would undo a final revocation"
                )
            self._heard_of({each.issuer for each in page.changes})
            if page.complete:
                self._level_with = page.suspensions
                return

    def _back_off(self, now: datetime, error: Exception) -> None:
        if not self._failures:
            self._log.warning("feed-lost", reason=str(error), next_seq=self._store.next_seq())
        self._not_before = now + min(PAUSE_FIRST * 2 ** min(self._failures, 10), PAUSE_MAX)
        self._failures += 1
