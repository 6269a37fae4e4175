"""States of devices, as PVAs tell them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "device_states",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("sho", sa.String(128), nullable=False),
        sa.Column("pva", sa.String(128), nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.String(64), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "sho", "pva", name="pk_device_states"),
    )


def downgrade() -> None:
    """What was told of a device is a record that must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
