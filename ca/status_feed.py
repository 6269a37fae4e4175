"""Use case: responders follow what happens to certificates, change by change.

Rule: a page is one reading of the store, suspensions included. A reader who is level may wait for the next change: it is
answered when the CA has written something, or after a moment; so a revocation is heard at once, and a CA at rest is left alone.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ca.records import StatusChange
from ca.suspensions import InForce
from edge.written import Written

CHANGES_MAX = 1000


class FeedRecords(Protocol):
    """Port to changes of status, and to what is suspended."""

    def status_changes(self, *, after: int, limit: int) -> list[StatusChange]:
        """Changes of issuing CAs' certificates with a seq above `after`, in order, at most `limit`."""

    def suspensions_in_force(self) -> tuple[int, list[InForce]]:
        """A number that grows whenever it changes, and all that is suspended."""


class FeedStore(Protocol):
    """Port to transactions over them."""

    @property
    def written(self) -> Written:
        """Wakes whoever waits for something to be written."""

    def reading(self) -> AbstractContextManager[FeedRecords]:
        """A transaction that cannot change anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """For how long a reader waits who knows the suspensions of this version."""

    seconds: float
    suspensions_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """Changes behind a place; `previous` is the change at that place, by which a reader knows it again.

    `is_complete` where there are no more; `suspensions_version` and `in_force` are what responders are told of suspensions.
    """

    previous: StatusChange | None
    changes: Sequence[StatusChange]
    is_complete: bool
    suspensions_version: int
    in_force: Sequence[InForce]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusFeed:
    """The use case."""

    store: FeedStore

    def page(self, *, after: int, limit: int, wait: Wait | None = None) -> FeedPage:
        """Changes after `after`, at most `limit` (1 to 1000), waited for where there are none."""
        count = self.store.written.count
        page = self._read(after=after, limit=limit)
        if wait is None or page.changes or page.suspensions_version != wait.suspensions_version:
            return page
        self.store.written.wait(count, timeout_s=wait.seconds)
        return self._read(after=after, limit=limit)

    def _read(self, *, after: int, limit: int) -> FeedPage:
        limit = max(1, min(limit, CHANGES_MAX))
        with self.store.reading() as records:
            # the change before the page comes with it, and one behind it says whether there are more
            found = records.status_changes(after=after - 1, limit=limit + 2)
            version, in_force = records.suspensions_in_force()
        previous = found[0] if found and found[0].seq == after else None
        later = [each for each in found if each.seq > after]
        return FeedPage(
            previous=previous,
            changes=later[:limit],
            is_complete=len(later) <= limit,
            suspensions_version=version,
            in_force=in_force,
        )
