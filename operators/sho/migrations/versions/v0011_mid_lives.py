"""What is wanted of MIDs that are in devices, and what their TREs say."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "mid_lives",
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("wish", sa.String(16), nullable=True),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("barred", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(32), nullable=True),
        sa.Column("state_reason", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("query_nonce", sa.LargeBinary(32), nullable=True),
        sa.Column("proof_nonce", sa.LargeBinary(32), nullable=True),
        sa.Column("instruction", sa.Text(), nullable=True),
        sa.Column("proof", sa.LargeBinary(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name="pk_mid_lives"),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_mid_lives_order_id_orders"),
    )


def downgrade() -> None:
    """A bar and an erase proof are records that must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
