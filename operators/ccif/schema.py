"""Tables of the CCIF's store: one metadata, one Alembic history in `operators/ccif/migrations`.

Rule: a PCID stands here once, and so does a device's storage key; what is NULL in one state of a row is filled in the
other: `sealed_key` until the hand-over, `token` from then on.
"""

import sqlalchemy as sa

from edge.database import NAMING, UtcTime
from edge.ledger import LedgerTable

metadata = sa.MetaData(naming_convention=NAMING)
ledger = LedgerTable(metadata)

credentials = sa.Table(
    "credentials",
    metadata,
    sa.Column("pcid", sa.String(15), primary_key=True),
    sa.Column("tenant", sa.String(128), nullable=False),
    sa.Column("device_id", sa.String(64), nullable=False, index=True),
    sa.Column("storage_key_name", sa.LargeBinary(66), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("sealed_key", sa.LargeBinary, nullable=True),
    sa.Column("token", sa.Text, nullable=True),
    sa.Column("allotted_at", UtcTime, nullable=False),
    sa.UniqueConstraint("device_id", "storage_key_name", name="uq_credentials_device_storage_key"),
)
