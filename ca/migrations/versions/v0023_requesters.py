"""Who had the certificates of administrators issued: of those who approve, and for registered keys."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what is on record does not say it, and counts for nothing in dual control."""
    op.add_column(
        "lifting_approvals", sa.Column("issued_at_request_of", sa.JSON(none_as_null=True), nullable=True)
    )
    op.add_column("est_enrollments", sa.Column("requesters", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    """Who stood behind an approval is a record that must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
