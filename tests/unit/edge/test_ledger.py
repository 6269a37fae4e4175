"""Leaves of the audit ledger: one record, one encoding, one hash."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa

from edge.database import engine_for, transaction
from edge.ledger import LedgerTable
from edge.ledger_leaf import LedgerError, encode_record, leaf_hash, verify_entry

AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
SALT = bytes(range(32))


def test_the_encoding_is_the_one_written_down() -> None:
    data = encode_record(kind="issued", subject="d1", record={"b": [1, None], "a": "ü"}, at=AT)
    assert (
        data
        == (
            '{"at":"2026-01-02T03:04:05.000678Z","kind":"issued","record":{"a":"ü","b":[1,null]},"subject":"d1"}'
        ).encode()
    )


def test_the_leaf_can_be_computed_with_nothing_of_this_project() -> None:
    data = encode_record(kind="k", subject="s", record={}, at=AT)
    assert leaf_hash(salt=SALT, record=data) == hashlib.sha256(b"pva/leaf/1\x00" + SALT + data).digest()


def test_one_moment_has_one_encoding_in_every_zone() -> None:
    east = AT.astimezone(timezone(timedelta(hours=9)))
    assert encode_record(kind="k", subject="s", record={}, at=AT) == encode_record(
        kind="k", subject="s", record={}, at=east
    )


@pytest.mark.negative
@pytest.mark.parametrize("value", [1.5, float("nan"), b"bytes", {1: "a"}, {"a": {2.5}}, AT])
def test_what_has_no_single_encoding_is_refused(value: Any) -> None:
    with pytest.raises(LedgerError):
        encode_record(kind="k", subject="s", record={"x": value}, at=AT)


@pytest.mark.negative
def test_a_naive_time_a_short_salt_and_an_endless_record_are_refused() -> None:
    with pytest.raises(LedgerError, match="aware"):
        encode_record(kind="k", subject="s", record={}, at=AT.replace(tzinfo=None))
    with pytest.raises(LedgerError, match="32 bytes"):
        leaf_hash(salt=b"short", record=b"")
    with pytest.raises(LedgerError, match="at most"):
        encode_record(kind="k", subject="s", record={"x": "y" * 70_000}, at=AT)


def test_a_stored_leaf_is_verified_and_an_altered_one_is_not() -> None:
    metadata = sa.MetaData()
    ledger = LedgerTable(metadata)
    engine = engine_for("sqlite://")
    with transaction(engine) as connection:
        metadata.create_all(connection)
        digest = ledger.append(
            connection, kind="issued", subject="d1", record={"serial": 7}, at=AT, salt=SALT
        )
        ledger.append(connection, kind="revoked", subject="d1", record={}, at=AT, salt=SALT[::-1])
    with transaction(engine, write=False) as connection:
        first, second = ledger.entries(connection)
        assert ledger.entries(connection, after=first.number) == [second]
    assert first.leaf_hash == digest
    assert verify_entry(first)["record"] == {"serial": 7}
    assert first.record is not None
    with pytest.raises(LedgerError, match="not the one"):
        verify_entry(replace(first, record=first.record.replace(b"7", b"8")))
    with pytest.raises(LedgerError, match="another kind"):
        verify_entry(replace(first, kind="revoked"))
    with pytest.raises(LedgerError, match="erased"):
        verify_entry(replace(first, record=None, salt=None))
    engine.dispose()
