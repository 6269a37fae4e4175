"""The last result of each Platform Credential, for each relying party that it was for."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; it fills with the results that come."""
    op.create_table(
        "platform_states",
        sa.Column("issuer_sha256", sa.String(length=64), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("reader", sa.String(length=255), nullable=False),
        sa.Column("result_id", sa.String(length=64), nullable=False),
        sa.Column("state_digest", sa.String(length=128), nullable=False),
        sa.Column("tier", sa.String(length=32), nullable=False),
        sa.Column("result_time", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("issuer_sha256", "serial", "reader", name=op.f("pk_platform_states")),
    )
