"""A stamp that is another one after every change of what validations look up: suppliers, manifests, policies.

The store itself changes it, so that no writer can forget to, nobody at a prompt either. It is random: a store that was put
back from a backup has never the stamp of another state. On SQLite a table that is made anew (`batch_alter_table`) loses its
triggers: a revision that does that makes them again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_TABLES = (
    "suppliers",
    "supplier_suspensions",
    "trust_lists",
    "manifests",
    "manifest_approvals",
    "policies",
)


def upgrade() -> None:
    """Add one table of one row, and the triggers."""
    stamps = op.create_table(
        "reference_stamps",
        sa.Column("name", sa.String(16), nullable=False),
        sa.Column("stamp", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_reference_stamps"),
    )
    op.bulk_insert(stamps, [{"name": "references", "stamp": "first"}])
    if op.get_bind().dialect.name == "sqlite":
        for table in _TABLES:
            for event in ("INSERT", "UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER stamp_{table}_{event.lower()} AFTER {event} ON {table} BEGIN "  # noqa: S608 - names of above
                    "UPDATE reference_stamps SET stamp = hex(randomblob(16)); END"
                )
        return
    op.execute(
        "CREATE FUNCTION stamp_references() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "UPDATE reference_stamps SET stamp = gen_random_uuid()::text; RETURN NULL; END $$"
    )
    for table in _TABLES:
        op.execute(
            f"CREATE TRIGGER stamp_{table} AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION stamp_references()"
        )


def downgrade() -> None:
    """Nothing is lost: what is looked up is in the tables themselves."""
    if op.get_bind().dialect.name == "sqlite":
        for table in _TABLES:
            for event in ("insert", "update", "delete"):
                op.execute(f"DROP TRIGGER stamp_{table}_{event}")
    else:
        op.execute("DROP FUNCTION stamp_references() CASCADE")
    op.drop_table("reference_stamps")
