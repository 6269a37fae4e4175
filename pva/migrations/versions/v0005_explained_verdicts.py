"""What explains a verdict: the evidence behind a result, for as long as it is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None

_UTC_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add tables."""
    _create_evidence()


def downgrade() -> None:
    """Evidence behind results is a record that must not be lost before its time."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")


def _create_evidence() -> None:
    op.create_table(
        "evidence",
        sa.Column("result_id", sa.String(64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("kept_until", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(["result_id"], ["results.id"], name="fk_evidence_result_id_results"),
        sa.PrimaryKeyConstraint("result_id", name="pk_evidence"),
    )
    op.create_index("ix_evidence_kept_until", "evidence", ["kept_until"])
