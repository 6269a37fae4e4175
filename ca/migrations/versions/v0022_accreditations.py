"""Audits of suppliers as overseers' trust lists say them."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "overseer_lists",
        sa.Column("issuer", sa.String(length=128), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", name=op.f("pk_overseer_lists")),
    )
    op.create_table(
        "accreditations",
        sa.Column("supplier", sa.String(length=64), nullable=False),
        sa.Column("issuer", sa.String(length=128), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("scheme", sa.String(length=128), nullable=False),
        sa.Column("certificate", sa.String(length=128), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("supplier", name=op.f("pk_accreditations")),
    )


def downgrade() -> None:
    """A sequence number that never falls must not be forgotten."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
