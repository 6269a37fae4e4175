"""Enrolment sessions that a supplier's station opened: they live long, and a device has one of them at most."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_OF_A_STATION = sa.text("station IS NOT NULL AND state != 'used'")


def upgrade() -> None:
    """Add whose station opened a session; those on record were opened by devices themselves."""
    op.add_column("enrollment_sessions", sa.Column("station", sa.String(64), nullable=True))
    op.create_index(
        "uq_enrollment_sessions_station",
        "enrollment_sessions",
        ["device_id"],
        unique=True,
        sqlite_where=_OF_A_STATION,
        postgresql_where=_OF_A_STATION,
    )


def downgrade() -> None:
    """Sessions of stations that are open would lose what they are apart by."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
