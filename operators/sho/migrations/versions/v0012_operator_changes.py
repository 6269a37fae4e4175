"""Changes of operator: releases that successors asked for, and orders that take over from another operator."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "releases",
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("successor", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("decided_by", sa.String(32), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "successor", name="pk_releases"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_releases_order_id_orders"),
    )
    op.create_table(
        "operator_changes",
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("prior_operator", sa.String(64), nullable=False),
        sa.Column("prior_mid_id", sa.String(64), nullable=False),
        sa.Column("release", sa.Text(), nullable=True),
        sa.Column("switches", sa.BigInteger(), nullable=False),
        sa.Column("attached", sa.Boolean(), nullable=False),
        sa.Column("proof", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("order_id", name="pk_operator_changes"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_operator_changes_order_id_orders"),
    )


def downgrade() -> None:
    """A release that was given, and the proof that a MID is gone, must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
