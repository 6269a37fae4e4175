"""First schema: subscribers, issued vectors, ledger."""

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
    op.create_table(
        "subscribers",
        sa.Column("pcid", sa.String(15), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("amf", sa.LargeBinary(2), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ind", sa.Integer(), nullable=False),
        sa.Column("apn", sa.String(100), nullable=False),
        sa.Column("destinations", sa.JSON(), nullable=False),
        sa.Column("quota_bytes", sa.BigInteger(), nullable=False),
        sa.Column("life_s", sa.Integer(), nullable=False),
        sa.Column("handed_over_by", sa.String(200), nullable=False),
        sa.Column("handed_over_at", _UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("pcid", name="pk_subscribers"),
    )
    op.create_table(
        "issued_vectors",
        sa.Column("rand", sa.LargeBinary(16), nullable=False),
        sa.Column("pcid", sa.String(15), nullable=False),
        sa.Column("serving_network", sa.String(128), nullable=False),
        sa.Column("issued_at", _UTC_TIME, nullable=False),
        sa.Column("expires_at", _UTC_TIME, nullable=False),
        sa.Column("attached_until", _UTC_TIME, nullable=True),
        sa.ForeignKeyConstraint(["pcid"], ["subscribers.pcid"], name="fk_issued_vectors_pcid_subscribers"),
        sa.PrimaryKeyConstraint("rand", name="pk_issued_vectors"),
    )
    op.create_index("ix_issued_vectors_pcid", "issued_vectors", ["pcid"])
    op.create_index("ix_issued_vectors_expires_at", "issued_vectors", ["expires_at"])
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


def downgrade() -> None:
    """Nothing comes before the first schema."""
    raise RuntimeError("the first schema cannot be taken back: restore a backup")
