"""First schema: authorisations, deliveries, grants, receipts, refusals, ledger."""

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
    _create_authorizations()
    _create_deliveries()
    _create_grants()
    _create_receipts()
    _create_refusals()
    _create_ledger()


def downgrade() -> None:
    """Nothing comes before the first schema."""
    raise RuntimeError("the first schema cannot be taken back: restore a backup")


def _create_authorizations() -> None:
    op.create_table(
        "authorizations",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("sho", sa.String(128), nullable=False),
        sa.Column("jti", sa.String(64), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("order_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("grants", sa.Integer(), nullable=False),
        sa.Column("accepted_at", _UTC_TIME, nullable=False),
        sa.Column("expires_at", _UTC_TIME, nullable=False),
        sa.Column("parts_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("authorization_token", sa.Text(), nullable=False),
        sa.Column("order_token", sa.Text(), nullable=False),
        sa.Column("result_token", sa.Text(), nullable=False),
        sa.Column("package_token", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_authorizations"),
        sa.UniqueConstraint("sho", "jti", name="uq_authorizations_sho_jti"),
    )
    op.create_index("ix_authorizations_order_digest", "authorizations", ["order_digest"])


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("authorization_id", sa.String(64), nullable=False),
        sa.Column("open_for", sa.String(64), nullable=True),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("order_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("nonce", sa.LargeBinary(32), nullable=False),
        sa.Column("pva", sa.String(128), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=True),
        sa.Column("pfc_chain", sa.JSON(), nullable=False),
        sa.Column("fresh_result", sa.Text(), nullable=True),
        sa.Column("opened_at", _UTC_TIME, nullable=False),
        sa.Column("expires_at", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["authorization_id"], ["authorizations.id"], name="fk_deliveries_authorization_id_authorizations"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint("open_for", name="uq_deliveries_open_for"),
        sa.UniqueConstraint("nonce", name="uq_deliveries_nonce"),
    )
    op.create_index("ix_deliveries_authorization_id", "deliveries", ["authorization_id"])


def _create_grants() -> None:
    op.create_table(
        "grants",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("authorization_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.String(64), nullable=False),
        sa.Column("sho", sa.String(128), nullable=False),
        sa.Column("dpf", sa.String(128), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("ak_name", sa.LargeBinary(66), nullable=False),
        sa.Column("order_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("result_id", sa.String(64), nullable=False),
        sa.Column("package_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("delivery", sa.Text(), nullable=False),
        sa.Column("granted_at", _UTC_TIME, nullable=False),
        sa.Column("expires_at", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["authorization_id"], ["authorizations.id"], name="fk_grants_authorization_id_authorizations"
        ),
        sa.ForeignKeyConstraint(["delivery_id"], ["deliveries.id"], name="fk_grants_delivery_id_deliveries"),
        sa.PrimaryKeyConstraint("id", name="pk_grants"),
        sa.UniqueConstraint("authorization_id", "number", name="uq_grants_authorization_number"),
        sa.UniqueConstraint("delivery_id", name="uq_grants_delivery_id"),
        sa.UniqueConstraint("result_id", name="uq_grants_result_id"),
    )


def _create_receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("delivery_id", sa.String(64), nullable=False),
        sa.Column("authorization_id", sa.String(64), nullable=False),
        sa.Column("sho", sa.String(128), nullable=False),
        sa.Column("order_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("statement", sa.LargeBinary(), nullable=False),
        sa.Column("fresh_result", sa.Text(), nullable=False),
        sa.Column("outcome", sa.String(64), nullable=False),
        sa.Column("received_at", _UTC_TIME, nullable=False),
        sa.Column("forwarded_at", _UTC_TIME, nullable=True),
        sa.Column("instruction", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["delivery_id"], ["deliveries.id"], name="fk_receipts_delivery_id_deliveries"
        ),
        sa.ForeignKeyConstraint(
            ["authorization_id"], ["authorizations.id"], name="fk_receipts_authorization_id_authorizations"
        ),
        sa.PrimaryKeyConstraint("digest", name="pk_receipts"),
    )
    op.create_index("ix_receipts_authorization_id", "receipts", ["authorization_id"])


def _create_refusals() -> None:
    op.create_table(
        "refusals",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("authorization_id", sa.String(64), nullable=False),
        sa.Column("delivery_id", sa.String(64), nullable=True),
        sa.Column("at", _UTC_TIME, nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(500), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["authorization_id"], ["authorizations.id"], name="fk_refusals_authorization_id_authorizations"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_refusals"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_refusals_authorization_id", "refusals", ["authorization_id"])


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
