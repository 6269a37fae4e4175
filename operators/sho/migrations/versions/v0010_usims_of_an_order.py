"""An order may have several USIMs, one for each kind of access."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Every subscription that is there is for cellular access; an order is unique no more, order and access are."""
    with op.batch_alter_table("subscriptions", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.add_column(sa.Column("access", sa.String(16), nullable=False, server_default="cellular"))
        table.drop_constraint("uq_subscriptions_order_id", type_="unique")
        table.create_unique_constraint("uq_subscriptions_order_id_access", ["order_id", "access"])
    with op.batch_alter_table("subscriptions", table_kwargs={"sqlite_autoincrement": True}) as table:
        table.alter_column("access", server_default=None)


def downgrade() -> None:
    """Several USIMs do not fit into one row."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
