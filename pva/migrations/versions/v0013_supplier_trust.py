"""Trust lists, accreditation, CRLs, suspensions of suppliers and models, and what administrators propose."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_UTC_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add columns and tables."""
    op.add_column("suppliers", sa.Column("terms", sa.JSON(), nullable=True))
    op.add_column("suppliers", sa.Column("source", sa.String(128), nullable=False, server_default=""))
    op.add_column("suppliers", sa.Column("listed_until", _UTC_TIME, nullable=True))
    op.add_column("suppliers", sa.Column("withdrawn_at", _UTC_TIME, nullable=True))
    op.create_table(
        "trust_lists",
        sa.Column("issuer", sa.String(128), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("imported_by", sa.String(200), nullable=False),
        sa.Column("imported_at", _UTC_TIME, nullable=False),
        sa.PrimaryKeyConstraint("issuer", name="pk_trust_lists"),
    )
    op.create_table(
        "supplier_suspensions",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("supplier", sa.String(128), nullable=False),
        sa.Column("model", sa.String(128), nullable=True),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("suspended_by", sa.String(200), nullable=False),
        sa.Column("suspended_at", _UTC_TIME, nullable=False),
        sa.Column("lifted_at", _UTC_TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["supplier"], ["suppliers.name"], name="fk_supplier_suspensions_supplier_suppliers"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_supplier_suspensions"),
    )
    op.create_index("ix_supplier_suspensions_supplier", "supplier_suspensions", ["supplier"])
    op.create_table(
        "supplier_crls",
        sa.Column("issuer_sha256", sa.LargeBinary(32), nullable=False),
        sa.Column("url", sa.String(500), nullable=False),
        sa.Column("number", sa.String(64), nullable=True),
        sa.Column("der", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=True),
        sa.Column("this_update", _UTC_TIME, nullable=True),
        sa.Column("next_update", _UTC_TIME, nullable=True),
        sa.Column("tried_at", _UTC_TIME, nullable=False),
        sa.Column("fault", sa.String(300), nullable=True),
        sa.PrimaryKeyConstraint("issuer_sha256", name="pk_supplier_crls"),
    )
    op.create_table(
        "proposals",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject", sa.String(300), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("proposed_at", _UTC_TIME, nullable=False),
        sa.Column("done_at", _UTC_TIME, nullable=True),
        sa.PrimaryKeyConstraint("digest", name="pk_proposals"),
    )
    op.create_index("ix_proposals_proposed_at", "proposals", ["proposed_at"])
    op.create_table(
        "proposal_approvals",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("approver", sa.String(200), nullable=False),
        sa.Column("key_sha256", sa.String(64), nullable=False),
        sa.Column("approved_at", _UTC_TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"], ["proposals.digest"], name="fk_proposal_approvals_digest_proposals"
        ),
        sa.PrimaryKeyConstraint("digest", "approver", name="pk_proposal_approvals"),
        sa.UniqueConstraint("digest", "key_sha256", name="uq_proposal_approvals_digest_key"),
    )


def downgrade() -> None:
    """What people decided about suppliers is not thrown away."""
    raise RuntimeError("this revision cannot be taken back: restore a backup")
