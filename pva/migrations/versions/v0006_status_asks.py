"""What counts for holds: results by credential, and what was asked of the CA."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_UTC_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add columns, an index and a table; results of before count for no hold."""
    for column in (
        sa.Column("purpose", sa.String(32), nullable=True),
        sa.Column("pfc_issuer", sa.String(32), nullable=True),
        sa.Column("pfc_serial", sa.String(40), nullable=True),
        sa.Column("against", sa.Boolean(), nullable=True),
        sa.Column("recovered", sa.Boolean(), nullable=True),
    ):
        op.add_column("results", column)
    op.create_index("ix_results_pfc", "results", ["pfc_issuer", "pfc_serial", "revision"])
    op.create_table(
        "status_asks",
        sa.Column("issuer", sa.String(32), nullable=False),
        sa.Column("serial", sa.String(40), nullable=False),
        sa.Column("act", sa.String(16), nullable=False),
        sa.Column("results", sa.JSON(), nullable=False),
        sa.Column("asked_at", _UTC_TIME, nullable=False),
        sa.Column("next_at", _UTC_TIME, nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "serial", name="pk_status_asks"),
    )
    op.create_index("ix_status_asks_due", "status_asks", ["told", "next_at"])


def downgrade() -> None:
    """Asks are records that must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
