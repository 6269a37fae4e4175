"""The one revision that gives a store the tables of its administrators: each room's history calls it.

Rule: this is history. It is never changed; what the tables become later is another revision's.
"""

import sqlalchemy as sa
from alembic import op

from edge.database import UtcTime


def add_administrators() -> None:
    """Who was added beside the file of principals, who was removed, and who waits for a second administrator."""
    op.create_table(
        "administrators",
        sa.Column("issuer_sha256", sa.String(64), nullable=False),
        sa.Column("spki_sha256", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("since", UtcTime(), nullable=True),
        sa.Column("added_by", sa.String(500), nullable=False),
        sa.Column("removed_by", sa.String(200), nullable=True),
        sa.Column("removed_at", UtcTime(), nullable=True),
        sa.Column("removed_for", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("issuer_sha256", "spki_sha256", name="pk_administrators"),
    )
    op.create_table(
        "administrator_proposals",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("issuer_sha256", sa.String(64), nullable=False),
        sa.Column("spki_sha256", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("since", UtcTime(), nullable=False),
        sa.Column("approvals", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_administrator_proposals"),
    )
