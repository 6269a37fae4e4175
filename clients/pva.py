"""Typed client of the Platform Validation Authority: one method a route.

Rule: refusals come as `edge.http_client.HttpError`, whose problem carries the PVA's stable code in `type` and
`reason`; an answer of another shape is a `PvaAnswerError`. What an answer *says* is not verified here: a relying
party checks the result's signature against its own anchors, a TRE the challenge's.
"""

from collections.abc import Sequence
from urllib.parse import quote

from clients.pages import every_page
from clients.pva_answers import (
    LIST_MAX,
    TOKEN_MAX,
    Approvals,
    EvidenceReceipt,
    ManifestEntry,
    PvaAnswerError,
    Refusal,
    RequestProgress,
    SubmittedRequest,
    UpdateEntry,
    ValidationProgress,
    WatchEntry,
    decoded,
    fields_of,
    read_approvals,
    read_manifest,
    read_progress,
    read_refusal,
    read_update,
    read_watch,
    time_of,
)
from clients.pva_explanation import Explanation, read_explanation
from clients.pva_policies import (
    CheckedPolicy,
    PolicyEntry,
    PolicyTrial,
    read_checked,
    read_entries,
    read_entry,
    read_trial,
)
from edge.http_client import HttpClient
from edge.repeating import named
from standards.rats.fields import encode_base64url

__all__ = [
    "Approvals",
    "EvidenceReceipt",
    "ManifestEntry",
    "PvaAnswerError",
    "PvaDeviceClient",
    "PvaOperatorClient",
    "Refusal",
    "RequestProgress",
    "SubmittedRequest",
    "UpdateEntry",
    "ValidationProgress",
    "WatchEntry",
]

EVIDENCE_CONTENT_TYPE = "application/cbor"
MANIFEST_CONTENT_TYPE = "application/rim+cose"


class PvaDeviceClient:
    """The device listener."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the device listener that `http` points at."""
        self._http = http

    def challenge(self, device_id: str) -> str:
        """The signed challenge for a device's pending validation (a JWS, to be handed to its TRE)."""
        answer = self._http.post_json("/v1/challenges", {"device_id": device_id})
        return fields_of(answer, "challenge").text("challenge", size_max=TOKEN_MAX)

    def submit_evidence(self, evidence: bytes) -> EvidenceReceipt:
        """Hand in evidence: a CMW record as `messages.evidence.encode_evidence` makes it."""
        response = self._http.post(
            "/v1/evidence", evidence, content_type=EVIDENCE_CONTENT_TYPE, accept="application/json"
        )
        fields = fields_of(decoded(response.body), "evidence")
        return EvidenceReceipt(result_id=fields.text("result_id"), status=fields.text("status"))


class PvaOperatorClient:
    """The operator listener, with the caller's certificate in `http`."""

    def __init__(self, http: HttpClient) -> None:
        """Talk to the operator listener that `http` points at."""
        self._http = http

    def import_manifest(self, signed: bytes, *, key: str | None = None) -> ManifestEntry:
        """Import a signed CoRIM (es of its own, admin); with a `key`, the same request again gets the same answer."""
        response = self._http.post(
            "/v1/manifests",
            signed,
            content_type=MANIFEST_CONTENT_TYPE,
            accept="application/json",
            headers=named(key),
        )
        return read_manifest(decoded(response.body))

    def check_manifest(self, signed: bytes) -> ManifestEntry:
        """All that an import checks, and nothing is stored (es of its own, admin)."""
        response = self._http.post(
            "/v1/manifest-checks", signed, content_type=MANIFEST_CONTENT_TYPE, accept="application/json"
        )
        return read_manifest(decoded(response.body))

    def signed_manifest(self, digest: str) -> bytes:
        """The signed bytes of an imported manifest."""
        return self._http.get(f"/v1/manifests/{quote(digest, safe='')}", accept=MANIFEST_CONTENT_TYPE).body

    def approve_manifest(self, digest: str) -> ManifestEntry:
        """Approve a manifest (admin); it counts after another administrator's approval of the same digest."""
        return read_manifest(self._http.post_json(f"/v1/manifests/{quote(digest, safe='')}/approvals", {}))

    def retire_manifest(self, digest: str, *, reason: str) -> ManifestEntry:
        """Withdraw a manifest (admin): it affirms nobody any more."""
        path = f"/v1/manifests/{quote(digest, safe='')}/retirement"
        return read_manifest(self._http.post_json(path, {"reason": reason}))

    def manifests(self) -> tuple[ManifestEntry, ...]:
        """Imported manifests that the caller may see."""
        answer = fields_of(every_page(self._http, "/v1/manifests", "manifests"), "manifests")
        return tuple(read_manifest(each) for each in answer.items("manifests", size_max=LIST_MAX))

    def request_validation(
        self,
        *,
        device_id: str,
        nonce: bytes,
        audience: Sequence[str],
        purpose: str = "validation",
        key: str | None = None,
    ) -> str:
        """Ask for a look at a device and get its request id (sho); `nonce` is 32 fresh random bytes.

        With an idempotency `key` (16 to 128 letters, digits, - and _) the same request may be sent again.
        An order is validated for its operator's signature alone: `submit_request`.
        """
        body = {
            "device_id": device_id,
            "purpose": purpose,
            "nonce": encode_base64url(nonce),
            "audience": list(audience),
        }
        answer = self._http.post_json("/v1/validations", body, headers=named(key))
        return fields_of(answer, "validation").text("request_id")

    def validation(self, request_id: str) -> ValidationProgress:
        """What came of a validation that the caller asked for (sho)."""
        fields = fields_of(self._http.get_json(f"/v1/validations/{quote(request_id, safe='')}"), "validation")
        refusals = fields.items("refusals", size_max=LIST_MAX)
        return ValidationProgress(
            request_id=fields.text("request_id"),
            device_id=fields.text("device_id"),
            state=fields.text("state"),
            result=fields.text("result", size_max=TOKEN_MAX) if "result" in fields else None,
            refusals=tuple(read_refusal(each) for each in refusals),
        )

    def explanation(self, some_id: str) -> Explanation:
        """Why a validation ended as it did, by its id or by that of its result (sho and dpf their own, auditor)."""
        answer = self._http.get_json(f"/v1/results/{quote(some_id, safe='')}/explanation")
        fields = fields_of(answer, "explanation")
        return read_explanation(fields, whole=answer)

    def result(self, some_id: str, *, profile: str = "ietf") -> str:
        """The signed result of a validation in a profile, ietf or deployed (sho and dpf their own, auditor)."""
        path = f"/v1/results/{quote(some_id, safe='')}?profile={quote(profile, safe='')}"
        return fields_of(self._http.get_json(path), "result").text("result", size_max=TOKEN_MAX)

    def export_result(self, some_id: str) -> bytes:
        """A result with all that it stands on, as one file (sho and dpf their own, auditor)."""
        path = f"/v1/results/{quote(some_id, safe='')}/bundle"
        return self._http.get(path, accept="application/json").body

    def check_policy(self, text: str) -> CheckedPolicy:
        """What is wrong with a policy (sho, es); nothing is stored."""
        return read_checked(fields_of(self._http.post_json("/v1/policies/check", {"text": text}), "check"))

    def try_policy(self, text: str, *, since: str) -> PolicyTrial:
        """What a policy would have changed since a time, RFC 3339 in UTC (sho, es); nothing is stored."""
        body = {"text": text, "since": since}
        return read_trial(fields_of(self._http.post_json("/v1/policies/dry-run", body), "dry-run"))

    def add_policy(self, text: str, *, key: str | None = None) -> PolicyEntry:
        """Store a policy as a draft (sho, es); with a `key`, the same request again gets the same answer."""
        made = self._http.post_json("/v1/policies", {"text": text}, headers=named(key))
        return read_entry(fields_of(made, "policy"))

    def activate_policy(self, digest: str) -> PolicyEntry:
        """Put an own policy in force (sho, es)."""
        path = f"/v1/policies/{quote(digest, safe='')}/activate"
        return read_entry(fields_of(self._http.post_json(path, {}), "policy"))

    def retire_policy(self, digest: str) -> PolicyEntry:
        """Take an own policy out of force (sho, es)."""
        path = f"/v1/policies/{quote(digest, safe='')}/retire"
        return read_entry(fields_of(self._http.post_json(path, {}), "policy"))

    def policies(self) -> tuple[PolicyEntry, ...]:
        """Own policies (sho, es), everybody's (auditor)."""
        return read_entries(fields_of(every_page(self._http, "/v1/policies", "policies"), "policies"))

    def policy(self, digest: str) -> tuple[PolicyEntry, str]:
        """A policy and its text (sho and es their own, auditor)."""
        answer = fields_of(self._http.get_json(f"/v1/policies/{quote(digest, safe='')}"), "policy")
        text = answer.raw("text")
        if not isinstance(text, str):
            raise PvaAnswerError("policy.text", "text", type(text).__name__)
        return read_entry(answer), text

    def submit_request(self, token: str) -> SubmittedRequest:
        """Hand in a signed validation request (sho and dpf their own, ro-relay anybody's); may be repeated."""
        answer = fields_of(self._http.post_json("/v1/validation-requests", {"request": token}), "request")
        return SubmittedRequest(
            request_id=answer.text("request_id"), expires_at=time_of(answer, "expires_at")
        )

    def request_progress(self, request_id: str) -> RequestProgress:
        """What came of a signed request, as far as the caller may see it."""
        path = f"/v1/validation-requests/{quote(request_id, safe='')}"
        return read_progress(self._http.get_json(path))

    def approvals(self, *, result_id: str, order_digest: bytes) -> Approvals:
        """Approvals of the platform that an own result speaks of (sho that asked); repeats give the same ones."""
        body = {"result_id": result_id, "order_digest": order_digest.hex()}
        return read_approvals(self._http.post_json("/v1/approvals", body))

    def update_approvals(self, *, result_id: str, order_digest: bytes, manifest_digest: bytes) -> Approvals:
        """Approvals of the state after an announced update (sho, by a result of its order); repeats give the same."""
        body = {
            "result_id": result_id,
            "order_digest": order_digest.hex(),
            "manifest_digest": manifest_digest.hex(),
        }
        return read_approvals(self._http.post_json("/v1/update-approvals", body))

    def announce_update(
        self, manifest_digest: bytes, *, share_percent: int, key: str | None = None
    ) -> UpdateEntry:
        """Announce the update to an approved manifest (es of its own, admin); the same again changes nothing."""
        body = {"manifest_digest": manifest_digest.hex(), "share_percent": share_percent}
        return read_update(self._http.post_json("/v1/updates", body, headers=named(key)))

    def updates(self) -> tuple[UpdateEntry, ...]:
        """Announced updates that the caller may see."""
        answer = fields_of(every_page(self._http, "/v1/updates", "updates"), "updates")
        return tuple(read_update(each) for each in answer.items("updates", size_max=LIST_MAX))

    def widen_update(self, manifest_digest: bytes, *, share_percent: int) -> UpdateEntry:
        """Announce an update to more devices (es of its own, admin)."""
        path = f"/v1/updates/{manifest_digest.hex()}/share"
        return read_update(self._http.post_json(path, {"share_percent": share_percent}))

    def pause_update(self, manifest_digest: bytes) -> UpdateEntry:
        """Hold an update (es of its own, admin)."""
        return read_update(self._http.post_json(f"/v1/updates/{manifest_digest.hex()}/pause", {}))

    def resume_update(self, manifest_digest: bytes) -> UpdateEntry:
        """Go on with an update that was held (es of its own, admin)."""
        return read_update(self._http.post_json(f"/v1/updates/{manifest_digest.hex()}/resume", {}))

    def add_watch(
        self,
        *,
        device_id: str,
        interval_s: int,
        grace_s: int,
        audience: Sequence[str],
        key: str | None = None,
    ) -> WatchEntry:
        """Have a device watched that the caller has a passing result of (sho); the same again changes nothing."""
        body = {
            "device_id": device_id,
            "interval_s": interval_s,
            "grace_s": grace_s,
            "audience": list(audience),
        }
        return read_watch(self._http.post_json("/v1/watches", body, headers=named(key)))

    def watches(self) -> tuple[WatchEntry, ...]:
        """The caller's watches (sho)."""
        answer = fields_of(every_page(self._http, "/v1/watches", "watches"), "watches")
        return tuple(read_watch(each) for each in answer.items("watches", size_max=LIST_MAX))

    def end_watch(self, watch_id: str) -> None:
        """End one of the caller's watches (sho)."""
        self._http.post_json(f"/v1/watches/{quote(watch_id, safe='')}/end", {})
