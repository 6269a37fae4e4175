"""Manifests follow one another, and count only after administrators approved them.

Manifests of before wait for approval, too: one person alone had brought them in.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UTC_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add columns and a table."""
    for column in (
        sa.Column("approved_at", _UTC_TIME, nullable=True),
        sa.Column("retired_at", _UTC_TIME, nullable=True),
        sa.Column("retired_by", sa.String(200), nullable=True),
        sa.Column("retired_reason", sa.String(500), nullable=True),
        sa.Column("succeeds", sa.LargeBinary(32), nullable=True),
    ):
        op.add_column("manifests", column)
    op.create_index("uq_manifests_succeeds", "manifests", ["succeeds"], unique=True)
    op.create_table(
        "manifest_approvals",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("approver", sa.String(200), nullable=False),
        sa.Column("key_sha256", sa.String(64), nullable=False),
        sa.Column("approved_at", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"], ["manifests.digest"], name="fk_manifest_approvals_digest_manifests"
        ),
        sa.PrimaryKeyConstraint("digest", "approver", name="pk_manifest_approvals"),
        sa.UniqueConstraint("digest", "key_sha256", name="uq_manifest_approvals_digest_key"),
    )


def downgrade() -> None:
    """Approvals are records that must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
