"""The PVA's stores in memory: they satisfy the ports, and the contract tests hold them to the same behaviour."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pva.appraisal import ReferenceManifest
from pva.continuity import DeviceHistory
from pva.recognition import ImportedManifest, RecognisedSupplier
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RecordedRefusal, RequestProgress, RequestState, ValidationRequest
from pva.result import SignedResult
from pva.store import AUTHENTICATED_REFUSALS_MAX, UNAUTHENTICATED_REFUSALS_MAX
from standards.rats.corim import verify_manifest


@dataclass
class MemoryStore:
    """Requests, challenges, results, refusals and histories."""

    requests: dict[str, ValidationRequest] = field(default_factory=dict)
    redeemed: set[bytes] = field(default_factory=set)
    results: dict[str, SignedResult] = field(default_factory=dict)
    refusals: dict[str, list[RecordedRefusal]] = field(default_factory=dict)
    histories: dict[str, DeviceHistory] = field(default_factory=dict)
    audit: list[str] = field(default_factory=list)

    def add_request(self, request: ValidationRequest, *, pending_max: int) -> None:
        """See `pva.requests.RequestStore`."""
        own = [each for each in self.requests.values() if each.tenant == request.tenant]
        if any(each.rp_nonce == request.rp_nonce for each in own):
            raise RefusalError(RefusalCode.NONCE_REUSED, subject="nonce", reason="used before")
        at = request.created_at
        pending = [each for each in own if each.device_id == request.device_id and self._open(each, at=at)]
        if len(pending) >= pending_max:
            raise RefusalError(RefusalCode.TOO_MANY_REQUESTS, subject="device", reason="too many")
        self.requests[request.id] = request
        self.audit.append("validation-requested")

    def oldest_pending(self, device_id: str, *, at: datetime) -> ValidationRequest | None:
        """See `pva.requests.RequestStore`."""
        waiting = [
            each for each in self.requests.values() if each.device_id == device_id and self._open(each, at=at)
        ]
        return min(waiting, key=lambda each: (each.created_at, each.id), default=None)

    def progress(self, request_id: str, *, tenant: str, at: datetime) -> RequestProgress | None:
        """See `pva.requests.RequestStore`."""
        request = self.requests.get(request_id)
        if request is None or request.tenant != tenant:
            return None
        result = self.results.get(request_id)
        expired = request.expires_at <= at
        state = RequestState.EXPIRED if expired else RequestState.PENDING
        return RequestProgress(
            request=request,
            state=RequestState.COMPLETED if result else state,
            result=result.token if result else None,
            refusals=tuple(self.refusals.get(request_id, ())),
        )

    def redeem(self, digest: bytes, *, expires_at: datetime, at: datetime) -> bool:
        """See `pva.validation.ValidationStore`."""
        del expires_at, at
        if digest in self.redeemed:
            return False
        self.redeemed.add(digest)
        return True

    def open_request(self, request_id: str, *, at: datetime) -> ValidationRequest | None:
        """See `pva.validation.ValidationStore`."""
        request = self.requests.get(request_id)
        return request if request is not None and self._open(request, at=at) else None

    def device_history(self, device_id: str) -> DeviceHistory | None:
        """See `pva.validation.ValidationStore`."""
        return self.histories.get(device_id)

    def holder_of_ak(self, ak_name: bytes) -> str | None:
        """See `pva.validation.ValidationStore`."""
        held = (each.last.device_id for each in self.histories.values() if each.last.ak_name == ak_name)
        return next(held, None)

    def record_result(
        self, result: SignedResult, *, history: DeviceHistory, expected_revision: int | None, at: datetime
    ) -> None:
        """See `pva.validation.ValidationStore`."""
        del at
        device_id = history.last.device_id
        known = self.histories.get(device_id)
        ours = self.holder_of_ak(history.last.ak_name) in (None, device_id)
        revision = None if known is None else known.revision
        if result.request_id in self.results or revision != expected_revision or not ours:
            raise RefusalError(RefusalCode.CONCURRENT_VALIDATION, subject="device", reason="meanwhile")
        self.histories[device_id] = history
        self.results[result.request_id] = result
        self.audit.append("validation-result")

    def record_refusal(
        self, request_id: str, refusal: RefusalError, *, authenticated: bool, at: datetime
    ) -> None:
        """See `pva.validation.ValidationStore`."""
        if request_id not in self.requests:
            return
        told = self.refusals.setdefault(request_id, [])
        most = AUTHENTICATED_REFUSALS_MAX if authenticated else UNAUTHENTICATED_REFUSALS_MAX
        if len([each for each in told if each.authenticated == authenticated]) >= most:
            return
        told.append(
            RecordedRefusal(
                at=at,
                code=refusal.code.value,
                subject=refusal.subject,
                reason=refusal.reason,
                remedy=refusal.remedy,
                authenticated=authenticated,
            )
        )
        self.audit.append("validation-refused")

    def record_caller_refusal(self, *, caller: str, route: str, code: str, detail: str, at: datetime) -> None:
        """See `pva.store.Store`."""
        del caller, route, code, detail, at
        self.audit.append("request-refused")

    def audit_kinds(self) -> Sequence[str]:
        """Kinds of the audit leaves so far."""
        return tuple(self.audit)

    def _open(self, request: ValidationRequest, *, at: datetime) -> bool:
        return request.id not in self.results and request.expires_at > at


@dataclass
class MemoryReferences:
    """Suppliers and manifests."""

    by_name: dict[str, RecognisedSupplier] = field(default_factory=dict)
    by_digest: dict[bytes, ImportedManifest] = field(default_factory=dict)

    def suppliers(self) -> Sequence[RecognisedSupplier]:
        """See `pva.recognition.RecognitionStore`."""
        return tuple(self.by_name[name] for name in sorted(self.by_name))

    def save_supplier(self, supplier: RecognisedSupplier) -> None:
        """See `pva.recognition.RecognitionStore`."""
        for other in self.by_name.values():
            same = (other.name == supplier.name, other.root == supplier.root)
            if any(same) and not all(same):
                raise RefusalError(RefusalCode.SUPPLIER_CONFLICT, subject=supplier.name, reason="other root")
        self.by_name[supplier.name] = supplier

    def add_manifest(self, manifest: ImportedManifest) -> None:
        """See `pva.recognition.RecognitionStore`."""
        if manifest.digest in self.by_digest:
            return
        version = (manifest.supplier, manifest.id, manifest.svn)
        if any((each.supplier, each.id, each.svn) == version for each in self.by_digest.values()):
            raise RefusalError(RefusalCode.MANIFEST_CONFLICT, subject=manifest.id, reason="other bytes")
        self.by_digest[manifest.digest] = manifest

    def manifests(self) -> Sequence[ImportedManifest]:
        """See `pva.recognition.RecognitionStore`."""
        return tuple(sorted(self.by_digest.values(), key=lambda each: (each.imported_at, each.digest)))

    def reference_manifest(self, digest: bytes) -> ReferenceManifest | None:
        """See `pva.validation.References`."""
        held = self.by_digest.get(digest)
        if held is None:
            return None
        supplier = self.by_name[held.supplier]
        verified = verify_manifest(held.signed, anchors=[supplier.root], at=held.imported_at)
        return ReferenceManifest(manifest=verified.manifest, digest=digest, permitted_models=supplier.models)
