"""What took the place of a Platform Credential after an update, and what manifests say of those before them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UTC_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add two columns and a table."""
    op.add_column("manifests", sa.Column("predecessor_digest", sa.LargeBinary(length=32), nullable=True))
    op.add_column("manifests", sa.Column("predecessor_until", _UTC_TIME, nullable=True))
    op.create_table(
        "renewals",
        sa.Column("ca_id", sa.String(length=32), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("new_ca_id", sa.String(length=32), nullable=False),
        sa.Column("new_serial", sa.String(length=40), nullable=False),
        sa.Column("manifest_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("ends_at", _UTC_TIME, nullable=False),
        sa.Column("renewed_at", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["ca_id", "serial"],
            ["certificates.ca_id", "certificates.serial"],
            name=op.f("fk_renewals_ca_id_certificates"),
        ),
        sa.PrimaryKeyConstraint("ca_id", "serial", name=op.f("pk_renewals")),
    )
    op.create_index(op.f("ix_renewals_ends_at"), "renewals", ["ends_at"], unique=False)


def downgrade() -> None:
    """Renewals are records that must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
