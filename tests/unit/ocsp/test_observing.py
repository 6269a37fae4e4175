"""What a responder tells of itself, read from what it keeps anyway."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from edge.database import engine_for, migrate
from ocsp.delegates import Delegate, DelegateDirectory, Issuer
from ocsp.live_queue import WAITING_MAX
from ocsp.observing import Limits, ResponderMetrics, responder_check
from ocsp.store import MIGRATIONS, SqlStatusStore
from tests.fakes.pki import NOW, Authority, Validity, p256

LIMITS = Limits(horizon=timedelta(days=14), feed_age_max=timedelta(minutes=15))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStatusStore]:
    engine = engine_for(f"sqlite:///{tmp_path}/ocsp.db")
    migrate(engine, MIGRATIONS)
    yield SqlStatusStore(engine)
    engine.dispose()


def directory(*, life: timedelta, since: timedelta) -> DelegateDirectory:
    ca, key = Authority.root(), p256()
    made = ca.issue("delegate", key=key.public_key(), validity=Validity(before=since, after=life - since))
    delegate = Delegate(certificate=made, key=key)
    return DelegateDirectory([Issuer(ca_id="a" * 32, certificate=ca.certificate, delegate=delegate)])


def reasons(
    store: SqlStatusStore, delegates: DelegateDirectory, *, waiting: int = 0, age: timedelta | None = None
) -> list[tuple[str, bool]]:
    if age is not None:
        store.apply([], next_seq=0, as_of=NOW - age)
    check = responder_check(
        lambda: delegates, waiting=lambda: waiting, store=store, limits=LIMITS, clock=lambda: NOW
    )
    return [(each.code, each.bites) for each in check()]


LEVEL = timedelta(seconds=1)
WEEK = timedelta(days=7)


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (timedelta(days=1), []),
        (timedelta(days=6), [("certificate-expiring", False)]),
        (timedelta(days=8), [("certificate-expired", True)]),
    ],
)
def test_a_delegate_is_named_when_its_renewal_is_late(
    store: SqlStatusStore, since: timedelta, expected: list[Any]
) -> None:
    assert reasons(store, directory(life=WEEK, since=since), age=LEVEL) == expected


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (None, [("change-feed-unread", True)]),
        (timedelta(minutes=1), [("change-feed-behind", False)]),
        (timedelta(minutes=16), [("change-feed-behind", True)]),
    ],
)
def test_a_feed_is_named_before_answers_stop(
    store: SqlStatusStore, age: timedelta | None, expected: list[Any]
) -> None:
    assert reasons(store, directory(life=WEEK, since=LEVEL), age=age) == expected


@pytest.mark.negative
def test_a_responder_that_may_speak_for_nobody_is_not_ready(store: SqlStatusStore) -> None:
    nobody = DelegateDirectory([Issuer(ca_id="a" * 32, certificate=Authority.root().certificate)])
    assert reasons(store, nobody, age=LEVEL) == [("delegate-missing", True)]
    assert reasons(store, DelegateDirectory()) == [("no-issuer", True)]


@pytest.mark.parametrize(("waiting", "bites"), [(WAITING_MAX - 1, False), (WAITING_MAX, True)])
def test_a_line_is_named_before_it_is_full(store: SqlStatusStore, waiting: int, *, bites: bool) -> None:
    found = reasons(store, directory(life=WEEK, since=LEVEL), waiting=waiting, age=LEVEL)
    assert found == [("signing-queue-full", bites)]


def test_answers_are_told_by_status_and_by_where_they_came_from(store: SqlStatusStore) -> None:
    store.apply([], next_seq=0, as_of=NOW - LEVEL)
    registry = CollectorRegistry()
    totals = {"at_hand": 5, "SUCCESSFUL": 2, "shed": 1}
    registry.register(ResponderMetrics(lambda: totals, waiting=lambda: 3, store=store, clock=lambda: NOW))
    text = generate_latest(registry).decode()
    assert 'pva_ocsp_answers_total{cache="at-hand",status="successful"} 5.0' in text
    assert 'pva_ocsp_answers_total{cache="made",status="successful"} 2.0' in text
    assert 'pva_ocsp_answers_total{cache="shed",status="try_later"} 1.0' in text
    assert "pva_signing_queue 3.0" in text
    assert "pva_change_feed_age_seconds 1.0" in text
