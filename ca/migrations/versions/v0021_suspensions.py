"""Suspensions of suppliers, models and batches, and approvals of their lifting."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_UTC_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "suspensions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("supplier", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=True),
        sa.Column("batch", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("suspended_by", sa.String(length=200), nullable=False),
        sa.Column("suspended_at", _UTC_TIME, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("lifted_at", _UTC_TIME, nullable=True),
        sa.Column("lifted_seq", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suspensions")),
        sa.UniqueConstraint("seq", name=op.f("uq_suspensions_seq")),
    )
    op.create_index(op.f("ix_suspensions_supplier"), "suspensions", ["supplier"])
    op.create_table(
        "lifting_approvals",
        sa.Column("suspension", sa.String(length=64), nullable=False),
        sa.Column("approver", sa.String(length=200), nullable=False),
        sa.Column("key_sha256", sa.String(length=64), nullable=False),
        sa.Column("approved_at", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["suspension"], ["suspensions.id"], name=op.f("fk_lifting_approvals_suspension_suspensions")
        ),
        sa.PrimaryKeyConstraint("suspension", "approver", name=op.f("pk_lifting_approvals")),
        sa.UniqueConstraint("suspension", "key_sha256", name=op.f("uq_lifting_approvals_suspension")),
    )


def downgrade() -> None:
    """Suspensions are records that must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
