"""Many rows in one statement, whatever the store.

The one rule: the same rows, or none, as one statement for each row would write them. On SQLite a statement costs little and
is repeated inside the driver. On PostgreSQL each one is a plan, a snapshot and a message, which costs more than its row:
there the rows travel as one array a column, and a single statement takes them out again (`unnest`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

Row = Mapping[str, Any]
_PREFIX = "many_"


def insert_all(connection: sa.Connection, table: sa.Table, rows: Sequence[Row]) -> None:
    """INSERT `rows`, which all name the same columns; a key that is taken is an IntegrityError."""
    if not rows:
        return
    if connection.dialect.name != "postgresql" or len(rows) == 1:
        connection.execute(sa.insert(table), [dict(each) for each in rows])
        return
    names = list(rows[0])
    source, values = _source(table, names, rows)
    shown = [source[name].label(name) for name in names]
    connection.execute(sa.insert(table).from_select(names, sa.select(*shown)), values)


def update_all(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Row],
    *,
    key: Sequence[str],
    where: sa.ColumnElement[bool],
) -> int:
    """UPDATE the row that each of `rows` names by its columns `key`, if `where` holds; gives how many were changed."""
    if not rows:
        return 0
    names = list(rows[0])
    changed = [name for name in names if name not in key]
    if connection.dialect.name == "postgresql":
        source, values = _source(table, names, rows)
    else:
        # a parameter must not have the name of a column that is set
        source = {name: sa.bindparam(_PREFIX + name) for name in names}
    same = [table.c[name] == source[name] for name in key]
    change = sa.update(table).values({name: source[name] for name in changed}).where(*same, where)
    if connection.dialect.name == "postgresql":
        return connection.execute(change, values).rowcount
    each_row = [{_PREFIX + name: each[name] for name in names} for each in rows]
    return connection.execute(change, each_row).rowcount


def _source(
    table: sa.Table, names: Sequence[str], rows: Sequence[Row]
) -> tuple[dict[str, sa.ColumnElement[Any]], dict[str, Any]]:
    """What stands for each column, and the parameters: an array, or one value where all rows have the same."""
    source: dict[str, sa.ColumnElement[Any]] = {}
    values: dict[str, Any] = {}
    arrays: dict[str, sa.BindParameter[Any]] = {}
    for name in names:
        column = [each[name] for each in rows]
        if len(arrays) + len(source) > 0 and column.count(column[0]) == len(column):
            values[_PREFIX + name] = column[0]
            source[name] = sa.bindparam(_PREFIX + name, type_=table.c[name].type)
        else:
            values[_PREFIX + name] = column
            arrays[name] = sa.bindparam(_PREFIX + name, type_=ARRAY(_item_type(table.c[name].type)))
    taken_out = sa.func.unnest(*arrays.values()).table_valued(
        *(sa.column(name, table.c[name].type) for name in arrays), name="many"
    )
    columns = taken_out.render_derived().c
    return source | {name: columns[name] for name in arrays}, values


def _item_type(column: sa.types.TypeEngine[Any]) -> sa.types.TypeEngine[Any]:
    return _Octets() if isinstance(column, sa.LargeBinary) else column


class _Octets(sa.types.UserDefinedType[bytes]):
    """BYTEA that takes `bytes` as the driver does: nothing is wrapped, value by value."""

    cache_ok = True

    def get_col_spec(self, **_kw: Any) -> str:
        """Its name in PostgreSQL."""
        return "BYTEA"
