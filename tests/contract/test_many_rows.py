"""Many rows in one statement write what a statement for each of them would write, on both stores."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from edge.database import NAMING, UtcTime, transaction
from edge.many_rows import insert_all, update_all
from tests.contract.status_engines import engine as bare_engine
from tests.fakes.pki import NOW

__all__ = ["bare_engine"]

TABLE = sa.Table(
    "things",
    sa.MetaData(naming_convention=NAMING),
    sa.Column("maker", sa.String(20), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(40), nullable=True),
    sa.Column("octets", sa.LargeBinary, nullable=True),
    sa.Column("made_at", UtcTime, nullable=True),
    sa.Column("fine", sa.Boolean, nullable=False),
)
AWKWARD = [
    "plain",
    "",
    "NULL",
    'a "quoted" one',
    "back\\slash",
    "{brace,comma}",
    "Ünïcødé ☃",
    "'; DROP",
    None,
]
OCTETS = [b"", b"\x00\xff", b'"\\{},', bytes(range(256)), b"NULL", None]


def thing(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "maker": "acme",
        "number": number,
        "name": AWKWARD[number % len(AWKWARD)],
        "octets": OCTETS[number % len(OCTETS)],
        "made_at": None if number % 5 == 0 else NOW + timedelta(microseconds=number),
        "fine": number % 2 == 0,
        **changed,
    }


@pytest.fixture
def engine(bare_engine: sa.Engine) -> sa.Engine:
    with transaction(bare_engine) as connection:
        TABLE.metadata.create_all(connection)
    return bare_engine


def written(engine: sa.Engine, *, by: Sequence[str] = ("maker", "number")) -> list[dict[str, Any]]:
    with transaction(engine, write=False) as connection:
        rows = connection.execute(sa.select(TABLE).order_by(*by)).mappings().all()
    return [dict(row) for row in rows]


@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_every_value_arrives(engine: sa.Engine, count: int) -> None:
    rows = [thing(number) for number in range(count)]
    with transaction(engine) as connection:
        insert_all(connection, TABLE, rows)
    assert written(engine) == rows


@pytest.mark.parametrize("empty", [None, b""])
def test_a_column_that_says_the_same_everywhere(engine: sa.Engine, empty: bytes | None) -> None:
    same = {"name": None, "octets": empty, "made_at": NOW, "fine": True}
    rows = [thing(number, **same) for number in range(3)]
    with transaction(engine) as connection:
        insert_all(connection, TABLE, rows)
        # other columns differ now: another statement
        insert_all(connection, TABLE, more := [thing(number, made_at=None) for number in range(3, 9)])
    assert written(engine) == [*rows, *more]


@pytest.mark.negative
def test_one_key_that_is_taken_is_none_written(engine: sa.Engine) -> None:
    with transaction(engine) as connection:
        insert_all(connection, TABLE, [thing(7)])
    with pytest.raises(sa.exc.IntegrityError), transaction(engine) as connection:
        insert_all(connection, TABLE, [thing(6), thing(7), thing(8)])
    assert [each["number"] for each in written(engine)] == [7]


def test_each_row_changes_its_own_and_only_where_it_may(engine: sa.Engine) -> None:
    rows = [thing(number, maker=maker) for maker in ("acme", "other") for number in range(20)]
    with transaction(engine) as connection:
        insert_all(connection, TABLE, rows)
        changes = [
            {"maker": "acme", "number": number, "octets": bytes([number]), "made_at": NOW}
            for number in range(10, 30)  # ten of them are not there
        ]
        changed = update_all(
            connection, TABLE, changes, key=("maker", "number"), where=TABLE.c.fine.is_(sa.true())
        )
        assert update_all(connection, TABLE, [], key=("maker",), where=sa.true()) == 0
    assert changed == 5
    expected = [
        {**each, "octets": bytes([each["number"]]), "made_at": NOW}
        if each["maker"] == "acme" and each["number"] >= 10 and each["fine"]
        else each
        for each in rows
    ]
    assert written(engine) == expected


def test_times_come_back_as_they_went(engine: sa.Engine) -> None:
    moments: list[datetime] = [NOW, NOW.replace(microsecond=999_999), NOW.replace(year=2999)]
    with transaction(engine) as connection:
        insert_all(connection, TABLE, [thing(number, made_at=at) for number, at in enumerate(moments)])
    assert [each["made_at"] for each in written(engine)] == moments
