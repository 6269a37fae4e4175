"""The one revision that gives a store its audit log's tables: each room's history calls it.

Rule: this is history. It is never changed; what the tables become later is another revision's.
"""

import sqlalchemy as sa
from alembic import op


def add_audit_log() -> None:
    """A place in the tree for each leaf, the tree's tiles, and the checkpoints that were signed."""
    op.add_column("ledger", sa.Column("log_index", sa.BigInteger(), nullable=True))
    op.create_index("uq_ledger_log_index", "ledger", ["log_index"], unique=True)
    op.create_table(
        "log_tiles",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digests", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name="pk_log_tiles"),
    )
    op.create_table(
        "log_checkpoints",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("size", name="pk_log_checkpoints"),
    )
