"""Updates of MIDs: orders that bring the next version of one, and the keys that the AuC takes with its receipt."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table, and a place for the keys."""
    op.create_table(
        "mid_updates",
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("prior_order_id", sa.String(64), nullable=False),
        sa.Column("mid_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_mid_updates"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_mid_updates_order_id_orders"),
        sa.ForeignKeyConstraint(
            ["prior_order_id"], ["orders.id"], name="fk_mid_updates_prior_order_id_orders"
        ),
    )
    op.create_index("ix_mid_updates_prior_order_id", "mid_updates", ["prior_order_id"])
    op.create_index("ix_mid_updates_mid_id", "mid_updates", ["mid_id"])
    op.create_index("ix_packages_mid_id", "packages", ["mid_id"])
    op.add_column("subscriptions", sa.Column("next_sealed", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """Which order has a subscription must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
