"""Model and batch of each certificate, and what is suspended; the feed is read from its beginning once more."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and table; until the store is level with the feed again, nothing that could change is answered."""
    op.add_column("statuses", sa.Column("model", sa.String(length=64), nullable=True))
    op.add_column("statuses", sa.Column("batch", sa.String(length=64), nullable=True))
    op.add_column(
        "feed", sa.Column("suspensions_version", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.create_table(
        "suspensions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("issuers", sa.JSON(), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=True),
        sa.Column("batch", sa.String(length=64), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suspensions")),
    )
    op.execute(sa.text("UPDATE feed SET next_seq = 0, last_change = NULL, as_of = NULL"))
