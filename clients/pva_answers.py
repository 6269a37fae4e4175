"""What the PVA answers, as values: decoded whole, or refused whole as a `PvaAnswerError`.

Rule: every text and list is bounded; nothing that an answer says is verified here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from standards.rats.fields import Fields

TOKEN_MAX = 1 << 18
LIST_MAX = 100_000
SEALED_MAX = 1 << 20
APPROVALS_MAX = 16
APPROVAL_MAX = 2_048
CHAIN_MAX = 8
CERTIFICATE_MAX = 16_384
PUBLIC_MAX = 1_024


class PvaAnswerError(Exception):
    """The PVA answered with something that is not what this route returns."""

    def __init__(self, what: str, expected: str, got: str) -> None:
        """Keep what was wrong, what was expected and what came."""
        super().__init__(f"answer of the PVA, {what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceReceipt:
    """What a device learns: the id of its result and its tier, not the findings."""

    result_id: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One refused try of a device."""

    at: str
    code: str
    subject: str
    reason: str
    remedy: str
    authenticated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationProgress:
    """A validation as its operator sees it; `result` is the signed EAR (JWT) once `state` is "completed"."""

    request_id: str
    device_id: str
    state: str
    result: str | None
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmittedRequest:
    """A signed validation request that the PVA took; the same token gets the same id again."""

    request_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestProgress:
    """Where a signed request stands: `state` is "pending", "completed" or "expired".

    The signer gets `result` (the signed EAR) and `refusals`; a relay gets `outcome` ("pass" or "fail") and `sealed`
    (a JWE that only the signer can read) instead. None is what the caller has no part in, or what is not there yet.
    """

    request_id: str
    state: str
    result: str | None
    outcome: str | None
    sealed: str | None
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approvals:
    """Approvals of a result: `approvals` are StateApprovals as `messages.approval.decode_approval` reads them.

    They are for the package at the certified counter c, and for the vault at c and c+1. `day_key_chain` is DER, leaf
    first, without the root; `storage_public` the TPMT_PUBLIC of the device's certified storage key.
    """

    approvals: tuple[bytes, ...]
    day_key_chain: tuple[bytes, ...]
    storage_public: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEntry:
    """A watch of the caller; `state` is affirming, warning, contraindicated or stale, None before the first answer."""

    watch_id: str
    device_id: str
    interval_s: int
    grace_s: int
    audience: tuple[str, ...]
    state: str | None
    due_at: datetime
    deadline: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEntry:
    """An imported manifest; `digest` is the SHA-256 of its signed bytes, in hex.

    `standing` is "waiting", "approved" or "retired"; `approvals` names the administrators who approved it so far.
    """

    id: str
    supplier: str
    svn: int
    models: tuple[str, ...]
    digest: str
    release: str
    line: str
    standing: str
    approvals: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateEntry:
    """An announced update; `state` is `running` or `paused`."""

    manifest_digest: str
    supplier: str
    share_percent: int
    state: str
    announced_at: datetime


def read_approvals(value: object) -> Approvals:
    """Approvals of states. Raises PvaAnswerError."""
    answer = fields_of(value, "approvals")
    return Approvals(
        approvals=_octets(answer, "approvals", each_max=APPROVAL_MAX, items_max=APPROVALS_MAX),
        day_key_chain=_octets(answer, "day_key_chain", each_max=CERTIFICATE_MAX, items_max=CHAIN_MAX),
        storage_public=answer.base64url("storage_public", size_min=1, size_max=PUBLIC_MAX),
    )


def read_update(value: object) -> UpdateEntry:
    """An announced update. Raises PvaAnswerError."""
    fields = fields_of(value, "update")
    return UpdateEntry(
        manifest_digest=fields.hex("manifest_digest", size_min=32, size_max=32).hex(),
        supplier=fields.text("supplier"),
        share_percent=fields.integer("share_percent", high=100),
        state=fields.text("state"),
        announced_at=time_of(fields, "announced_at"),
    )


def read_watch(value: object) -> WatchEntry:
    """A watch. Raises PvaAnswerError."""
    fields = fields_of(value, "watch")
    return WatchEntry(
        watch_id=fields.text("watch_id"),
        device_id=fields.text("device_id"),
        interval_s=fields.integer("interval_s"),
        grace_s=fields.integer("grace_s"),
        audience=fields.texts("audience", size_max=LIST_MAX),
        state=None if fields.raw("state") is None else fields.text("state"),
        due_at=time_of(fields, "due_at"),
        deadline=time_of(fields, "deadline"),
    )


def read_progress(value: object) -> RequestProgress:
    """How far a signed request has come. Raises PvaAnswerError."""
    fields = fields_of(value, "request")
    refusals = fields.items("refusals", size_max=LIST_MAX) if "refusals" in fields else []
    return RequestProgress(
        request_id=fields.text("request_id"),
        state=fields.text("state"),
        result=fields.text("result", size_max=TOKEN_MAX) if "result" in fields else None,
        outcome=fields.text("outcome") if "outcome" in fields else None,
        sealed=fields.text("sealed", size_max=SEALED_MAX) if "sealed" in fields else None,
        refusals=tuple(read_refusal(each) for each in refusals),
    )


def _octets(fields: Fields, key: str, *, each_max: int, items_max: int) -> tuple[bytes, ...]:
    """An array of byte strings in base64url, one at least."""
    values = fields.items(key, size_min=1, size_max=items_max)
    each = fields_of(dict(enumerate(values)), key)
    return tuple(each.base64url(index, size_min=1, size_max=each_max) for index in range(len(values)))


def time_of(fields: Fields, key: str) -> datetime:
    """A time of RFC 3339 with its offset."""
    text = fields.text(key)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise PvaAnswerError(
            key, "a time with its offset, as RFC 3339 has it", f"{len(text)} other characters"
        )
    return at


def read_refusal(value: object) -> Refusal:
    """A refused try. Raises PvaAnswerError."""
    fields = fields_of(value, "refusal")
    return Refusal(
        at=fields.text("at"),
        code=fields.text("code"),
        subject=fields.text("subject"),
        reason=fields.text("reason", size_max=4096),
        remedy=fields.text("remedy", size_max=4096),
        authenticated=fields.raw("authenticated") is True,
    )


def read_manifest(value: object) -> ManifestEntry:
    """A manifest on record. Raises PvaAnswerError."""
    fields = fields_of(value, "manifest")
    return ManifestEntry(
        id=fields.text("id"),
        supplier=fields.text("supplier"),
        svn=fields.integer("svn"),
        models=fields.texts("models", size_max=LIST_MAX),
        digest=fields.hex("digest", size_min=32, size_max=32).hex(),
        release=fields.text("release"),
        line=fields.text("line"),
        standing=fields.text("standing"),
        approvals=tuple(
            fields_of(each, "approval").text("by") for each in fields.items("approvals", size_max=LIST_MAX)
        ),
    )


def fields_of(value: object, what: str) -> Fields:
    """The fields of a map in an answer. Raises PvaAnswerError."""
    return Fields(value, what=what, refusal=PvaAnswerError)


def decoded(body: bytes) -> Mapping[str, Any]:
    """The JSON object of an answer. Raises PvaAnswerError."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise PvaAnswerError("body", "JSON", f"{len(body)} other bytes") from None
    if not isinstance(value, dict):
        raise PvaAnswerError("body", "a JSON object", type(value).__name__)
    return value
