"""Typed client of the Platform Validation Authority: one method a route.

Rule: refusals come as `edge.http_client.HttpError`, whose problem carries the PVA's stable code in `type` and
`reason`; an answer of another shape is a `PvaAnswerError`. What an answer *says* is not verified here: a relying
party checks the result's signature against its own anchors, a TRE the challenge's.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from edge.http_client import HttpClient
from standards.rats.fields import Fields, encode_base64url

EVIDENCE_CONTENT_TYPE = "application/cbor"
MANIFEST_CONTENT_TYPE = "application/rim+cose"
_TOKEN_MAX = 1 << 18
_LIST_MAX = 100_000
_SEALED_MAX = 1 << 20
_APPROVALS_MAX = 16
_APPROVAL_MAX = 2_048
_CHAIN_MAX = 8
_CERTIFICATE_MAX = 16_384
_PUBLIC_MAX = 1_024


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
class SupplierEntry:
    """A recognised supplier; `models` is the name of a model -> the hwType (dotted OID) of its devices."""

    supplier: str
    root_sha256: str
    models: Mapping[str, str]
    ocsp_url: str


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


class PvaDeviceClient:
    """The device listener."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the device listener that `http` points at."""
        self._http = http

    def challenge(self, device_id: str) -> str:
        """The signed challenge for a device's pending validation (a JWS, to be handed to its TRE)."""
        answer = self._http.post_json("/v1/challenges", {"device_id": device_id})
        return _fields(answer, "challenge").text("challenge", size_max=_TOKEN_MAX)

    def submit_evidence(self, evidence: bytes) -> EvidenceReceipt:
        """Hand in evidence: a CMW record as `messages.evidence.encode_evidence` makes it."""
        response = self._http.post(
            "/v1/evidence", evidence, content_type=EVIDENCE_CONTENT_TYPE, accept="application/json"
        )
        fields = _fields(_decoded(response.body), "evidence")
        return EvidenceReceipt(result_id=fields.text("result_id"), status=fields.text("status"))


class PvaOperatorClient:
    """The operator listener, with the caller's certificate in `http`."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the operator listener that `http` points at."""
        self._http = http

    def recognise_supplier(
        self, *, supplier: str, root_pem: str, models: Mapping[str, str], ocsp_url: str
    ) -> SupplierEntry:
        """Recognise a supplier's ES root, or change its models (name -> hwType) and status address (admin)."""
        body = {"supplier": supplier, "root": root_pem, "models": dict(models), "ocsp_url": ocsp_url}
        return _supplier(self._http.post_json("/v1/suppliers", body))

    def suppliers(self) -> tuple[SupplierEntry, ...]:
        """Every recognised supplier."""
        answer = _fields(self._http.get_json("/v1/suppliers"), "suppliers")
        return tuple(_supplier(each) for each in answer.items("suppliers", size_max=_LIST_MAX))

    def import_manifest(self, signed: bytes) -> ManifestEntry:
        """Import a signed CoRIM (es of its own, admin)."""
        response = self._http.post(
            "/v1/manifests", signed, content_type=MANIFEST_CONTENT_TYPE, accept="application/json"
        )
        return _manifest(_decoded(response.body))

    def check_manifest(self, signed: bytes) -> ManifestEntry:
        """All that an import checks, and nothing is stored (es of its own, admin)."""
        response = self._http.post(
            "/v1/manifest-checks", signed, content_type=MANIFEST_CONTENT_TYPE, accept="application/json"
        )
        return _manifest(_decoded(response.body))

    def signed_manifest(self, digest: str) -> bytes:
        """The signed bytes of an imported manifest."""
        return self._http.get(f"/v1/manifests/{quote(digest, safe='')}", accept=MANIFEST_CONTENT_TYPE).body

    def approve_manifest(self, digest: str) -> ManifestEntry:
        """Approve a manifest (admin); it counts after another administrator's approval of the same digest."""
        return _manifest(self._http.post_json(f"/v1/manifests/{quote(digest, safe='')}/approvals", {}))

    def retire_manifest(self, digest: str, *, reason: str) -> ManifestEntry:
        """Withdraw a manifest (admin): it affirms nobody any more."""
        path = f"/v1/manifests/{quote(digest, safe='')}/retirement"
        return _manifest(self._http.post_json(path, {"reason": reason}))

    def manifests(self) -> tuple[ManifestEntry, ...]:
        """Imported manifests that the caller may see."""
        answer = _fields(self._http.get_json("/v1/manifests"), "manifests")
        return tuple(_manifest(each) for each in answer.items("manifests", size_max=_LIST_MAX))

    def request_validation(
        self, *, device_id: str, nonce: bytes, audience: Sequence[str], purpose: str = "validation"
    ) -> str:
        """Ask for a look at a device and get its request id (sho); `nonce` is 32 fresh random bytes.

        An order is validated for its operator's signature alone: `submit_request`.
        """
        body = {
            "device_id": device_id,
            "purpose": purpose,
            "nonce": encode_base64url(nonce),
            "audience": list(audience),
        }
        return _fields(self._http.post_json("/v1/validations", body), "validation").text("request_id")

    def validation(self, request_id: str) -> ValidationProgress:
        """What came of a validation that the caller asked for (sho)."""
        fields = _fields(self._http.get_json(f"/v1/validations/{quote(request_id, safe='')}"), "validation")
        refusals = fields.items("refusals", size_max=_LIST_MAX)
        return ValidationProgress(
            request_id=fields.text("request_id"),
            device_id=fields.text("device_id"),
            state=fields.text("state"),
            result=fields.text("result", size_max=_TOKEN_MAX) if "result" in fields else None,
            refusals=tuple(_refusal(each) for each in refusals),
        )

    def submit_request(self, token: str) -> SubmittedRequest:
        """Hand in a signed validation request (sho and dpf their own, ro-relay anybody's); may be repeated."""
        answer = _fields(self._http.post_json("/v1/validation-requests", {"request": token}), "request")
        return SubmittedRequest(request_id=answer.text("request_id"), expires_at=_time(answer, "expires_at"))

    def request_progress(self, request_id: str) -> RequestProgress:
        """What came of a signed request, as far as the caller may see it."""
        path = f"/v1/validation-requests/{quote(request_id, safe='')}"
        return _progress(self._http.get_json(path))

    def approvals(self, *, result_id: str, order_digest: bytes) -> Approvals:
        """Approvals of the platform that an own result speaks of (sho that asked); repeats give the same ones."""
        body = {"result_id": result_id, "order_digest": order_digest.hex()}
        return _approvals(self._http.post_json("/v1/approvals", body))

    def update_approvals(self, *, result_id: str, order_digest: bytes, manifest_digest: bytes) -> Approvals:
        """Approvals of the state after an announced update (sho, by a result of its order); repeats give the same."""
        body = {
            "result_id": result_id,
            "order_digest": order_digest.hex(),
            "manifest_digest": manifest_digest.hex(),
        }
        return _approvals(self._http.post_json("/v1/update-approvals", body))

    def announce_update(self, manifest_digest: bytes, *, share_percent: int) -> UpdateEntry:
        """Announce the update to an approved manifest (es of its own, admin); the same again changes nothing."""
        body = {"manifest_digest": manifest_digest.hex(), "share_percent": share_percent}
        return _update(self._http.post_json("/v1/updates", body))

    def updates(self) -> tuple[UpdateEntry, ...]:
        """Announced updates that the caller may see."""
        answer = _fields(self._http.get_json("/v1/updates"), "updates")
        return tuple(_update(each) for each in answer.items("updates", size_max=_LIST_MAX))

    def widen_update(self, manifest_digest: bytes, *, share_percent: int) -> UpdateEntry:
        """Announce an update to more devices (es of its own, admin)."""
        path = f"/v1/updates/{manifest_digest.hex()}/share"
        return _update(self._http.post_json(path, {"share_percent": share_percent}))

    def pause_update(self, manifest_digest: bytes) -> UpdateEntry:
        """Hold an update (es of its own, admin)."""
        return _update(self._http.post_json(f"/v1/updates/{manifest_digest.hex()}/pause", {}))

    def resume_update(self, manifest_digest: bytes) -> UpdateEntry:
        """Go on with an update that was held (es of its own, admin)."""
        return _update(self._http.post_json(f"/v1/updates/{manifest_digest.hex()}/resume", {}))


def _approvals(value: object) -> Approvals:
    answer = _fields(value, "approvals")
    return Approvals(
        approvals=_octets(answer, "approvals", each_max=_APPROVAL_MAX, items_max=_APPROVALS_MAX),
        day_key_chain=_octets(answer, "day_key_chain", each_max=_CERTIFICATE_MAX, items_max=_CHAIN_MAX),
        storage_public=answer.base64url("storage_public", size_min=1, size_max=_PUBLIC_MAX),
    )


def _update(value: object) -> UpdateEntry:
    fields = _fields(value, "update")
    return UpdateEntry(
        manifest_digest=fields.hex("manifest_digest", size_min=32, size_max=32).hex(),
        supplier=fields.text("supplier"),
        share_percent=fields.integer("share_percent", high=100),
        state=fields.text("state"),
        announced_at=_time(fields, "announced_at"),
    )


def _progress(value: object) -> RequestProgress:
    fields = _fields(value, "request")
    refusals = fields.items("refusals", size_max=_LIST_MAX) if "refusals" in fields else []
    return RequestProgress(
        request_id=fields.text("request_id"),
        state=fields.text("state"),
        result=fields.text("result", size_max=_TOKEN_MAX) if "result" in fields else None,
        outcome=fields.text("outcome") if "outcome" in fields else None,
        sealed=fields.text("sealed", size_max=_SEALED_MAX) if "sealed" in fields else None,
        refusals=tuple(_refusal(each) for each in refusals),
    )


def _octets(fields: Fields, key: str, *, each_max: int, items_max: int) -> tuple[bytes, ...]:
    """An array of byte strings in base64url, one at least."""
    values = fields.items(key, size_min=1, size_max=items_max)
    each = _fields(dict(enumerate(values)), key)
    return tuple(each.base64url(index, size_min=1, size_max=each_max) for index in range(len(values)))


def _time(fields: Fields, key: str) -> datetime:
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


def _refusal(value: object) -> Refusal:
    fields = _fields(value, "refusal")
    return Refusal(
        at=fields.text("at"),
        code=fields.text("code"),
        subject=fields.text("subject"),
        reason=fields.text("reason", size_max=4096),
        remedy=fields.text("remedy", size_max=4096),
        authenticated=fields.raw("authenticated") is True,
    )


def _supplier(value: object) -> SupplierEntry:
    fields = _fields(value, "supplier")
    models = fields.nested("models")
    return SupplierEntry(
        supplier=fields.text("supplier"),
        root_sha256=fields.hex("root_sha256", size_min=32, size_max=32).hex(),
        models={str(model): models.text(model) for model in models.present()},
        ocsp_url=fields.text("ocsp_url"),
    )


def _manifest(value: object) -> ManifestEntry:
    fields = _fields(value, "manifest")
    return ManifestEntry(
        id=fields.text("id"),
        supplier=fields.text("supplier"),
        svn=fields.integer("svn"),
        models=fields.texts("models", size_max=_LIST_MAX),
        digest=fields.hex("digest", size_min=32, size_max=32).hex(),
        release=fields.text("release"),
        line=fields.text("line"),
        standing=fields.text("standing"),
        approvals=tuple(
            _fields(each, "approval").text("by") for each in fields.items("approvals", size_max=_LIST_MAX)
        ),
    )


def _fields(value: object, what: str) -> Fields:
    return Fields(value, what=what, refusal=PvaAnswerError)


def _decoded(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise PvaAnswerError("body", "JSON", f"{len(body)} other bytes") from None
    if not isinstance(value, dict):
        raise PvaAnswerError("body", "a JSON object", type(value).__name__)
    return value
