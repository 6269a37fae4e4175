"""Approvals that a person's hold on a Platform Credential be lifted."""

import sqlalchemy as sa
from alembic import op

from edge.database import UtcTime

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "hold_approvals",
        sa.Column("ca_id", sa.String(32), nullable=False),
        sa.Column("serial", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("approver", sa.String(200), nullable=False),
        sa.Column("key_sha256", sa.String(64), nullable=False),
        sa.Column("approved_at", UtcTime(), nullable=False),
        sa.Column("issued_at_request_of", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["ca_id", "serial", "version"],
            ["certificate_status.ca_id", "certificate_status.serial", "certificate_status.version"],
            name=op.f("fk_hold_approvals_ca_id_certificate_status"),
        ),
        sa.PrimaryKeyConstraint("ca_id", "serial", "version", "approver", name=op.f("pk_hold_approvals")),
        sa.UniqueConstraint("ca_id", "serial", "version", "key_sha256", name=op.f("uq_hold_approvals_ca_id")),
    )


def downgrade() -> None:
    """Who lifted a hold is a record that must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
