"""Administrators who were added or removed here, and keys that wait for a second administrator.

What one administrator had registered of the purposes that now take two, and nobody has used yet, is registered no more.
"""

import sqlalchemy as sa
from alembic import op

from edge.administrator_schema import add_administrators
from edge.database import UtcTime

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    add_administrators()
    op.create_table(
        "key_proposals",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("spki_sha256", sa.String(64), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(32), nullable=False),
        sa.Column("approvals", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_key_proposals")),
    )
    keys = sa.table("est_enrollments", sa.column("kind"), sa.column("state"))
    purposes = ("attestation-result", "state-approval", "trust-list")
    op.execute(sa.delete(keys).where(keys.c.state == "registered", keys.c.kind.in_(purposes)))


def downgrade() -> None:
    """Who was removed would be an administrator again."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
