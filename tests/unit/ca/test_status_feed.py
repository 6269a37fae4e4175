"""The feed of changes: a page, its place, and who waits for the next change."""

from collections.abc import Callable

import pytest

from ca.lifecycle import Status
from ca.status_feed import StatusFeed, Wait
from ca.store import Store
from ca.suspensions import Scope
from edge.written import Written
from tests.fakes.ca import CaHouse, supplier
from tests.unit.ca.test_revocation import enrolled

ACME = supplier("acme")


class Meanwhile(Written):
    """Something happens while somebody waits; how long he would have waited is kept."""

    def __init__(self, happens: Callable[[], object] = lambda: None) -> None:
        super().__init__(waiting_max=1)
        self.happens = happens
        self.waited: list[float] = []

    def wait(self, count: int, *, timeout_s: float) -> None:
        """It happens."""
        del count
        self.waited.append(timeout_s)
        self.happens()


@pytest.fixture(scope="module")
def house() -> CaHouse:
    made = CaHouse()
    made.product_line("acme")
    made.publish_manifest()
    return made


def feed_of(store: Store, written: Written) -> StatusFeed:
    store.written = written
    return StatusFeed(store=store)


def test_who_is_level_is_told_of_a_change_as_soon_as_it_is_written(house: CaHouse) -> None:
    pfc = enrolled(house, "b1")
    first = house.feed.page(after=0, limit=10)
    assert [each.status for each in first.changes] == [Status.GOOD]
    assert (first.previous, first.is_complete) == (None, True)
    revoking = Meanwhile(
        lambda: house.revocation.revoke(pfc.ca_id, pfc.serial, reason="keyCompromise", caller=ACME)
    )
    wait = Wait(seconds=0.5, suspensions_version=first.suspensions_version)
    page = feed_of(house.store, revoking).page(after=first.changes[-1].seq, limit=10, wait=wait)
    assert revoking.waited == [0.5]
    assert [each.status for each in page.changes] == [Status.REVOKED]
    assert page.previous == first.changes[-1]


def test_who_is_behind_waits_for_nothing(house: CaHouse) -> None:
    written = Meanwhile()
    feed = feed_of(house.store, written)
    changes, _ = house.changes(after=0, limit=100)
    version, _ = house.suspended()
    assert feed.page(after=0, limit=1, wait=Wait(seconds=1, suspensions_version=version)).changes
    house.suspensions.suspend(Scope(supplier="acme"), reason="a recall", caller=ACME)
    late = feed.page(after=changes[-1].seq, limit=1, wait=Wait(seconds=1, suspensions_version=version))
    assert late.in_force
    assert written.waited == []
    level = Wait(seconds=1, suspensions_version=late.suspensions_version)
    last, _ = house.changes(after=0, limit=100)
    assert not feed.page(after=last[-1].seq, limit=1, wait=level).changes
    assert written.waited == [1]


def test_every_write_of_the_ca_wakes_those_who_wait(house: CaHouse) -> None:
    written = Written(waiting_max=1)
    house.store.written = written
    enrolled(house, "b2")
    assert written.count > 0
