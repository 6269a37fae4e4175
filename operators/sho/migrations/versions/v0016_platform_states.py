"""States of platforms after updates that this operator approved."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; a device that was updated before is heard again after the next update, or a new order."""
    op.create_table(
        "platform_states",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("shown_selections", sa.LargeBinary(), nullable=True),
        sa.Column("shown_digest", sa.LargeBinary(64), nullable=True),
        sa.Column("shown_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("coming_selections", sa.LargeBinary(), nullable=True),
        sa.Column("coming_digest", sa.LargeBinary(64), nullable=True),
        sa.PrimaryKeyConstraint("device_id", name="pk_platform_states"),
    )


def downgrade() -> None:
    """Without it, updated devices are not heard."""
    op.drop_table("platform_states")
