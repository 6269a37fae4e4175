"""Holds on Platform Credentials for attestation results, and the results that were used."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UTC_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "holds",
        sa.Column("ca_id", sa.String(length=32), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("results", sa.JSON(), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("held_at", _UTC_TIME, nullable=False),
        sa.Column("recovery", sa.String(length=64), nullable=True),
        sa.Column("recovered_by", sa.String(length=64), nullable=True),
        sa.Column("recovered_at", _UTC_TIME, nullable=True),
        sa.Column("released_by", sa.String(length=200), nullable=True),
        sa.Column("released_at", _UTC_TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["ca_id", "serial", "version"],
            ["certificate_status.ca_id", "certificate_status.serial", "certificate_status.version"],
            name=op.f("fk_holds_ca_id_certificate_status"),
        ),
        sa.PrimaryKeyConstraint("ca_id", "serial", "version", name=op.f("pk_holds")),
    )
    op.create_table(
        "used_results",
        sa.Column("ca_id", sa.String(length=32), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("result", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["ca_id", "serial"],
            ["certificates.ca_id", "certificates.serial"],
            name=op.f("fk_used_results_ca_id_certificates"),
        ),
        sa.PrimaryKeyConstraint("ca_id", "serial", "result", name=op.f("pk_used_results")),
    )


def downgrade() -> None:
    """Holds are records that must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
