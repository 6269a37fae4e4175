"""Tables of the ICF's store: one metadata, one Alembic history in `operators/icf/migrations`.

Rule: no key stands here in clear, and no CK or IK at all: the key of an attachment is derived anew from K and a RAND.
"""

import sqlalchemy as sa

from edge.database import NAMING, UtcTime
from edge.ledger import LedgerTable

metadata = sa.MetaData(naming_convention=NAMING)
ledger = LedgerTable(metadata)

subscribers = sa.Table(
    "subscribers",
    metadata,
    sa.Column("pcid", sa.String(15), primary_key=True),
    sa.Column("sealed_key", sa.LargeBinary, nullable=False),
    sa.Column("amf", sa.LargeBinary(2), nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("ind", sa.Integer, nullable=False),
    sa.Column("apn", sa.String(100), nullable=False),
    sa.Column("destinations", sa.JSON, nullable=False),
    sa.Column("quota_bytes", sa.BigInteger, nullable=False),
    sa.Column("life_s", sa.Integer, nullable=False),
    sa.Column("handed_over_by", sa.String(200), nullable=False),
    sa.Column("handed_over_at", UtcTime, nullable=False),
)

issued_vectors = sa.Table(
    "issued_vectors",
    metadata,
    sa.Column("rand", sa.LargeBinary(16), primary_key=True),
    sa.Column("pcid", sa.String(15), sa.ForeignKey("subscribers.pcid"), nullable=False, index=True),
    sa.Column("serving_network", sa.String(128), nullable=False),
    sa.Column("issued_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False, index=True),
    sa.Column("attached_until", UtcTime, nullable=True),
)
