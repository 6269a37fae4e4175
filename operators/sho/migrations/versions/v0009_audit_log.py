"""The audit log: a place for each leaf, tiles, checkpoints."""

from edge.audit_log_schema import add_audit_log

revision = "0009"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column and two tables."""
    add_audit_log()


def downgrade() -> None:
    """What was signed stays signed."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
