"""Tables of the DRF's store (D13): one metadata, one Alembic history in `operators/drf/migrations`.

Rule: what must happen at most once stands under a unique key here: an order's announcement, a registration under its
key, the owner of a relayed request.
"""

import sqlalchemy as sa

from edge.database import NAMING, UtcTime
from edge.ledger import LedgerTable

metadata = sa.MetaData(naming_convention=NAMING)
ledger = LedgerTable(metadata)

attachments = sa.Table(
    "attachments",
    metadata,
    sa.Column("pcid", sa.String(15), primary_key=True),
    sa.Column("icf", sa.String(128), nullable=False),
    sa.Column("serving_network", sa.String(128), nullable=False),
    sa.Column("key", sa.LargeBinary(32), nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("refusals", sa.Integer, nullable=False),
)

announced_orders = sa.Table(
    "announced_orders",
    metadata,
    sa.Column("sho", sa.String(128), primary_key=True),
    sa.Column("order_id", sa.String(64), primary_key=True),
    sa.Column("device_code", sa.String(32), nullable=False, index=True),
    sa.Column("sho_name", sa.String(64), nullable=False),
    sa.Column("announced_at", UtcTime, nullable=False),
)

registrations = sa.Table(
    "registrations",
    metadata,
    sa.Column("pcid", sa.String(15), primary_key=True),
    sa.Column("idempotency_key", sa.String(128), primary_key=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("device_id", sa.String(64), nullable=False, index=True),
    sa.Column("sho", sa.String(128), nullable=False),
    sa.Column("order", sa.Text, nullable=False),
    sa.Column("registered_at", UtcTime, nullable=False),
)

relayed_requests = sa.Table(
    "relayed_requests",
    metadata,
    sa.Column("request_id", sa.String(128), primary_key=True),
    sa.Column("sho", sa.String(128), nullable=False),
    sa.Column("token_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("relayed_at", UtcTime, nullable=False),
)
