"""Indexes for looks over a fleet: a relying party's requests by device and time, results and refusals by time."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add three indexes."""
    op.create_index(
        "ix_validation_requests_party_device",
        "validation_requests",
        ["role", "tenant", "device_id", "created_at"],
    )
    op.create_index("ix_results_issued_at", "results", ["issued_at"])
    op.create_index("ix_refusals_at", "refusals", ["at"])


def downgrade() -> None:
    """The schema before is that of another release."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
