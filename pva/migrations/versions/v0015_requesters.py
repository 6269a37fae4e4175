"""Who had the certificates of approving administrators issued."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what is on record does not say it, and counts for nothing in dual control."""
    op.add_column(
        "manifest_approvals", sa.Column("issued_at_request_of", sa.JSON(none_as_null=True), nullable=True)
    )
    op.add_column(
        "proposal_approvals", sa.Column("issued_at_request_of", sa.JSON(none_as_null=True), nullable=True)
    )


def downgrade() -> None:
    """Who stood behind an approval is a record that must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
