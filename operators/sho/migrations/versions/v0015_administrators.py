"""Administrators who were added or removed here, beside the file of principals."""

from edge.administrator_schema import add_administrators

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    add_administrators()


def downgrade() -> None:
    """Who was removed would be an administrator again."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
