"""First schema: attachments, announced orders, registrations, relayed requests, ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_UTC_TIME = sa.DateTime(timezone=True)
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create everything."""
    _create_attachments()
    _create_orders()
    _create_registrations()
    _create_relayed_requests()
    _create_ledger()


def downgrade() -> None:
    """Nothing comes before the first schema."""
    raise RuntimeError("the first schema cannot be taken back: restore a backup")


def _create_attachments() -> None:
    op.create_table(
        "attachments",
        sa.Column("pcid", sa.String(15), nullable=False),
        sa.Column("icf", sa.String(128), nullable=False),
        sa.Column("serving_network", sa.String(128), nullable=False),
        sa.Column("key", sa.LargeBinary(32), nullable=False),
        sa.Column("expires_at", _UTC_TIME, nullable=False),
        sa.Column("refusals", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("pcid", name="pk_attachments"),
    )


def _create_orders() -> None:
    op.create_table(
        "announced_orders",
        sa.Column("sho", sa.String(128), nullable=False),
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("device_code", sa.String(32), nullable=False),
        sa.Column("sho_name", sa.String(64), nullable=False),
        sa.Column("announced_at", _UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("sho", "order_id", name="pk_announced_orders"),
    )
    op.create_index("ix_announced_orders_device_code", "announced_orders", ["device_code"])


def _create_registrations() -> None:
    op.create_table(
        "registrations",
        sa.Column("pcid", sa.String(15), nullable=False),
        sa.Column("idempotency_key", sa.String(128), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("sho", sa.String(128), nullable=False),
        sa.Column("order", sa.Text(), nullable=False),
        sa.Column("registered_at", _UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("pcid", "idempotency_key", name="pk_registrations"),
    )
    op.create_index("ix_registrations_device_id", "registrations", ["device_id"])


def _create_relayed_requests() -> None:
    op.create_table(
        "relayed_requests",
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("sho", sa.String(128), nullable=False),
        sa.Column("token_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("expires_at", _UTC_TIME, nullable=False),
        sa.Column("relayed_at", _UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("request_id", name="pk_relayed_requests"),
    )


def _create_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=True),
        sa.Column("salt", sa.LargeBinary(32), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_ledger"),
        sa.UniqueConstraint("leaf_hash", name="uq_ledger_leaf_hash"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_ledger_subject", "ledger", ["subject"])
