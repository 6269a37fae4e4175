"""Tables of the SHO's store (D13): one metadata, one Alembic history in `operators/sho/migrations`.

Rule: what must happen at most once stands under a unique key here: an idempotency key, the USIM of an order for an access,
an order's digest, a nonce, a receipt. K, OPc and the name of a subscriber are there sealed, never in clear.
"""

import sqlalchemy as sa

from edge.administrator_store import AdministratorTables
from edge.database import NAMING, UtcTime
from edge.ledger import LedgerTable

metadata = sa.MetaData(naming_convention=NAMING)
ledger = LedgerTable(metadata)
administrators = AdministratorTables(metadata)
_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


orders = sa.Table(
    "orders",
    metadata,
    sa.Column("number", _NUMBER, primary_key=True),
    sa.Column("id", sa.String(64), nullable=False, unique=True),
    sa.Column("idempotency_key", sa.String(128), nullable=False, unique=True),
    sa.Column("request_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("sealed_subscriber", sa.LargeBinary, nullable=False),
    sa.Column("subscriber", sa.String(64), nullable=False),
    sa.Column("device_code", sa.String(32), nullable=False, index=True),
    sa.Column("product", sa.String(64), nullable=False),
    sa.Column("order_code", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.String(1000), nullable=True),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("announced", sa.Boolean, nullable=False),
    sa.Column("due_at", UtcTime, nullable=True, index=True),
    sa.Column("tries", sa.BigInteger, nullable=False),
    sa.Column("device_id", sa.String(64), nullable=True),
    sa.Column("ak_name", sa.LargeBinary(66), nullable=True),
    sa.Column("ak_public", sa.LargeBinary, nullable=True),
    sa.Column("es_root_sha256", sa.String(64), nullable=True),
    sa.Column("token", sa.Text, nullable=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=True, unique=True),
    sqlite_autoincrement=True,
)

informed = sa.Table(
    "informed",
    metadata,
    sa.Column("number", _NUMBER, primary_key=True),
    sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.id"), nullable=False, index=True),
    sa.Column("text", sa.String(500), nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
)

subscriptions = sa.Table(
    "subscriptions",
    metadata,
    sa.Column("number", _NUMBER, primary_key=True),
    sa.Column("imsi", sa.String(15), nullable=False, unique=True),
    sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.id"), nullable=False),
    sa.Column("access", sa.String(16), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Column("next_sealed", sa.LargeBinary, nullable=True),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("ind", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("order_id", "access", name="uq_subscriptions_order_id_access"),
    sqlite_autoincrement=True,
)

# the newest word of each PVA about a device that this operator has watched
device_states = sa.Table(
    "device_states",
    metadata,
    sa.Column("device_id", sa.String(64), primary_key=True),
    sa.Column("pva", sa.String(255), primary_key=True),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("suspended", sa.Boolean, nullable=False),
    sa.Column("event_id", sa.String(64), nullable=False),
    sa.Column("since", UtcTime, nullable=False),
)

# what updates that this operator approved made of a device: the state that it showed last, and the one to come
platform_states = sa.Table(
    "platform_states",
    metadata,
    sa.Column("device_id", sa.String(64), primary_key=True),
    sa.Column("shown_selections", sa.LargeBinary, nullable=True),
    sa.Column("shown_digest", sa.LargeBinary(64), nullable=True),
    sa.Column("shown_at", UtcTime, nullable=True),
    sa.Column("coming_selections", sa.LargeBinary, nullable=True),
    sa.Column("coming_digest", sa.LargeBinary(64), nullable=True),
)

validation_requests = sa.Table(
    "validation_requests",
    metadata,
    sa.Column("jti", sa.String(64), primary_key=True),
    sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.id"), nullable=False),
    sa.Column("attempt", sa.BigInteger, nullable=False),
    sa.Column("pva", sa.String(255), nullable=False),
    sa.Column("rp_nonce", sa.LargeBinary(64), nullable=False, unique=True),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("request_id", sa.String(64), nullable=True),
    sa.Column("result_id", sa.String(64), nullable=True),
    sa.Column("result", sa.Text, nullable=True),
    sa.Column("accepted", sa.Boolean, nullable=False),
    sa.UniqueConstraint("order_id", "attempt", name="uq_validation_requests_order_attempt"),
)

packages = sa.Table(
    "packages",
    metadata,
    sa.Column("package_id", sa.String(64), primary_key=True),
    sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.id"), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("mid_id", sa.String(64), nullable=False, index=True),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("receipt_nonce", sa.LargeBinary(32), nullable=False),
    sa.Column("storage_key_name", sa.LargeBinary(66), nullable=False),
    sa.Column("result_id", sa.String(64), nullable=False),
    sa.Column("authorization", sa.Text, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.UniqueConstraint("order_id", "version", name="uq_packages_order_version"),
)

receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.id"), nullable=False, index=True),
    sa.Column("outcome", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("instruction", sa.Text, nullable=True),
    sa.Column("at", UtcTime, nullable=False),
)

# what is wanted of the MID of an order, and what its TRE has said last
mid_lives = sa.Table(
    "mid_lives",
    metadata,
    sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.id"), primary_key=True),
    sa.Column("wish", sa.String(16), nullable=True),
    sa.Column("reason", sa.String(64), nullable=False),
    sa.Column("barred", sa.Boolean, nullable=False),
    sa.Column("state", sa.String(32), nullable=True),
    sa.Column("state_reason", sa.String(64), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("query_nonce", sa.LargeBinary(32), nullable=True),
    sa.Column("proof_nonce", sa.LargeBinary(32), nullable=True),
    sa.Column("instruction", sa.Text, nullable=True),
    sa.Column("proof", sa.LargeBinary, nullable=True),
    sa.Column("changed_at", UtcTime, nullable=False),
)

# successors that asked for the release of the MID of an order, and what they were told
releases = sa.Table(
    "releases",
    metadata,
    sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.id"), primary_key=True),
    sa.Column("successor", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("token", sa.Text, nullable=True),
    sa.Column("decided_by", sa.String(32), nullable=True),
    sa.Column("changed_at", UtcTime, nullable=False),
)

# orders that take over from another operator: the MID that theirs is to serve in place of, and how far that is
operator_changes = sa.Table(
    "operator_changes",
    metadata,
    sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.id"), primary_key=True),
    sa.Column("prior_operator", sa.String(64), nullable=False),
    sa.Column("prior_mid_id", sa.String(64), nullable=False),
    sa.Column("release", sa.Text, nullable=True),
    sa.Column("switches", sa.BigInteger, nullable=False),
    sa.Column("attached", sa.Boolean, nullable=False),
    sa.Column("proof", sa.LargeBinary, nullable=True),
)

# orders that bring the next version of a MID, and the order that has the subscription until its receipt
mid_updates = sa.Table(
    "mid_updates",
    metadata,
    sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.id"), primary_key=True),
    sa.Column("prior_order_id", sa.String(64), sa.ForeignKey("orders.id"), nullable=False, index=True),
    sa.Column("mid_id", sa.String(64), nullable=False, index=True),
)

# orders that bring a subscription into another device, and the order of the device that it comes from
mid_migrations = sa.Table(
    "mid_migrations",
    metadata,
    sa.Column("order_id", sa.String(64), sa.ForeignKey("orders.id"), primary_key=True),
    sa.Column("source_order_id", sa.String(64), sa.ForeignKey("orders.id"), nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False),
)
