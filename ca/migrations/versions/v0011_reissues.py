"""Which device got which Platform Credential under a manifest, when a line was issued anew."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "reissues",
        sa.Column("manifest_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("device_id", sa.String(length=64), nullable=False),
        sa.Column("ca_id", sa.String(length=32), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["ca_id", "serial"],
            ["certificates.ca_id", "certificates.serial"],
            name=op.f("fk_reissues_ca_id_certificates"),
        ),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.device_id"], name=op.f("fk_reissues_device_id_devices")
        ),
        sa.PrimaryKeyConstraint("manifest_digest", "device_id", name=op.f("pk_reissues")),
    )
