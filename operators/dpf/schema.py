"""Tables of the DPF's store (D13): one metadata, one Alembic history in `operators/dpf/migrations`.

Rule: what must happen at most once stands under a unique key here, so that no code above can forget it: the open
delivery of an authorisation (`open_for` is set while it is open), a grant by its number, delivery and fresh result, a
nonce, a receipt.
"""

import sqlalchemy as sa

from edge.database import NAMING, UtcTime
from edge.ledger import LedgerTable

metadata = sa.MetaData(naming_convention=NAMING)
ledger = LedgerTable(metadata)

authorizations = sa.Table(
    "authorizations",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("sho", sa.String(128), nullable=False),
    sa.Column("jti", sa.String(64), nullable=False),
    sa.Column("device_id", sa.String(64), nullable=False),
    sa.Column("order_digest", sa.LargeBinary(32), nullable=False, index=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("grants", sa.Integer, nullable=False),
    sa.Column("accepted_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("parts_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("authorization_token", sa.Text, nullable=False),
    sa.Column("order_token", sa.Text, nullable=False),
    sa.Column("result_token", sa.Text, nullable=False),
    sa.Column("package_token", sa.Text, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("prior_owner", sa.String(64), nullable=True),
    sa.UniqueConstraint("sho", "jti", name="uq_authorizations_sho_jti"),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column(
        "authorization_id", sa.String(64), sa.ForeignKey("authorizations.id"), nullable=False, index=True
    ),
    sa.Column("open_for", sa.String(64), nullable=True, unique=True),
    sa.Column("device_id", sa.String(64), nullable=False),
    sa.Column("order_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("nonce", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("pva", sa.String(128), nullable=False),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("request_id", sa.String(64), nullable=True),
    sa.Column("pfc_chain", sa.JSON, nullable=False),
    sa.Column("fresh_result", sa.Text, nullable=True),
    sa.Column("opened_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
)

grants = sa.Table(
    "grants",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("authorization_id", sa.String(64), sa.ForeignKey("authorizations.id"), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("delivery_id", sa.String(64), sa.ForeignKey("deliveries.id"), nullable=False, unique=True),
    sa.Column("sho", sa.String(128), nullable=False),
    sa.Column("dpf", sa.String(128), nullable=False),
    sa.Column("device_id", sa.String(64), nullable=False),
    sa.Column("ak_name", sa.LargeBinary(66), nullable=False),
    sa.Column("order_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("result_id", sa.String(64), nullable=False, unique=True),
    sa.Column("package_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("delivery", sa.Text, nullable=False),
    sa.Column("granted_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.UniqueConstraint("authorization_id", "number", name="uq_grants_authorization_number"),
)

# the newest word of each PVA about a device that an operator has watched
device_states = sa.Table(
    "device_states",
    metadata,
    sa.Column("device_id", sa.String(64), primary_key=True),
    sa.Column("sho", sa.String(128), primary_key=True),
    sa.Column("pva", sa.String(128), primary_key=True),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("since", UtcTime, nullable=False),
)

receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("delivery_id", sa.String(64), sa.ForeignKey("deliveries.id"), nullable=False),
    sa.Column(
        "authorization_id", sa.String(64), sa.ForeignKey("authorizations.id"), nullable=False, index=True
    ),
    sa.Column("sho", sa.String(128), nullable=False),
    sa.Column("order_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("statement", sa.LargeBinary, nullable=False),
    sa.Column("fresh_result", sa.Text, nullable=False),
    sa.Column("outcome", sa.String(64), nullable=False),
    sa.Column("received_at", UtcTime, nullable=False),
    sa.Column("forwarded_at", UtcTime, nullable=True),
    sa.Column("instruction", sa.Text, nullable=True),
)

refusals = sa.Table(
    "refusals",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column(
        "authorization_id", sa.String(64), sa.ForeignKey("authorizations.id"), nullable=False, index=True
    ),
    sa.Column("delivery_id", sa.String(64), nullable=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(500), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("remedy", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
