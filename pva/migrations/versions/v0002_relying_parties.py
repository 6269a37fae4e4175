"""What relying parties need: signed requests, relays, results that are pushed, approvals.

Columns are added and no table is made anew: SQLite would lose rows that refer to it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_UTC_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add columns and tables."""
    _extend_requests()
    _extend_results()
    _create_approvals()


def downgrade() -> None:
    """Signed requests and approvals are records that must not be lost."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")


def _extend_requests() -> None:
    for column in (
        sa.Column("role", sa.String(16), nullable=False, server_default="sho"),
        sa.Column("jti", sa.String(64), nullable=True),
        sa.Column("token", sa.Text(), nullable=True),
        sa.Column("content", sa.LargeBinary(32), nullable=True),
        sa.Column("encrypt_to", sa.LargeBinary(), nullable=True),
        sa.Column("ends_at", _UTC_TIME, nullable=True),
    ):
        op.add_column("validation_requests", column)
    op.create_index(
        "uq_validation_requests_party_jti", "validation_requests", ["role", "tenant", "jti"], unique=True
    )
    op.create_table(
        "request_relays",
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("relay", sa.String(128), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["validation_requests.id"],
            name="fk_request_relays_request_id_validation_requests",
        ),
        sa.PrimaryKeyConstraint("request_id", "relay", name="pk_request_relays"),
    )


def _extend_results() -> None:
    for column in (
        sa.Column("passes", sa.Boolean(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=True),
        sa.Column("pcr_values", sa.LargeBinary(), nullable=True),
        sa.Column("storage_public", sa.LargeBinary(), nullable=True),
        sa.Column("counter_name", sa.LargeBinary(66), nullable=True),
        sa.Column("counter", sa.LargeBinary(8), nullable=True),
    ):
        op.add_column("results", column)
    op.create_table(
        "result_deliveries",
        sa.Column("result_id", sa.String(64), nullable=False),
        sa.Column("audience", sa.String(128), nullable=False),
        sa.Column("next_at", _UTC_TIME, nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["result_id"], ["results.id"], name="fk_result_deliveries_result_id_results"),
        sa.PrimaryKeyConstraint("result_id", "audience", name="pk_result_deliveries"),
    )
    op.create_index("ix_result_deliveries_audience", "result_deliveries", ["audience", "next_at"])


def _create_approvals() -> None:
    op.create_table(
        "order_approvals",
        sa.Column("sho", sa.String(128), nullable=False),
        sa.Column("order_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("device_id", sa.String(64), nullable=False),
        sa.Column("counter", sa.LargeBinary(8), nullable=False),
        sa.Column("approved_at", _UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("sho", "order_digest", name="pk_order_approvals"),
    )
    op.create_table(
        "given_approvals",
        sa.Column("result_id", sa.String(64), nullable=False),
        sa.Column("approvals", sa.JSON(), nullable=False),
        sa.Column("day_key_chain", sa.JSON(), nullable=False),
        sa.Column("given_at", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(["result_id"], ["results.id"], name="fk_given_approvals_result_id_results"),
        sa.PrimaryKeyConstraint("result_id", name="pk_given_approvals"),
    )
