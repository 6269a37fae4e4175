"""Batch feeds that are not whole yet: head, chunks that came, lines."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "batch_feeds",
        sa.Column("feed", sa.String(length=64), nullable=False),
        sa.Column("supplier", sa.String(length=64), nullable=False),
        sa.Column("batch", sa.String(length=64), nullable=False),
        sa.Column("head", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("feed", name=op.f("pk_batch_feeds")),
        sa.UniqueConstraint("supplier", "batch", name=op.f("uq_batch_feeds_supplier")),
    )
    op.create_index(op.f("ix_batch_feeds_opened_at"), "batch_feeds", ["opened_at"])
    op.create_table(
        "batch_feed_chunks",
        sa.Column("feed", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["feed"], ["batch_feeds.feed"], name=op.f("fk_batch_feed_chunks_feed_batch_feeds")
        ),
        sa.PrimaryKeyConstraint("feed", "number", name=op.f("pk_batch_feed_chunks")),
    )
    op.create_table(
        "batch_feed_lines",
        sa.Column("feed", sa.String(length=64), nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("serial", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["feed"], ["batch_feeds.feed"], name=op.f("fk_batch_feed_lines_feed_batch_feeds")
        ),
        sa.PrimaryKeyConstraint("feed", "line", name=op.f("pk_batch_feed_lines")),
        sa.UniqueConstraint("feed", "device_id", name=op.f("uq_batch_feed_lines_feed")),
        # the naming convention names a constraint by its first column, and one name stands once
        sa.UniqueConstraint("feed", "model", "serial", name="uq_batch_feed_lines_serial"),
    )
