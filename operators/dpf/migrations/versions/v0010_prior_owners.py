"""An authorisation may name the owner whose MID the new one is to serve in place of."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what is there took nothing over."""
    op.add_column("authorizations", sa.Column("prior_owner", sa.String(64), nullable=True))


def downgrade() -> None:
    """Whose MID was replaced is a record that must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
