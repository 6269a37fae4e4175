"""Tables of the VNO's store: one metadata, one Alembic history in `operators/vno/migrations`.

Rule: a PCID has one bearer at most; a new one takes the place of the old. Of its secret only the digest is kept.
"""

import sqlalchemy as sa

from edge.database import NAMING, UtcTime
from edge.ledger import LedgerTable

metadata = sa.MetaData(naming_convention=NAMING)
ledger = LedgerTable(metadata)

bearers = sa.Table(
    "bearers",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("pcid", sa.String(15), nullable=False, unique=True),
    sa.Column("secret_sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("apn", sa.String(100), nullable=False),
    sa.Column("destinations", sa.JSON, nullable=False),
    sa.Column("quota_bytes", sa.BigInteger, nullable=False),
    sa.Column("used_bytes", sa.BigInteger, nullable=False),
    sa.Column("refusals", sa.Integer, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False, index=True),
)
