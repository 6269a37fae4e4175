"""The responder's first schema: certificate statuses, place in the feed, delegate certificates."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "statuses",
        sa.Column("issuer", sa.String(length=32), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.Integer(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "serial", name=op.f("pk_statuses")),
        sa.CheckConstraint("(reason IS NULL) = (revoked_at IS NULL)", name=op.f("ck_statuses_revocation")),
    )
    op.create_table(
        "feed",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("next_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_change", sa.String(length=64), nullable=True),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed")),
    )
    op.create_table(
        "delegates",
        sa.Column("issuer", sa.String(length=32), nullable=False),
        sa.Column("issuer_certificate", sa.LargeBinary(), nullable=False),
        sa.Column("key_sha256", sa.String(length=64), nullable=True),
        sa.Column("certificate", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("issuer", name=op.f("pk_delegates")),
    )
    op.execute(sa.text("INSERT INTO feed (id, next_seq) VALUES (1, 0)"))
