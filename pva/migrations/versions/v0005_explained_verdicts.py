"""What a verdict stands on: the evidence behind a result, for as long as it is kept; policies, and the facts they judge."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0002"
branch_labels = None
depends_on = None

_UTC_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add tables."""
    _create_evidence()
    _create_policies()


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


def _create_policies() -> None:
    op.create_table(
        "result_facts",
        sa.Column("result_id", sa.String(64), nullable=False),
        sa.Column("supplier", sa.String(128), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["result_id"], ["results.id"], name="fk_result_facts_result_id_results"),
        sa.PrimaryKeyConstraint("result_id", name="pk_result_facts"),
    )
    op.create_index("ix_result_facts_supplier", "result_facts", ["supplier"])
    op.create_table(
        "result_grounds",
        sa.Column("result_id", sa.String(64), nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False),
        sa.Column("runtime_policy", sa.LargeBinary(32), nullable=True),
        sa.Column("leaf_hash", sa.LargeBinary(32), nullable=False),
        sa.ForeignKeyConstraint(["result_id"], ["results.id"], name="fk_result_grounds_result_id_results"),
        sa.PrimaryKeyConstraint("result_id", name="pk_result_grounds"),
    )
    op.create_table(
        "runtime_policies",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_runtime_policies"),
    )
    op.create_table(
        "policies",
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("added_at", _UTC_TIME, nullable=False),
        sa.Column("changed_at", _UTC_TIME, nullable=False),
        sa.Column("changed_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("role", "owner", "digest", name="pk_policies"),
    )
