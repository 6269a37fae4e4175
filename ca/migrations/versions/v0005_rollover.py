"""CAs with a successor: which one, and what the neighbouring generations said of their keys."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody has a successor yet."""
    op.add_column("authorities", sa.Column("successor", sa.String(length=32), nullable=True))
    op.add_column("authorities", sa.Column("by_predecessor", sa.LargeBinary(), nullable=True))
    op.add_column("authorities", sa.Column("by_successor", sa.LargeBinary(), nullable=True))
