"""What a verdict can be computed again from, beside its evidence, and the runtime policies that judged.

Results from before have no grounds: they are explained, and not exported.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add two tables."""
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


def downgrade() -> None:
    """What a verdict stands on is not thrown away."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
