"""The audit ledger of a process, first half: salted leaves, written in the transaction that they record.

Every issuance, revocation, result, and every refusal of an authenticated subject appends one leaf (D15), as `edge/ledger_leaf.py`
makes it. Putting leaves in their order, in a Merkle tree, is the work of `edge/audit_log.py`; its tables stand here, with the
leaves'.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa

from edge.database import UtcTime
from edge.direct_statements import DirectStatement, parameter
from edge.ledger_leaf import SALT_BYTES, Leaf, LedgerEntry, make_leaf
from edge.many_rows import insert_all

_WRITTEN = frozenset({"kind", "subject", "leaf_hash", "record", "salt"})


class LedgerTable:
    """The ledger's tables in a process's metadata, and the two things done with leaves: append and read."""

    def __init__(self, metadata: sa.MetaData) -> None:
        """Add the tables to `metadata`; the room's migrations create them (`edge/audit_log_schema.py`)."""
        self._inserts: WeakKeyDictionary[sa.Engine, DirectStatement] = WeakKeyDictionary()
        self.table = sa.Table(
            "ledger",
            metadata,
            sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
            sa.Column("kind", sa.String(64), nullable=False),
            sa.Column("subject", sa.String(200), nullable=False, index=True),
            sa.Column("leaf_hash", sa.LargeBinary(32), nullable=False, unique=True),
            sa.Column("record", sa.LargeBinary, nullable=True),
            sa.Column("salt", sa.LargeBinary(SALT_BYTES), nullable=True),
            sa.Column("log_index", sa.BigInteger, nullable=True),
            sa.Index("uq_ledger_log_index", "log_index", unique=True),
            sqlite_autoincrement=True,
        )
        self.tiles = sa.Table(
            "log_tiles",
            metadata,
            sa.Column("level", sa.Integer, primary_key=True),
            sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("digests", sa.LargeBinary, nullable=False),
        )
        self.checkpoints = sa.Table(
            "log_checkpoints",
            metadata,
            sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("root", sa.LargeBinary(32), nullable=False),
            sa.Column("note", sa.Text, nullable=False),
            sa.Column("signed_at", UtcTime, nullable=False),
        )

    def append(
        self,
        connection: sa.Connection,
        *,
        kind: str,
        subject: str,
        record: Mapping[str, Any],
        at: datetime,
        salt: bytes,
    ) -> bytes:
        """Add one leaf in the caller's transaction and give its hash (32 bytes).

        `salt` is 32 fresh random bytes. `subject` names whom it is about (device id, serial, tenant),
        never a person. Raises LedgerError for a record that has no unambiguous encoding.
        """
        leaf = make_leaf(kind=kind, subject=subject, record=record, at=at, salt=salt)
        self.put(connection, leaf)
        return leaf.leaf_hash

    def put(self, connection: sa.Connection, leaf: Leaf) -> None:
        """Add a leaf that was made before, in the caller's transaction."""
        row = leaf.row()
        insert = self._inserts.get(connection.engine)
        if insert is None:
            insert = DirectStatement(connection.engine, sa.insert(self.table), sets=tuple(row))
            self._inserts[connection.engine] = insert
        insert.within(connection, row)

    def appending(self, part: str) -> sa.Insert:
        """The INSERT of one leaf beside other changes of a `TogetherStatement`; its row is a leaf's (`Leaf.row`)."""
        columns = (each for each in self.table.c if each.name in _WRITTEN)
        return sa.insert(self.table).values(
            {each.name: sa.bindparam(parameter(part, each.name), type_=each.type) for each in columns}
        )

    def append_all(
        self,
        connection: sa.Connection,
        *,
        kind: str,
        leaves: Sequence[tuple[str, Mapping[str, Any], bytes]],
        at: datetime,
    ) -> list[bytes]:
        """Add a leaf of one kind for each (subject, record, salt), as `append` does, and give their hashes."""
        made = [
            make_leaf(kind=kind, subject=subject, record=record, at=at, salt=salt)
            for subject, record, salt in leaves
        ]
        insert_all(connection, self.table, [each.row() for each in made])
        return [each.leaf_hash for each in made]

    def entries(self, connection: sa.Connection, *, after: int = 0, limit: int = 1000) -> list[LedgerEntry]:
        """Leaves with a number above `after`, oldest first, at most `limit`."""
        query = (
            sa.select(self.table)
            .where(self.table.c.number > after)
            .order_by(self.table.c.number)
            .limit(limit)
        )
        return [LedgerEntry(**row) for row in connection.execute(query).mappings()]
