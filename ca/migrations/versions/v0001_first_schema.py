"""The CA's first schema: CAs, models, batches, devices, sessions, certificates, CRLs, manifests, ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "authorities",
        sa.Column("ca_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("supplier", sa.String(length=64), nullable=False),
        sa.Column("hosted", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("parent", sa.String(length=32), nullable=True),
        sa.Column("certificate", sa.LargeBinary(), nullable=True),
        sa.Column("csr", sa.LargeBinary(), nullable=True),
        sa.Column("tre_level", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["parent"], ["authorities.ca_id"], name=op.f("fk_authorities_parent_authorities")
        ),
        sa.PrimaryKeyConstraint("ca_id", name=op.f("pk_authorities")),
        sa.UniqueConstraint("kind", "supplier", "name", name=op.f("uq_authorities_kind")),
    )
    op.create_table(
        "batches",
        sa.Column("supplier", sa.String(length=64), nullable=False),
        sa.Column("batch", sa.String(length=64), nullable=False),
        sa.Column("claims_sha256", sa.String(length=64), nullable=False),
        sa.Column("signer_sha256", sa.String(length=64), nullable=False),
        sa.Column("devices", sa.Integer(), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("supplier", "batch", name=op.f("pk_batches")),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "ledger",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=True),
        sa.Column("salt", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_ledger")),
        sa.UniqueConstraint("leaf_hash", name=op.f("uq_ledger_leaf_hash")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_ledger_subject"), "ledger", ["subject"], unique=False)
    op.create_table(
        "manifests",
        sa.Column("supplier", sa.String(length=64), nullable=False),
        sa.Column("manifest_id", sa.String(length=128), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("svn", sa.BigInteger(), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("supplier", "manifest_id", name=op.f("pk_manifests")),
        sa.UniqueConstraint("digest", name=op.f("uq_manifests_digest")),
    )
    op.create_table(
        "noted_refusals",
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("device_id", "reason", "hour", name=op.f("pk_noted_refusals")),
    )
    op.create_table(
        "certificates",
        sa.Column("ca_id", sa.String(length=32), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("supplier", sa.String(length=64), nullable=True),
        sa.Column("device_id", sa.String(length=64), nullable=True),
        sa.Column("ak_name", sa.LargeBinary(), nullable=True),
        sa.Column("spki_sha256", sa.String(length=64), nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=True),
        sa.Column("not_after", sa.DateTime(timezone=True), nullable=True),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["ca_id"], ["authorities.ca_id"], name=op.f("fk_certificates_ca_id_authorities")
        ),
        sa.PrimaryKeyConstraint("ca_id", "serial", name=op.f("pk_certificates")),
    )
    op.create_index(op.f("ix_certificates_ak_name"), "certificates", ["ak_name"], unique=False)
    op.create_index(op.f("ix_certificates_device_id"), "certificates", ["device_id"], unique=False)
    op.create_table(
        "models",
        sa.Column("supplier", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("ca_id", sa.String(length=32), nullable=False),
        sa.Column("hw_type", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["ca_id"], ["authorities.ca_id"], name=op.f("fk_models_ca_id_authorities")),
        sa.PrimaryKeyConstraint("supplier", "model", name=op.f("pk_models")),
        sa.UniqueConstraint("hw_type", name=op.f("uq_models_hw_type")),
    )
    op.create_index(op.f("ix_models_ca_id"), "models", ["ca_id"], unique=False)
    op.create_table(
        "revocation_lists",
        sa.Column("ca_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("this_update", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_update", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ca_id"], ["authorities.ca_id"], name=op.f("fk_revocation_lists_ca_id_authorities")
        ),
        sa.PrimaryKeyConstraint("ca_id", "number", name=op.f("pk_revocation_lists")),
    )
    op.create_table(
        "certificate_status",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ca_id", sa.String(length=32), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["ca_id", "serial"],
            ["certificates.ca_id", "certificates.serial"],
            name=op.f("fk_certificate_status_ca_id_certificates"),
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_certificate_status")),
        sa.UniqueConstraint("ca_id", "serial", "version", name=op.f("uq_certificate_status_ca_id")),
    )
    op.create_table(
        "devices",
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("supplier", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("batch", sa.String(length=64), nullable=False),
        sa.Column("serial", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("ak_name", sa.LargeBinary(), nullable=True),
        sa.Column("storage_name", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["supplier", "batch"],
            ["batches.supplier", "batches.batch"],
            name=op.f("fk_devices_supplier_batches"),
        ),
        sa.ForeignKeyConstraint(
            ["supplier", "model"],
            ["models.supplier", "models.model"],
            name=op.f("fk_devices_supplier_models"),
        ),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_devices")),
        sa.UniqueConstraint("ak_name", name=op.f("uq_devices_ak_name")),
        sa.UniqueConstraint("storage_name", name=op.f("uq_devices_storage_name")),
        sa.UniqueConstraint("supplier", "model", "serial", name=op.f("uq_devices_supplier")),
    )
    op.create_table(
        "manifest_models",
        sa.Column("supplier", sa.String(length=64), nullable=False),
        sa.Column("manifest_id", sa.String(length=128), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["supplier", "manifest_id"],
            ["manifests.supplier", "manifests.manifest_id"],
            name=op.f("fk_manifest_models_supplier_manifests"),
        ),
        sa.ForeignKeyConstraint(
            ["supplier", "model"],
            ["models.supplier", "models.model"],
            name=op.f("fk_manifest_models_supplier_models"),
        ),
        sa.PrimaryKeyConstraint("supplier", "manifest_id", "model", name=op.f("pk_manifest_models")),
    )
    op.create_table(
        "enrollment_sessions",
        sa.Column("session_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(length=32), nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("activation_sha256", sa.LargeBinary(length=32), nullable=True),
        sa.Column("ca_id", sa.String(length=32), nullable=True),
        sa.Column("serial", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.device_id"], name=op.f("fk_enrollment_sessions_device_id_devices")
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_enrollment_sessions")),
    )
    op.create_index(
        op.f("ix_enrollment_sessions_device_id"), "enrollment_sessions", ["device_id"], unique=False
    )
    op.create_index(
        op.f("ix_enrollment_sessions_opened_at"), "enrollment_sessions", ["opened_at"], unique=False
    )
