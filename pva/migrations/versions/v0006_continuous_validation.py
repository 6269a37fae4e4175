"""Continuous validation: results by credential, what was asked of the CA, watches, their events, leases."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_UTC_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add columns and tables; results of before count for no hold."""
    _create_holds()
    _create_watches()


def downgrade() -> None:
    """Asks and watches are records that must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")


def _create_holds() -> None:
    for column in (
        sa.Column("purpose", sa.String(32), nullable=True),
        sa.Column("pfc_issuer", sa.String(32), nullable=True),
        sa.Column("pfc_serial", sa.String(40), nullable=True),
        sa.Column("against", sa.Boolean(), nullable=True),
        sa.Column("recovered", sa.Boolean(), nullable=True),
    ):
        op.add_column("results", column)
    op.create_index("ix_results_pfc", "results", ["pfc_issuer", "pfc_serial", "revision"])
    op.create_table(
        "status_asks",
        sa.Column("issuer", sa.String(32), nullable=False),
        sa.Column("serial", sa.String(40), nullable=False),
        sa.Column("act", sa.String(16), nullable=False),
        sa.Column("results", sa.JSON(), nullable=False),
        sa.Column("asked_at", _UTC_TIME, nullable=False),
        sa.Column("next_at", _UTC_TIME, nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "serial", name="pk_status_asks"),
    )
    op.create_index("ix_status_asks_due", "status_asks", ["told", "next_at"])


def _create_watches() -> None:
    op.create_table(
        "watches",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("operator", sa.String(128), nullable=False),
        sa.Column("requester", sa.String(200), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("interval_s", sa.BigInteger(), nullable=False),
        sa.Column("grace_s", sa.BigInteger(), nullable=False),
        sa.Column("audience", sa.JSON(), nullable=False),
        sa.Column("created_at", _UTC_TIME, nullable=False),
        sa.Column("due_at", _UTC_TIME, nullable=False),
        sa.Column("look_at", _UTC_TIME, nullable=False),
        sa.Column("state", sa.String(32), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=True),
        sa.Column("asked_until", _UTC_TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_watches"),
        sa.UniqueConstraint("operator", "device_id", name="uq_watches_operator_device"),
    )
    op.create_index("ix_watches_look_at", "watches", ["look_at"])
    op.create_index("ix_watches_request_id", "watches", ["request_id"])
    op.create_table(
        "event_deliveries",
        sa.Column("event_id", sa.String(64), nullable=False),
        sa.Column("audience", sa.String(128), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("next_at", _UTC_TIME, nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", _UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("event_id", "audience", name="pk_event_deliveries"),
    )
    op.create_index("ix_event_deliveries_audience", "event_deliveries", ["audience", "next_at"])
    op.create_table(
        "leases",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("until", _UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
