"""How far the IMA list of a device's boot is known, so that it need not send what was judged before.

Nullable columns: a device whose list was never judged, or had findings, has none of them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    for column in (
        sa.Column("ima_count", sa.BigInteger(), nullable=True),
        sa.Column("ima_value", sa.LargeBinary(32), nullable=True),
        sa.Column("ima_reset_count", sa.BigInteger(), nullable=True),
        sa.Column("ima_restart_count", sa.BigInteger(), nullable=True),
        sa.Column("ima_policy", sa.LargeBinary(32), nullable=True),
    ):
        op.add_column("devices", column)


def downgrade() -> None:
    """What is dropped is asked of the devices again; but the schema before is that of another release."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
