"""Tables of the PVA's store (D13): one metadata, one Alembic history in `pva/migrations`.

Rule: what must happen at most once stands under a unique key here, so that no code above can forget it: a
challenge's digest, an operator's nonce, the id of a signed request, the result of a request, the device of an AK, the
counter value at which an order was approved, the announcement of an update.
"""

import sqlalchemy as sa

from edge.administrator_store import AdministratorTables
from edge.database import NAMING, UtcTime
from edge.idempotency import answer_table
from edge.ledger import LedgerTable

metadata = sa.MetaData(naming_convention=NAMING)
ledger = LedgerTable(metadata)
administrators = AdministratorTables(metadata)
kept_answers = answer_table(metadata)


suppliers = sa.Table(
    "suppliers",
    metadata,
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("root", sa.LargeBinary, nullable=False),
    sa.Column("root_sha256", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("models", sa.JSON, nullable=False),
    sa.Column("ocsp_url", sa.String(500), nullable=False),
    sa.Column("recognised_by", sa.String(200), nullable=False),
    sa.Column("recognised_at", UtcTime, nullable=False),
    # the rest of what was said of it, as a trust list says it (messages.trust_list)
    sa.Column("terms", sa.JSON, nullable=True),
    # issuer of the trust list that names it, empty where administrators recognised it by itself
    sa.Column("source", sa.String(128), nullable=False, server_default=""),
    sa.Column("listed_until", UtcTime, nullable=True),
    # when the newest list of its source left it out; such a supplier is recognised no more
    sa.Column("withdrawn_at", UtcTime, nullable=True),
)

trust_lists = sa.Table(
    "trust_lists",
    metadata,
    sa.Column("issuer", sa.String(128), primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("imported_by", sa.String(200), nullable=False),
    sa.Column("imported_at", UtcTime, nullable=False),
)

supplier_suspensions = sa.Table(
    "supplier_suspensions",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("supplier", sa.String(128), sa.ForeignKey("suppliers.name"), nullable=False, index=True),
    sa.Column("model", sa.String(128), nullable=True),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("suspended_by", sa.String(200), nullable=False),
    sa.Column("suspended_at", UtcTime, nullable=False),
    sa.Column("lifted_at", UtcTime, nullable=True),
)

supplier_crls = sa.Table(
    "supplier_crls",
    metadata,
    # SHA-256 of the issuing CA's certificate
    sa.Column("issuer_sha256", sa.LargeBinary(32), primary_key=True),
    sa.Column("url", sa.String(500), nullable=False),
    # a CRLNumber has up to 20 octets: decimal digits
    sa.Column("number", sa.String(64), nullable=True),
    sa.Column("der", sa.LargeBinary, nullable=True),
    sa.Column("digest", sa.LargeBinary(32), nullable=True),
    sa.Column("this_update", UtcTime, nullable=True),
    sa.Column("next_update", UtcTime, nullable=True),
    sa.Column("tried_at", UtcTime, nullable=False),
    sa.Column("fault", sa.String(300), nullable=True),
)

proposals = sa.Table(
    "proposals",
    metadata,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("subject", sa.String(300), nullable=False),
    sa.Column("content", sa.Text, nullable=False),
    sa.Column("proposed_at", UtcTime, nullable=False, index=True),
    sa.Column("done_at", UtcTime, nullable=True),
)

proposal_approvals = sa.Table(
    "proposal_approvals",
    metadata,
    sa.Column("digest", sa.LargeBinary(32), sa.ForeignKey("proposals.digest"), primary_key=True),
    sa.Column("approver", sa.String(200), primary_key=True),
    sa.Column("key_sha256", sa.String(64), nullable=False),
    sa.Column("approved_at", UtcTime, nullable=False),
    # who had the approver's certificate issued, nearest first; NULL where nothing says it
    sa.Column("issued_at_request_of", sa.JSON(none_as_null=True), nullable=True),
    sa.UniqueConstraint("digest", "key_sha256", name="uq_proposal_approvals_digest_key"),
)

manifests = sa.Table(
    "manifests",
    metadata,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("supplier", sa.String(128), sa.ForeignKey("suppliers.name"), nullable=False),
    sa.Column("manifest_id", sa.String(255), nullable=False),
    sa.Column("svn", sa.BigInteger, nullable=False),
    sa.Column("models", sa.JSON, nullable=False),
    sa.Column("signed", sa.LargeBinary, nullable=False),
    sa.Column("imported_by", sa.String(200), nullable=False),
    sa.Column("imported_at", UtcTime, nullable=False),
    sa.Column("approved_at", UtcTime, nullable=True),
    sa.Column("retired_at", UtcTime, nullable=True),
    sa.Column("retired_by", sa.String(200), nullable=True),
    sa.Column("retired_reason", sa.String(500), nullable=True),
    # digest of the manifest that it follows; NULL in the first of a line, and in one that was rejected
    sa.Column("succeeds", sa.LargeBinary(32), nullable=True),
    sa.UniqueConstraint("supplier", "manifest_id", "svn", name="uq_manifests_supplier_id_svn"),
    sa.Index("uq_manifests_succeeds", "succeeds", unique=True),
)

manifest_approvals = sa.Table(
    "manifest_approvals",
    metadata,
    sa.Column("digest", sa.LargeBinary(32), sa.ForeignKey("manifests.digest"), primary_key=True),
    sa.Column("approver", sa.String(200), primary_key=True),
    sa.Column("key_sha256", sa.String(64), nullable=False),
    sa.Column("approved_at", UtcTime, nullable=False),
    # who had the approver's certificate issued, nearest first; NULL where nothing says it
    sa.Column("issued_at_request_of", sa.JSON(none_as_null=True), nullable=True),
    sa.UniqueConstraint("digest", "key_sha256", name="uq_manifest_approvals_digest_key"),
)

# one row, which triggers change with whatever a validation looks up (v0014): the same stamp, the same content
reference_stamps = sa.Table(
    "reference_stamps",
    metadata,
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("stamp", sa.String(64), nullable=False),
)

validation_requests = sa.Table(
    "validation_requests",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(128), nullable=False),
    sa.Column("requester", sa.String(200), nullable=False),
    sa.Column("device_id", sa.String(64), nullable=False, index=True),
    sa.Column("purpose", sa.String(32), nullable=False),
    sa.Column("rp_nonce", sa.LargeBinary(64), nullable=False),
    sa.Column("order_digest", sa.LargeBinary(32), nullable=True),
    sa.Column("audience", sa.JSON, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("role", sa.String(16), nullable=False, server_default="sho"),
    # of a signed request only
    sa.Column("jti", sa.String(64), nullable=True),
    sa.Column("token", sa.Text, nullable=True),
    sa.Column("content", sa.LargeBinary(32), nullable=True),
    sa.Column("encrypt_to", sa.LargeBinary, nullable=True),
    sa.Column("ends_at", UtcTime, nullable=True),
    sa.UniqueConstraint("tenant", "rp_nonce", name="uq_validation_requests_tenant_nonce"),
    sa.Index("uq_validation_requests_party_jti", "role", "tenant", "jti", unique=True),
    sa.Index("ix_validation_requests_party_device", "role", "tenant", "device_id", "created_at"),
)

request_relays = sa.Table(
    "request_relays",
    metadata,
    sa.Column("request_id", sa.String(64), sa.ForeignKey("validation_requests.id"), primary_key=True),
    sa.Column("relay", sa.String(128), primary_key=True),
)

redeemed_challenges = sa.Table(
    "redeemed_challenges",
    metadata,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("redeemed_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False, index=True),
)

results = sa.Table(
    "results",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column(
        "request_id", sa.String(64), sa.ForeignKey("validation_requests.id"), nullable=False, unique=True
    ),
    sa.Column("device_id", sa.String(64), nullable=False, index=True),
    sa.Column("status", sa.String(32), nullable=False),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("evidence_digest", sa.LargeBinary(32), nullable=False),
    sa.Column("issued_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    # NULL in results older than these columns; what follows `revision` is out of the verified quote, for approvals
    sa.Column("passes", sa.Boolean, nullable=True),
    sa.Column("revision", sa.BigInteger, nullable=True),
    sa.Column("pcr_values", sa.LargeBinary, nullable=True),
    sa.Column("storage_public", sa.LargeBinary, nullable=True),
    sa.Column("counter_name", sa.LargeBinary(66), nullable=True),
    sa.Column("counter", sa.LargeBinary(8), nullable=True),
    # what it was judged by; NULL in results of before updates, and where no manifest was held
    sa.Column("manifest_digest", sa.LargeBinary(32), nullable=True),
    # what counts for holds: which credential, and what the result says of the state (pva.watching.holding)
    sa.Column("purpose", sa.String(32), nullable=True),
    sa.Column("pfc_issuer", sa.String(32), nullable=True),
    sa.Column("pfc_serial", sa.String(40), nullable=True),
    sa.Column("against", sa.Boolean, nullable=True),
    sa.Column("recovered", sa.Boolean, nullable=True),
    sa.Index("ix_results_pfc", "pfc_issuer", "pfc_serial", "revision"),
    sa.Index("ix_results_issued_at", "issued_at"),
)

# one row a credential: the last act that was asked of the CA
status_asks = sa.Table(
    "status_asks",
    metadata,
    sa.Column("issuer", sa.String(32), primary_key=True),
    sa.Column("serial", sa.String(40), primary_key=True),
    sa.Column("act", sa.String(16), nullable=False),
    sa.Column("results", sa.JSON, nullable=False),
    sa.Column("asked_at", UtcTime, nullable=False),
    sa.Column("next_at", UtcTime, nullable=False),
    sa.Column("tries", sa.BigInteger, nullable=False),
    sa.Column("told", sa.Boolean, nullable=False),
    sa.Index("ix_status_asks_due", "told", "next_at"),
)

# of a result, for as long as the setting `evidence_days` says; the result itself stays
evidence = sa.Table(
    "evidence",
    metadata,
    sa.Column("result_id", sa.String(64), sa.ForeignKey("results.id"), primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("kept_until", UtcTime, nullable=False, index=True),
)

# what policies judged when a result was made: to try other policies on it
result_facts = sa.Table(
    "result_facts",
    metadata,
    sa.Column("result_id", sa.String(64), sa.ForeignKey("results.id"), primary_key=True),
    sa.Column("supplier", sa.String(128), nullable=False, index=True),
    sa.Column("facts", sa.JSON, nullable=False),
)

# what a verdict can be computed again from, beside the evidence; `leaf_hash` names its audit leaf
result_grounds = sa.Table(
    "result_grounds",
    metadata,
    sa.Column("result_id", sa.String(64), sa.ForeignKey("results.id"), primary_key=True),
    sa.Column("parts", sa.JSON, nullable=False),
    sa.Column("runtime_policy", sa.LargeBinary(32), nullable=True),
    sa.Column("leaf_hash", sa.LargeBinary(32), nullable=False),
)

runtime_policies = sa.Table(
    "runtime_policies",
    metadata,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("signed", sa.LargeBinary, nullable=False),
)

policies = sa.Table(
    "policies",
    metadata,
    sa.Column("role", sa.String(16), primary_key=True),
    sa.Column("owner", sa.String(128), primary_key=True),
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("added_at", UtcTime, nullable=False),
    sa.Column("changed_at", UtcTime, nullable=False),
    sa.Column("changed_by", sa.String(200), nullable=False),
)

watches = sa.Table(
    "watches",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("operator", sa.String(128), nullable=False),
    sa.Column("requester", sa.String(200), nullable=False),
    sa.Column("device_id", sa.String(64), nullable=False),
    sa.Column("interval_s", sa.BigInteger, nullable=False),
    sa.Column("grace_s", sa.BigInteger, nullable=False),
    sa.Column("audience", sa.JSON, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("due_at", UtcTime, nullable=False),
    sa.Column("look_at", UtcTime, nullable=False, index=True),
    sa.Column("state", sa.String(32), nullable=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    sa.Column("request_id", sa.String(64), nullable=True, index=True),
    sa.Column("asked_until", UtcTime, nullable=True),
    sa.UniqueConstraint("operator", "device_id", name="uq_watches_operator_device"),
)

event_deliveries = sa.Table(
    "event_deliveries",
    metadata,
    sa.Column("event_id", sa.String(64), primary_key=True),
    sa.Column("audience", sa.String(128), primary_key=True),
    sa.Column("token", sa.Text, nullable=False),
    sa.Column("next_at", UtcTime, nullable=False),
    sa.Column("tries", sa.BigInteger, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Index("ix_event_deliveries_audience", "audience", "next_at"),
)

# who does periodic work, and until when
leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("holder", sa.String(64), nullable=False),
    sa.Column("until", UtcTime, nullable=False),
)

result_deliveries = sa.Table(
    "result_deliveries",
    metadata,
    sa.Column("result_id", sa.String(64), sa.ForeignKey("results.id"), primary_key=True),
    sa.Column("audience", sa.String(128), primary_key=True),
    sa.Column("next_at", UtcTime, nullable=False),
    sa.Column("tries", sa.BigInteger, nullable=False),
    sa.Index("ix_result_deliveries_audience", "audience", "next_at"),
)

order_approvals = sa.Table(
    "order_approvals",
    metadata,
    sa.Column("sho", sa.String(128), primary_key=True),
    sa.Column("order_digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("device_id", sa.String(64), nullable=False),
    sa.Column("counter", sa.LargeBinary(8), nullable=False),
    sa.Column("approved_at", UtcTime, nullable=False),
)

given_approvals = sa.Table(
    "given_approvals",
    metadata,
    sa.Column("result_id", sa.String(64), sa.ForeignKey("results.id"), primary_key=True),
    sa.Column("approvals", sa.JSON, nullable=False),
    sa.Column("day_key_chain", sa.JSON, nullable=False),
    sa.Column("given_at", UtcTime, nullable=False),
)

rollouts = sa.Table(
    "rollouts",
    metadata,
    sa.Column("manifest_digest", sa.LargeBinary(32), sa.ForeignKey("manifests.digest"), primary_key=True),
    sa.Column("supplier", sa.String(128), nullable=False),
    sa.Column("share_percent", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("announced_by", sa.String(200), nullable=False),
    sa.Column("announced_at", UtcTime, nullable=False),
)

renewals = sa.Table(
    "renewals",
    metadata,
    sa.Column("device_id", sa.String(64), primary_key=True),
    sa.Column("manifest_digest", sa.LargeBinary(32), primary_key=True),
    sa.Column("supplier", sa.String(128), nullable=False),
    # the credential that is to be renewed: its CA as the CA names itself, and its serial number
    sa.Column("issuer", sa.String(32), nullable=False),
    sa.Column("serial", sa.String(40), nullable=False),
    sa.Column("result_id", sa.String(64), sa.ForeignKey("results.id"), nullable=False),
    sa.Column("next_at", UtcTime, nullable=False, index=True),
    sa.Column("tries", sa.BigInteger, nullable=False),
)

next_approvals = sa.Table(
    "next_approvals",
    metadata,
    sa.Column("sho", sa.String(128), primary_key=True),
    sa.Column("device_id", sa.String(64), primary_key=True),
    sa.Column("manifest_digest", sa.LargeBinary(32), primary_key=True),
    # the registers that were approved, and from which to which value of the counter
    sa.Column("state_key", sa.LargeBinary(32), primary_key=True),
    sa.Column("first", sa.LargeBinary(8), primary_key=True),
    sa.Column("last", sa.LargeBinary(8), primary_key=True),
    sa.Column("result_id", sa.String(64), sa.ForeignKey("results.id"), nullable=False),
    sa.Column("approvals", sa.JSON, nullable=False),
    sa.Column("day_key_chain", sa.JSON, nullable=False),
    sa.Column("given_at", UtcTime, nullable=False),
    sa.Index("ix_next_approvals_device_id", "device_id"),
)

refusals = sa.Table(
    "refusals",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column(
        "request_id", sa.String(64), sa.ForeignKey("validation_requests.id"), nullable=False, index=True
    ),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(500), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("remedy", sa.Text, nullable=False),
    sa.Column("authenticated", sa.Boolean, nullable=False),
    sa.Index("ix_refusals_at", "at"),
    sqlite_autoincrement=True,
)

devices = sa.Table(
    "devices",
    metadata,
    sa.Column("device_id", sa.String(64), primary_key=True),
    sa.Column("supplier", sa.String(128), nullable=False),
    sa.Column("hw_type", sa.String(255), nullable=False),
    sa.Column("ak_name", sa.LargeBinary(66), nullable=False, unique=True),
    sa.Column("qualified_signer", sa.LargeBinary(66), nullable=False),
    sa.Column("storage_key_name", sa.LargeBinary(66), nullable=False),
    sa.Column("generation_counter_name", sa.LargeBinary(66), nullable=False),
    # 64-bit unsigned values of a TPM exceed BigInteger: big-endian bytes
    sa.Column("generation_counter", sa.LargeBinary(8), nullable=False),
    sa.Column("clock", sa.LargeBinary(8), nullable=False),
    sa.Column("reset_count", sa.BigInteger, nullable=False),
    sa.Column("restart_count", sa.BigInteger, nullable=False),
    sa.Column("clock_safe", sa.Boolean, nullable=False),
    sa.Column("unsafe_since", UtcTime, nullable=True),
    sa.Column("firmware_version", sa.LargeBinary(8), nullable=False),
    sa.Column("credential_sha256", sa.LargeBinary(32), nullable=False),
    sa.Column("credential_not_before", UtcTime, nullable=False),
    sa.Column("svn_highest", sa.BigInteger, nullable=True),
    sa.Column("seen_at", UtcTime, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False),
    # how far the IMA list of a boot is known: all of these, or none
    sa.Column("ima_count", sa.BigInteger, nullable=True),
    sa.Column("ima_value", sa.LargeBinary(32), nullable=True),
    sa.Column("ima_reset_count", sa.BigInteger, nullable=True),
    sa.Column("ima_restart_count", sa.BigInteger, nullable=True),
    sa.Column("ima_policy", sa.LargeBinary(32), nullable=True),
)
