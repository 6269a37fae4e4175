"""First schema: orders, what users were told, subscriptions, validation requests, packages, receipts, ledger."""

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
    _create_orders()
    _create_subscriptions()
    _create_validation_requests()
    _create_packages()
    _create_ledger()


def downgrade() -> None:
    """Nothing comes before the first schema."""
    raise RuntimeError("the first schema cannot be taken back: restore a backup")


def _create_orders() -> None:
    op.create_table(
        "orders",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("idempotency_key", sa.String(128), nullable=False),
        sa.Column("request_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("sealed_subscriber", sa.LargeBinary(), nullable=False),
        sa.Column("subscriber", sa.String(64), nullable=False),
        sa.Column("device_code", sa.String(32), nullable=False),
        sa.Column("product", sa.String(64), nullable=False),
        sa.Column("order_code", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(1000), nullable=True),
        sa.Column("created_at", _UTC_TIME, nullable=False),
        sa.Column("expires_at", _UTC_TIME, nullable=False),
        sa.Column("announced", sa.Boolean(), nullable=False),
        sa.Column("due_at", _UTC_TIME, nullable=True),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=True),
        sa.Column("ak_name", sa.LargeBinary(66), nullable=True),
        sa.Column("ak_public", sa.LargeBinary(), nullable=True),
        sa.Column("es_root_sha256", sa.String(64), nullable=True),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_orders"),
        sa.UniqueConstraint("id", name="uq_orders_id"),
        sa.UniqueConstraint("idempotency_key", name="uq_orders_idempotency_key"),
        sa.UniqueConstraint("digest", name="uq_orders_digest"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_orders_device_code", "orders", ["device_code"])
    op.create_index("ix_orders_due_at", "orders", ["due_at"])
    op.create_table(
        "informed",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("text", sa.String(500), nullable=False),
        sa.Column("at", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_informed_order_id_orders"),
        sa.PrimaryKeyConstraint("number", name="pk_informed"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_informed_order_id", "informed", ["order_id"])


def _create_subscriptions() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("imsi", sa.String(15), nullable=False),
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ind", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_subscriptions_order_id_orders"),
        sa.PrimaryKeyConstraint("number", name="pk_subscriptions"),
        sa.UniqueConstraint("imsi", name="uq_subscriptions_imsi"),
        sa.UniqueConstraint("order_id", name="uq_subscriptions_order_id"),
        sqlite_autoincrement=True,
    )


def _create_validation_requests() -> None:
    op.create_table(
        "validation_requests",
        sa.Column("jti", sa.String(64), nullable=False),
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("pva", sa.String(255), nullable=False),
        sa.Column("rp_nonce", sa.LargeBinary(64), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("created_at", _UTC_TIME, nullable=False),
        sa.Column("expires_at", _UTC_TIME, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=True),
        sa.Column("result_id", sa.String(64), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_validation_requests_order_id_orders"),
        sa.PrimaryKeyConstraint("jti", name="pk_validation_requests"),
        sa.UniqueConstraint("rp_nonce", name="uq_validation_requests_rp_nonce"),
        sa.UniqueConstraint("order_id", "attempt", name="uq_validation_requests_order_attempt"),
    )


def _create_packages() -> None:
    op.create_table(
        "packages",
        sa.Column("package_id", sa.String(64), nullable=False),
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("mid_id", sa.String(64), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("receipt_nonce", sa.LargeBinary(32), nullable=False),
        sa.Column("storage_key_name", sa.LargeBinary(66), nullable=False),
        sa.Column("result_id", sa.String(64), nullable=False),
        sa.Column("authorization", sa.Text(), nullable=False),
        sa.Column("expires_at", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_packages_order_id_orders"),
        sa.PrimaryKeyConstraint("package_id", name="pk_packages"),
        sa.UniqueConstraint("digest", name="uq_packages_digest"),
        sa.UniqueConstraint("order_id", "version", name="uq_packages_order_version"),
    )
    op.create_table(
        "receipts",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("instruction", sa.Text(), nullable=True),
        sa.Column("at", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name="fk_receipts_order_id_orders"),
        sa.PrimaryKeyConstraint("digest", name="pk_receipts"),
    )
    op.create_index("ix_receipts_order_id", "receipts", ["order_id"])


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
