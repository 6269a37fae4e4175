"""Answers to requests that their callers named, kept for a day (`edge/idempotency.py`)."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add one table."""
    op.create_table(
        "kept_answers",
        sa.Column("key_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("request_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("key_sha256", name="pk_kept_answers"),
    )
    op.create_index("ix_kept_answers_claimed_at", "kept_answers", ["claimed_at"])


def downgrade() -> None:
    """Answers of a day are forgotten; a request that is sent again then makes a second thing."""
    op.drop_table("kept_answers")
