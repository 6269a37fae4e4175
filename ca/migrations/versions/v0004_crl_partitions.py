"""Several CRLs a CA: each certificate belongs to one of them, and lists are numbered within theirs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = ("ca_id", "number", "der", "this_update", "next_update", "status_seq")


def upgrade() -> None:
    """Everything that is there belongs to the first partition."""
    op.add_column(
        "authorities", sa.Column("crl_partitions", sa.Integer(), nullable=False, server_default="1")
    )
    op.add_column(
        "certificates", sa.Column("crl_partition", sa.Integer(), nullable=False, server_default="0")
    )
    op.create_index("ix_certificate_status_status", "certificate_status", ["ca_id", "status"])
    changed = sa.text("version > 1")
    op.create_index(
        "ix_certificate_status_changes",
        "certificate_status",
        ["ca_id", "seq"],
        sqlite_where=changed,
        postgresql_where=changed,
    )
    op.create_table(
        "published_lists",
        sa.Column("ca_id", sa.String(length=32), nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("der", sa.LargeBinary(), nullable=False),
        sa.Column("this_update", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_update", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ca_id"], ["authorities.ca_id"], name=op.f("fk_published_lists_ca_id_authorities")
        ),
        sa.PrimaryKeyConstraint("ca_id", "partition", "number", name=op.f("pk_published_lists")),
    )
    old = sa.table("revocation_lists", *(sa.column(each) for each in _COLUMNS))
    new = sa.table("published_lists", sa.column("partition"), *(sa.column(each) for each in _COLUMNS))
    chosen = sa.select(sa.literal(0), *(old.c[each] for each in _COLUMNS))
    op.execute(sa.insert(new).from_select(["partition", *_COLUMNS], chosen))
    op.drop_table("revocation_lists")
