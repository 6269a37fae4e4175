"""First schema: suppliers, manifests, requests, challenges, results, refusals, devices, ledger."""

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
    _create_references()
    _create_requests()
    _create_outcomes()
    _create_devices()
    _create_ledger()


def downgrade() -> None:
    """Nothing comes before the first schema."""
    raise RuntimeError("the first schema cannot be taken back: restore a backup")


def _create_references() -> None:
    op.create_table(
        "suppliers",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("root_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("ocsp_url", sa.String(500), nullable=False),
        sa.Column("recognised_by", sa.String(200), nullable=False),
        sa.Column("recognised_at", _UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_suppliers"),
        sa.UniqueConstraint("root_sha256", name="uq_suppliers_root_sha256"),
    )
    op.create_table(
        "manifests",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("supplier", sa.String(128), nullable=False),
        sa.Column("manifest_id", sa.String(255), nullable=False),
        sa.Column("svn", sa.BigInteger(), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.Column("imported_by", sa.String(200), nullable=False),
        sa.Column("imported_at", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(["supplier"], ["suppliers.name"], name="fk_manifests_supplier_suppliers"),
        sa.PrimaryKeyConstraint("digest", name="pk_manifests"),
        sa.UniqueConstraint("supplier", "manifest_id", "svn", name="uq_manifests_supplier_id_svn"),
    )


def _create_requests() -> None:
    op.create_table(
        "validation_requests",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant", sa.String(128), nullable=False),
        sa.Column("requester", sa.String(200), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("rp_nonce", sa.LargeBinary(64), nullable=False),
        sa.Column("order_digest", sa.LargeBinary(32), nullable=True),
        sa.Column("audience", sa.JSON(), nullable=False),
        sa.Column("created_at", _UTC_TIME, nullable=False),
        sa.Column("expires_at", _UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_validation_requests"),
        sa.UniqueConstraint("tenant", "rp_nonce", name="uq_validation_requests_tenant_nonce"),
    )
    op.create_index("ix_validation_requests_device_id", "validation_requests", ["device_id"])
    op.create_table(
        "redeemed_challenges",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("redeemed_at", _UTC_TIME, nullable=False),
        sa.Column("expires_at", _UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_redeemed_challenges"),
    )
    op.create_index("ix_redeemed_challenges_expires_at", "redeemed_challenges", ["expires_at"])


def _create_outcomes() -> None:
    op.create_table(
        "results",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("evidence_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("issued_at", _UTC_TIME, nullable=False),
        sa.Column("expires_at", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"], ["validation_requests.id"], name="fk_results_request_id_validation_requests"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_results"),
        sa.UniqueConstraint("request_id", name="uq_results_request_id"),
    )
    op.create_index("ix_results_device_id", "results", ["device_id"])
    op.create_table(
        "refusals",
        sa.Column("number", _NUMBER, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("at", _UTC_TIME, nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(500), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("authenticated", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"], ["validation_requests.id"], name="fk_refusals_request_id_validation_requests"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_refusals"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_refusals_request_id", "refusals", ["request_id"])


def _create_devices() -> None:
    op.create_table(
        "devices",
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("supplier", sa.String(128), nullable=False),
        sa.Column("hw_type", sa.String(255), nullable=False),
        sa.Column("ak_name", sa.LargeBinary(66), nullable=False),
        sa.Column("qualified_signer", sa.LargeBinary(66), nullable=False),
        sa.Column("storage_key_name", sa.LargeBinary(66), nullable=False),
        sa.Column("generation_counter_name", sa.LargeBinary(66), nullable=False),
        sa.Column("generation_counter", sa.LargeBinary(8), nullable=False),
        sa.Column("clock", sa.LargeBinary(8), nullable=False),
        sa.Column("reset_count", sa.BigInteger(), nullable=False),
        sa.Column("restart_count", sa.BigInteger(), nullable=False),
        sa.Column("clock_safe", sa.Boolean(), nullable=False),
        sa.Column("unsafe_since", _UTC_TIME, nullable=True),
        sa.Column("firmware_version", sa.LargeBinary(8), nullable=False),
        sa.Column("credential_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("credential_not_before", _UTC_TIME, nullable=False),
        sa.Column("svn_highest", sa.BigInteger(), nullable=True),
        sa.Column("seen_at", _UTC_TIME, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("device_id", name="pk_devices"),
        sa.UniqueConstraint("ak_name", name="uq_devices_ak_name"),
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
