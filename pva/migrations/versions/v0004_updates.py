"""Updates: announcements, renewals, and approvals of the states that they lead to."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_UTC_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add a column and three tables."""
    op.add_column("results", sa.Column("manifest_digest", sa.LargeBinary(32), nullable=True))
    op.create_table(
        "rollouts",
        sa.Column("manifest_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("supplier", sa.String(128), nullable=False),
        sa.Column("share_percent", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("announced_by", sa.String(200), nullable=False),
        sa.Column("announced_at", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["manifest_digest"], ["manifests.digest"], name="fk_rollouts_manifest_digest_manifests"
        ),
        sa.PrimaryKeyConstraint("manifest_digest", name="pk_rollouts"),
    )
    op.create_table(
        "renewals",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("manifest_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("supplier", sa.String(128), nullable=False),
        sa.Column("issuer", sa.String(32), nullable=False),
        sa.Column("serial", sa.String(40), nullable=False),
        sa.Column("result_id", sa.String(64), nullable=False),
        sa.Column("next_at", _UTC_TIME, nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["result_id"], ["results.id"], name="fk_renewals_result_id_results"),
        sa.PrimaryKeyConstraint("device_id", "manifest_digest", name="pk_renewals"),
    )
    op.create_index("ix_renewals_next_at", "renewals", ["next_at"])
    op.create_table(
        "next_approvals",
        sa.Column("sho", sa.String(128), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("manifest_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("state_key", sa.LargeBinary(32), nullable=False),
        sa.Column("first", sa.LargeBinary(8), nullable=False),
        sa.Column("last", sa.LargeBinary(8), nullable=False),
        sa.Column("result_id", sa.String(64), nullable=False),
        sa.Column("approvals", sa.JSON(), nullable=False),
        sa.Column("day_key_chain", sa.JSON(), nullable=False),
        sa.Column("given_at", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(["result_id"], ["results.id"], name="fk_next_approvals_result_id_results"),
        sa.PrimaryKeyConstraint(
            "sho", "device_id", "manifest_digest", "state_key", "first", "last", name="pk_next_approvals"
        ),
    )
    op.create_index("ix_next_approvals_device_id", "next_approvals", ["device_id"])


def downgrade() -> None:
    """Approvals are records that must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
