"""Typed client of the Platform Validation Authority: one method a route.

Rule: refusals come as `edge.http_client.HttpError`, whose problem carries the PVA's stable code in `type` and
`reason`; an answer of another shape is a `PvaAnswerError`. What an answer *says* is not verified here: a relying
party checks the result's signature against its own anchors, a TRE the challenge's.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from edge.http_client import HttpClient
from standards.rats.fields import Fields, encode_base64url

EVIDENCE_CONTENT_TYPE = "application/cbor"
MANIFEST_CONTENT_TYPE = "application/rim+cose"
_TOKEN_MAX = 1 << 18
_LIST_MAX = 100_000


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
class SupplierEntry:
    """A recognised supplier; `models` is the name of a model -> the hwType (dotted OID) of its devices."""

    supplier: str
    root_sha256: str
    models: Mapping[str, str]
    ocsp_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEntry:
    """An imported manifest; `digest` is the SHA-256 of its signed bytes, in hex."""

    id: str
    supplier: str
    svn: int
    models: tuple[str, ...]
    digest: str


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

    def manifests(self) -> tuple[ManifestEntry, ...]:
        """Imported manifests that the caller may see."""
        answer = _fields(self._http.get_json("/v1/manifests"), "manifests")
        return tuple(_manifest(each) for each in answer.items("manifests", size_max=_LIST_MAX))

    def request_validation(
        self,
        *,
        device_id: str,
        nonce: bytes,
        audience: Sequence[str],
        order_digest: bytes | None = None,
        purpose: str = "validation",
    ) -> str:
        """Ask for a validation and get its request id (sho); `nonce` is 32 fresh random bytes."""
        body: dict[str, Any] = {
            "device_id": device_id,
            "purpose": purpose,
            "nonce": encode_base64url(nonce),
            "audience": list(audience),
        }
        if order_digest is not None:
            body["order_digest"] = order_digest.hex()
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
