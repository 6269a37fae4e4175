"""The CA's tables: one metadata, the same on SQLite and PostgreSQL (D13).

The one rule: `certificate_status` only grows; the status of a certificate is its row with the highest version.
"""

import sqlalchemy as sa

from edge.administrator_store import AdministratorTables
from edge.database import NAMING, UtcTime
from edge.ledger import LedgerTable

metadata = sa.MetaData(naming_convention=NAMING)
ledger = LedgerTable(metadata)
administrators = AdministratorTables(metadata)

_CA_ID = sa.String(32)
_SERIAL = sa.String(40)
_DEVICE_ID = sa.String(64)
_NAME = sa.String(64)
_WORD = sa.String(32)

authorities = sa.Table(
    "authorities",
    metadata,
    sa.Column("ca_id", _CA_ID, primary_key=True),
    sa.Column("kind", _WORD, nullable=False),
    sa.Column("name", _NAME, nullable=False),
    # empty for the roots of the operators themselves, so that the unique key below holds for them too
    sa.Column("supplier", _NAME, nullable=False),
    sa.Column("hosted", sa.Boolean, nullable=False),
    sa.Column("state", _WORD, nullable=False),
    sa.Column("parent", _CA_ID, sa.ForeignKey("authorities.ca_id"), nullable=True),
    sa.Column("certificate", sa.LargeBinary, nullable=True),
    sa.Column("csr", sa.LargeBinary, nullable=True),
    sa.Column("tre_level", sa.Integer, nullable=True),
    sa.Column("crl_partitions", sa.Integer, nullable=False, server_default="1"),
    sa.Column("successor", _CA_ID, nullable=True),
    sa.Column("by_predecessor", sa.LargeBinary, nullable=True),
    sa.Column("by_successor", sa.LargeBinary, nullable=True),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.UniqueConstraint("kind", "supplier", "name"),
)

models = sa.Table(
    "models",
    metadata,
    sa.Column("supplier", _NAME, primary_key=True),
    sa.Column("model", _NAME, primary_key=True),
    sa.Column("ca_id", _CA_ID, sa.ForeignKey("authorities.ca_id"), nullable=False, index=True),
    sa.Column("hw_type", sa.Integer, nullable=False, unique=True),
)

batches = sa.Table(
    "batches",
    metadata,
    sa.Column("supplier", _NAME, primary_key=True),
    sa.Column("batch", _NAME, primary_key=True),
    sa.Column("claims_sha256", sa.String(64), nullable=False),
    sa.Column("signer_sha256", sa.String(64), nullable=False),
    sa.Column("devices", sa.Integer, nullable=False),
    sa.Column("imported_at", UtcTime, nullable=False),
)

batch_feeds = sa.Table(
    "batch_feeds",
    metadata,
    # SHA-256 of what the head says, which signs every line
    sa.Column("feed", sa.String(64), primary_key=True),
    sa.Column("supplier", _NAME, nullable=False),
    sa.Column("batch", _NAME, nullable=False),
    sa.Column("head", sa.Text, nullable=False),
    sa.Column("opened_at", UtcTime, nullable=False, index=True),
    sa.UniqueConstraint("supplier", "batch"),
)

batch_feed_chunks = sa.Table(
    "batch_feed_chunks",
    metadata,
    sa.Column("feed", sa.String(64), sa.ForeignKey("batch_feeds.feed"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
)

batch_feed_lines = sa.Table(
    "batch_feed_lines",
    metadata,
    sa.Column("feed", sa.String(64), sa.ForeignKey("batch_feeds.feed"), primary_key=True),
    sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("device_id", _DEVICE_ID, nullable=False),
    sa.Column("model", _NAME, nullable=False),
    sa.Column("serial", _NAME, nullable=False),
    sa.UniqueConstraint("feed", "device_id"),
    # the naming convention would give it the name of the one above
    sa.UniqueConstraint("feed", "model", "serial", name="uq_batch_feed_lines_serial"),
)

devices = sa.Table(
    "devices",
    metadata,
    sa.Column("device_id", _DEVICE_ID, primary_key=True),
    sa.Column("supplier", _NAME, nullable=False),
    sa.Column("model", _NAME, nullable=False),
    sa.Column("batch", _NAME, nullable=False),
    sa.Column("serial", _NAME, nullable=False),
    sa.Column("state", _WORD, nullable=False),
    sa.Column("ak_name", sa.LargeBinary, nullable=True, unique=True),
    sa.Column("storage_name", sa.LargeBinary, nullable=True, unique=True),
    sa.UniqueConstraint("supplier", "model", "serial"),
    sa.ForeignKeyConstraint(["supplier", "model"], ["models.supplier", "models.model"]),
    sa.ForeignKeyConstraint(["supplier", "batch"], ["batches.supplier", "batches.batch"]),
)

sessions = sa.Table(
    "enrollment_sessions",
    metadata,
    sa.Column("session_id", sa.LargeBinary(16), primary_key=True),
    sa.Column("device_id", _DEVICE_ID, sa.ForeignKey("devices.device_id"), nullable=False, index=True),
    sa.Column("request", sa.LargeBinary, nullable=False),
    sa.Column("nonce", sa.LargeBinary(32), nullable=False),
    sa.Column("secret_sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("state", _WORD, nullable=False),
    sa.Column("opened_at", UtcTime, nullable=False, index=True),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("activation_sha256", sa.LargeBinary(32), nullable=True),
    sa.Column("ca_id", _CA_ID, nullable=True),
    sa.Column("serial", _SERIAL, nullable=True),
    # the supplier whose station opened it; NULL for one that a device opened itself
    sa.Column("station", _NAME, nullable=True),
)
_OF_A_STATION = sa.and_(sessions.c.station.is_not(None), sessions.c.state != "used")
sa.Index(
    "uq_enrollment_sessions_station",
    sessions.c.device_id,
    unique=True,
    sqlite_where=_OF_A_STATION,
    postgresql_where=_OF_A_STATION,
)
"""A device has one session of a station that led to nothing."""

noted_refusals = sa.Table(
    "noted_refusals",
    metadata,
    sa.Column("device_id", _DEVICE_ID, primary_key=True),
    sa.Column("reason", sa.String(64), primary_key=True),
    sa.Column("hour", UtcTime, primary_key=True),
)

certificates = sa.Table(
    "certificates",
    metadata,
    sa.Column("ca_id", _CA_ID, sa.ForeignKey("authorities.ca_id"), primary_key=True),
    sa.Column("serial", _SERIAL, primary_key=True),
    sa.Column("kind", _WORD, nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("supplier", _NAME, nullable=True),
    sa.Column("device_id", _DEVICE_ID, nullable=True, index=True),
    sa.Column("ak_name", sa.LargeBinary, nullable=True, index=True),
    sa.Column("spki_sha256", sa.String(64), nullable=False, index=True),
    # NULL between the intent and the signature; without a status row nobody is told of it
    sa.Column("der", sa.LargeBinary, nullable=True),
    sa.Column("not_after", UtcTime, nullable=True),
    sa.Column("issued_at", UtcTime, nullable=False),
    # which of its CA's CRLs its CRLDP names
    sa.Column("crl_partition", sa.Integer, nullable=False, server_default="0"),
)

certificate_status = sa.Table(
    "certificate_status",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("ca_id", _CA_ID, nullable=False),
    sa.Column("serial", _SERIAL, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("status", _WORD, nullable=False),
    sa.Column("reason", _WORD, nullable=True),
    sa.Column("changed_at", UtcTime, nullable=False),
    sa.UniqueConstraint("ca_id", "serial", "version"),
    sa.Index("ix_certificate_status_status", "ca_id", "status"),
    # the first status of each certificate is none that a CRL takes account of
    sa.Index(
        "ix_certificate_status_changes",
        "ca_id",
        "seq",
        sqlite_where=sa.text("version > 1"),
        postgresql_where=sa.text("version > 1"),
    ),
    sa.ForeignKeyConstraint(["ca_id", "serial"], ["certificates.ca_id", "certificates.serial"]),
)

holds = sa.Table(
    "holds",
    metadata,
    sa.Column("ca_id", _CA_ID, primary_key=True),
    sa.Column("serial", _SERIAL, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("results", sa.JSON, nullable=False),
    sa.Column("asked_by", _NAME, nullable=False),
    sa.Column("held_at", UtcTime, nullable=False),
    sa.Column("recovery", _NAME, nullable=True),
    sa.Column("recovered_by", _NAME, nullable=True),
    sa.Column("recovered_at", UtcTime, nullable=True),
    sa.Column("released_by", sa.String(200), nullable=True),
    sa.Column("released_at", UtcTime, nullable=True),
    sa.ForeignKeyConstraint(
        ["ca_id", "serial", "version"],
        ["certificate_status.ca_id", "certificate_status.serial", "certificate_status.version"],
    ),
)

# who approved that a person's hold be lifted, by the version of the status that it is
hold_approvals = sa.Table(
    "hold_approvals",
    metadata,
    sa.Column("ca_id", _CA_ID, primary_key=True),
    sa.Column("serial", _SERIAL, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("approver", sa.String(200), primary_key=True),
    sa.Column("key_sha256", sa.String(64), nullable=False),
    sa.Column("approved_at", UtcTime, nullable=False),
    # who had the approver's certificate issued, nearest first; NULL where nothing says it
    sa.Column("issued_at_request_of", sa.JSON(none_as_null=True), nullable=True),
    sa.UniqueConstraint("ca_id", "serial", "version", "key_sha256"),
    sa.ForeignKeyConstraint(
        ["ca_id", "serial", "version"],
        ["certificate_status.ca_id", "certificate_status.serial", "certificate_status.version"],
    ),
)

# each attestation result counts once for a certificate
used_results = sa.Table(
    "used_results",
    metadata,
    sa.Column("ca_id", _CA_ID, primary_key=True),
    sa.Column("serial", _SERIAL, primary_key=True),
    sa.Column("result", _NAME, primary_key=True),
    sa.ForeignKeyConstraint(["ca_id", "serial"], ["certificates.ca_id", "certificates.serial"]),
)

suspensions = sa.Table(
    "suspensions",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("supplier", _NAME, nullable=False, index=True),
    # one of both at most: all of the supplier, of a model, or of a batch
    sa.Column("model", _NAME, nullable=True),
    sa.Column("batch", _NAME, nullable=True),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("suspended_by", sa.String(200), nullable=False),
    sa.Column("suspended_at", UtcTime, nullable=False),
    # places in the sequence of certificate_status, by which a CRL knows that it is behind
    sa.Column("seq", sa.BigInteger, nullable=False, unique=True),
    sa.Column("lifted_at", UtcTime, nullable=True),
    sa.Column("lifted_seq", sa.BigInteger, nullable=True),
)

lifting_approvals = sa.Table(
    "lifting_approvals",
    metadata,
    sa.Column("suspension", sa.String(64), sa.ForeignKey("suspensions.id"), primary_key=True),
    sa.Column("approver", sa.String(200), primary_key=True),
    sa.Column("key_sha256", sa.String(64), nullable=False),
    sa.Column("approved_at", UtcTime, nullable=False),
    # who had the approver's certificate issued, nearest first; NULL where nothing says it
    sa.Column("issued_at_request_of", sa.JSON(none_as_null=True), nullable=True),
    sa.UniqueConstraint("suspension", "key_sha256"),
)

overseer_lists = sa.Table(
    "overseer_lists",
    metadata,
    sa.Column("issuer", sa.String(128), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
)

accreditations = sa.Table(
    "accreditations",
    metadata,
    sa.Column("supplier", _NAME, primary_key=True),
    sa.Column("issuer", sa.String(128), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("scheme", sa.String(128), nullable=False),
    sa.Column("certificate", sa.String(128), nullable=False),
    sa.Column("ends_at", UtcTime, nullable=False),
)

revocation_lists = sa.Table(
    "published_lists",
    metadata,
    sa.Column("ca_id", _CA_ID, sa.ForeignKey("authorities.ca_id"), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("der", sa.LargeBinary, nullable=False),
    sa.Column("this_update", UtcTime, nullable=False),
    sa.Column("next_update", UtcTime, nullable=False),
    # the last row of certificate_status that the list takes account of
    sa.Column("status_seq", sa.BigInteger, nullable=False),
)

manifests = sa.Table(
    "manifests",
    metadata,
    sa.Column("supplier", _NAME, primary_key=True),
    sa.Column("manifest_id", sa.String(128), primary_key=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("svn", sa.BigInteger, nullable=False),
    sa.Column("signed", sa.LargeBinary, nullable=False),
    sa.Column("not_before", UtcTime, nullable=True),
    sa.Column("not_after", UtcTime, nullable=True),
    sa.Column("imported_at", UtcTime, nullable=False),
    sa.Column("predecessor_digest", sa.LargeBinary(32), nullable=True),
    sa.Column("predecessor_until", UtcTime, nullable=True),
)

renewals = sa.Table(
    "renewals",
    metadata,
    # the credential whose place was taken, and the one that took it
    sa.Column("ca_id", _CA_ID, primary_key=True),
    sa.Column("serial", _SERIAL, primary_key=True),
    sa.Column("new_ca_id", _CA_ID, nullable=False),
    sa.Column("new_serial", _SERIAL, nullable=False),
    sa.Column("manifest_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("ends_at", UtcTime, nullable=False, index=True),
    sa.Column("renewed_at", UtcTime, nullable=False),
    sa.ForeignKeyConstraint(["ca_id", "serial"], ["certificates.ca_id", "certificates.serial"]),
)

reissues = sa.Table(
    "reissues",
    metadata,
    # one certificate a device under a manifest, whoever asks at once
    sa.Column("manifest_digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("device_id", _DEVICE_ID, sa.ForeignKey("devices.device_id"), primary_key=True),
    sa.Column("ca_id", _CA_ID, nullable=False),
    sa.Column("serial", _SERIAL, nullable=False),
    sa.ForeignKeyConstraint(["ca_id", "serial"], ["certificates.ca_id", "certificates.serial"]),
)

manifest_models = sa.Table(
    "manifest_models",
    metadata,
    sa.Column("supplier", _NAME, primary_key=True),
    sa.Column("manifest_id", sa.String(128), primary_key=True),
    sa.Column("model", _NAME, primary_key=True),
    # whether new PfCs of the model name this manifest
    sa.Column("current", sa.Boolean, nullable=False),
    sa.ForeignKeyConstraint(["supplier", "manifest_id"], ["manifests.supplier", "manifests.manifest_id"]),
    sa.ForeignKeyConstraint(["supplier", "model"], ["models.supplier", "models.model"]),
)

est_enrollments = sa.Table(
    "est_enrollments",
    metadata,
    sa.Column("kind", _WORD, primary_key=True),
    sa.Column("spki_sha256", sa.String(64), primary_key=True),
    sa.Column("state", _WORD, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("name", _NAME, nullable=False),
    sa.Column("role", _WORD, nullable=False),
    # names of a TLS server, one a line
    sa.Column("dns", sa.Text, nullable=False),
    sa.Column("addresses", sa.Text, nullable=False),
    # who registered it, and who stands behind him; NULL where that is not known
    sa.Column("requesters", sa.JSON(none_as_null=True), nullable=True),
    sa.Column("ca_id", _CA_ID, nullable=True),
    sa.Column("serial", _SERIAL, nullable=True),
)

# what a key is to be certified for, while another administrator has to approve it
key_proposals = sa.Table(
    "key_proposals",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("kind", _WORD, nullable=False),
    sa.Column("spki_sha256", sa.String(64), nullable=False),
    sa.Column("since", UtcTime, nullable=False),
    sa.Column("name", _NAME, nullable=False),
    sa.Column("role", _WORD, nullable=False),
    sa.Column("approvals", sa.JSON, nullable=False),
)

counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", _WORD, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", _WORD, primary_key=True),
    sa.Column("holder", _WORD, nullable=False),
    sa.Column("until", UtcTime, nullable=False),
)
