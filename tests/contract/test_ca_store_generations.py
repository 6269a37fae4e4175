"""The CA's store, continued: partitions of lists, generations of keys, keys that ask over EST; on both engines."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from ca.lifecycle import Reason, Status
from ca.profiles import Kind
from ca.records import EstEnrollment, EstState, RevocationList
from ca.store import MIGRATIONS, Records, Store
from edge.database import UtcTime, engine_for, transaction
from tests.contract.test_ca_store import ISSUING, ROOT, engine, in_threads, issue, store, until_won
from tests.fakes.ca import NOW

__all__ = ["engine", "store"]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    """A database of each kind without a schema."""
    if request.param == "sqlite":
        made = engine_for(f"sqlite:///{tmp_path / 'ca.db'}")
    else:
        made = engine_for(request.getfixturevalue("postgresql").new_database())
    yield made
    made.dispose()


def test_lists_of_the_time_before_partitions_are_kept(empty: sa.Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with transaction(empty) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        columns = ("ca_id", "kind", "name", "supplier", "hosted", "state", "created_at")
        values = {name: getattr(ROOT, name) for name in columns} | {"kind": "es-root", "state": "active"}
        typed = (sa.column("hosted", sa.Boolean), sa.column("created_at", UtcTime))
        plain: list[sa.ColumnClause[Any]] = [
            sa.column(each) for each in columns if each not in {"hosted", "created_at"}
        ]
        connection.execute(sa.insert(sa.table("authorities", *plain, *typed)).values(**values))
        old = sa.table(
            "revocation_lists",
            *(sa.column(each) for each in ("ca_id", "number", "der", "status_seq")),
            *(sa.column(each, UtcTime) for each in ("this_update", "next_update")),
        )
        kept = {"ca_id": ROOT.ca_id, "number": 7, "der": b"crl", "status_seq": 3}
        times = {"this_update": NOW, "next_update": NOW + timedelta(days=1)}
        connection.execute(sa.insert(old).values(**kept, **times))
    made = Store(empty, random_bytes=os.urandom)
    made.migrate()
    with made.reading() as records:
        assert records.newest_revocation_list(ROOT.ca_id) == RevocationList(
            ca_id=ROOT.ca_id, partition=0, number=7, der=b"crl", status_seq=3, **times
        )
        known = records.authority(ROOT.ca_id)
    assert known is not None
    assert (known.crl_partitions, known.successor) == (1, None)


def waiting(number: int) -> EstEnrollment:
    return EstEnrollment(
        kind=Kind.TLS_SERVER, spki_sha256=f"{number:064x}", state=EstState.PENDING, since=NOW
    )


@pytest.mark.check("E7")
def test_a_key_waits_is_registered_and_used_once(store: Store) -> None:
    key = waiting(1).spki_sha256
    registered = replace(
        waiting(1),
        state=EstState.REGISTERED,
        name="pva-1",
        dns=("a.example.net", "b.example.net"),
        addresses=("192.0.2.1", "2001:db8::1"),
    )
    with store.writing() as records:
        assert records.add_pending(waiting(1), at_most=1, kept_since=NOW - timedelta(days=1))
        assert not records.add_pending(waiting(2), at_most=1, kept_since=NOW - timedelta(days=1))
        assert not records.use_registration(Kind.TLS_SERVER, spki_sha256=key, ca_id=ROOT.ca_id, serial=5)
        assert records.register_key(registered)
        assert not records.register_key(registered)
        assert records.est_enrollment(Kind.TLS_SERVER, spki_sha256=key) == registered
        assert records.est_enrollment(Kind.TLS_CLIENT, spki_sha256=key) is None
    won: list[bool] = []

    def use() -> None:
        outcome: list[bool] = []

        def work(records: Records) -> None:
            outcome[:] = [
                records.use_registration(Kind.TLS_SERVER, spki_sha256=key, ca_id=ROOT.ca_id, serial=5)
            ]

        until_won(store, work)
        won.extend(outcome)

    in_threads(6, use)
    assert sorted(won) == [False] * 5 + [True]
    with store.reading() as records:
        assert records.est_enrollments() == [
            replace(registered, state=EstState.ISSUED, ca_id=ROOT.ca_id, serial=5)
        ]


def test_those_who_wait_too_long_are_forgotten_and_the_registered_are_not(store: Store) -> None:
    with store.writing() as records:
        assert records.add_pending(waiting(1), at_most=2, kept_since=NOW)
        assert records.register_key(replace(waiting(2), state=EstState.REGISTERED, name="one"))
        later = NOW + timedelta(seconds=1)
        assert records.add_pending(replace(waiting(3), since=later), at_most=1, kept_since=later)
        left = [each.spki_sha256 for each in records.est_enrollments()]
    assert left == [waiting(2).spki_sha256, waiting(3).spki_sha256]


@pytest.mark.requirement("R75")
def test_the_books_know_what_a_key_was_ever_certified_for(store: Store) -> None:
    with store.writing() as records:
        issue(records, 9)
    with store.reading() as records:
        assert records.kinds_of_key("0" * 64) == {Kind.PLATFORM_CREDENTIAL}
        assert [
            each.serial
            for each in records.certificates_of_key(Kind.PLATFORM_CREDENTIAL, spki_sha256="0" * 64)
        ] == [9]
        assert records.kinds_of_key("5" * 64) == frozenset()
        assert records.kinds_of_key(ROOT.ca_id + "0" * 32) >= {Kind.ES_ROOT}


@pytest.mark.check("P12")
def test_partitions_grow_and_lists_are_numbered_within_theirs(store: Store) -> None:
    first = RevocationList(
        ca_id=ISSUING.ca_id,
        partition=0,
        number=7,
        der=b"crl",
        this_update=NOW,
        next_update=NOW + timedelta(days=1),
        status_seq=0,
    )
    with store.writing() as records:
        assert records.raise_crl_partitions(ISSUING.ca_id, count=2)
        assert not records.raise_crl_partitions(ISSUING.ca_id, count=2)
        records.add_revocation_list(first)
        records.add_revocation_list(replace(first, partition=1))
        records.add_revocation_list(replace(first, partition=1, number=8))
        assert records.newest_revocation_list(ISSUING.ca_id) == first
        newest = records.newest_revocation_list(ISSUING.ca_id, partition=1)
    assert newest == replace(first, partition=1, number=8)


def test_a_ca_is_superseded_once_and_its_root_is_the_newest(store: Store) -> None:
    following = replace(ROOT, ca_id="9" * 32, created_at=ROOT.created_at)
    with store.writing() as records:
        assert records.supersede_authority(ROOT.ca_id, successor=following.ca_id, name="ES root before")
        assert not records.supersede_authority(ROOT.ca_id, successor=following.ca_id, name="again")
        records.add_authority(following)
        records.cross_certify(following.ca_id, by_predecessor=b"cross")
        assert records.root(Kind.ES_ROOT, supplier="acme") == replace(following, by_predecessor=b"cross")
        generations = [each.ca_id for each in records.roots(Kind.ES_ROOT, supplier="acme")]
    assert generations == [ROOT.ca_id, following.ca_id]


@pytest.mark.check("P12")
@pytest.mark.requirement("R101")
def test_a_hold_and_its_release_are_changes_of_the_list_that_the_certificate_names(store: Store) -> None:
    with store.writing() as records:
        issue(records, 9, partition=0)
        issue(records, 10, partition=1)
    assert last_changes(store) == (0, 0)
    with store.writing() as records:
        good = records.certificate(ISSUING.ca_id, 10)
        assert good is not None
        assert good.crl_partition == 1
        records.change_status(good, status=Status.REVOKED, reason=Reason.CERTIFICATE_HOLD, at=NOW)
        held = records.certificate(ISSUING.ca_id, 10)
        assert held is not None
        assert [each.serial for each in records.revoked_certificates(ISSUING.ca_id, partition=1)] == [10]
        assert records.revoked_certificates(ISSUING.ca_id) == []
    assert last_changes(store) == (0, 3)
    with store.writing() as records:
        records.change_status(held, status=Status.GOOD, reason=None, at=NOW)
        assert records.revoked_certificates(ISSUING.ca_id, partition=1) == []
    assert last_changes(store) == (0, 4)


def last_changes(store: Store) -> tuple[int, int]:
    with store.reading() as records:
        first, second = (records.last_revocation_seq(ISSUING.ca_id, partition=each) for each in (0, 1))
    return first, second
