"""Migrations of MIDs: orders that bring a subscription into another device."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "mid_migrations",
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("source_order_id", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_mid_migrations"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_mid_migrations_order_id_orders"),
        sa.ForeignKeyConstraint(
            ["source_order_id"], ["orders.id"], name="fk_mid_migrations_source_order_id_orders"
        ),
    )
    op.create_index("ix_mid_migrations_source_order_id", "mid_migrations", ["source_order_id"])


def downgrade() -> None:
    """Where a subscription is must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
