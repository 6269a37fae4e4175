"""The PVA's stores in memory: they satisfy the ports, and the contract tests hold them to the same behaviour."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from messages.reliance import permits_release
from pva.approvals import ApprovalFacts, GivenApprovals, OrderApproval, ProvenState
from pva.continuity import DeviceHistory
from pva.manifest_approvals import approved
from pva.manifest_chain import LINE_MAX, ChainedManifest, ManifestChain
from pva.manifest_records import ImportedManifest, ManifestApproval, Retirement
from pva.pushing import PostedResult
from pva.recognition import RecognisedSupplier, check_record, no_such_manifest
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RecordedRefusal, RequestProgress, RequestState, ValidationRequest
from pva.result import SignedResult
from pva.store import AUTHENTICATED_REFUSALS_MAX, UNAUTHENTICATED_REFUSALS_MAX
from standards.rats.corim import verify_manifest


@dataclass
class MemoryStore:
    """Requests, challenges, results, refusals, histories, deliveries and approvals."""

    callbacks: frozenset[str] = frozenset()
    requests: dict[str, ValidationRequest] = field(default_factory=dict)
    redeemed: set[bytes] = field(default_factory=set)
    results: dict[str, SignedResult] = field(default_factory=dict)
    refusals: dict[str, list[RecordedRefusal]] = field(default_factory=dict)
    histories: dict[str, DeviceHistory] = field(default_factory=dict)
    audit: list[str] = field(default_factory=list)
    relays: set[tuple[str, str]] = field(default_factory=set)
    revisions: dict[str, int] = field(default_factory=dict)
    posted: dict[tuple[str, str], tuple[PostedResult, datetime]] = field(default_factory=dict)
    orders: dict[tuple[str, bytes | None], OrderApproval] = field(default_factory=dict)
    given: dict[str, GivenApprovals] = field(default_factory=dict)

    def add_request(
        self, request: ValidationRequest, *, pending_max: int, relay: str | None = None
    ) -> ValidationRequest:
        """See `pva.requests.RequestStore`."""
        known = self._same(request)
        if known is None:
            self._insert(request, pending_max=pending_max)
        recorded = known or request
        if relay is not None:
            self.relays.add((recorded.id, relay))
        return recorded

    def _same(self, request: ValidationRequest) -> ValidationRequest | None:
        for each in self.requests.values():
            theirs, ours = each.origin, request.origin
            same_party = (each.party.role, each.tenant) == (request.party.role, request.tenant)
            if same_party and theirs is not None and ours is not None and theirs.jti == ours.jti:
                if theirs.content != ours.content:
                    raise RefusalError(
                        RefusalCode.REQUEST_CONFLICT, subject="request", reason="other content"
                    )
                return each
        return None

    def _insert(self, request: ValidationRequest, *, pending_max: int) -> None:
        own = [each for each in self.requests.values() if each.tenant == request.tenant]
        if any(each.rp_nonce == request.rp_nonce for each in own):
            raise RefusalError(RefusalCode.NONCE_REUSED, subject="nonce", reason="used before")
        at = request.created_at
        pending = [each for each in own if each.device_id == request.device_id and self._open(each, at=at)]
        if len(pending) >= pending_max:
            raise RefusalError(RefusalCode.TOO_MANY_REQUESTS, subject="device", reason="too many")
        self.requests[request.id] = request
        self.audit.append("validation-requested")

    def oldest_of_each(self, device_id: str, *, at: datetime) -> Sequence[ValidationRequest]:
        """See `pva.requests.RequestStore`."""
        waiting = [
            each for each in self.requests.values() if each.device_id == device_id and self._open(each, at=at)
        ]
        oldest: dict[tuple[str, str], ValidationRequest] = {}
        for each in sorted(waiting, key=lambda each: (each.created_at, each.id)):
            oldest.setdefault((each.party.role, each.tenant), each)
        return tuple(oldest.values())

    def progress(self, request_id: str, *, role: str, tenant: str, at: datetime) -> RequestProgress | None:
        """See `pva.requests.RequestStore`."""
        request = self.requests.get(request_id)
        if request is None or (request.party.role, request.tenant) != (role, tenant):
            return None
        return self._progress(request, at=at)

    def relayed_progress(self, request_id: str, *, relay: str, at: datetime) -> RequestProgress | None:
        """See `pva.requests.RequestStore`."""
        return (
            self._progress(self.requests[request_id], at=at) if (request_id, relay) in self.relays else None
        )

    def _progress(self, request: ValidationRequest, *, at: datetime) -> RequestProgress:
        result = self.results.get(request.id)
        expired = request.expires_at <= at
        state = RequestState.EXPIRED if expired else RequestState.PENDING
        return RequestProgress(
            request=request,
            state=RequestState.COMPLETED if result else state,
            result=result.token if result else None,
            passes=permits_release(result.result) if result else None,
            refusals=tuple(self.refusals.get(request.id, ())),
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
        device_id = history.last.device_id
        known = self.histories.get(device_id)
        ours = self.holder_of_ak(history.last.ak_name) in (None, device_id)
        revision = None if known is None else known.revision
        if result.request_id in self.results or revision != expected_revision or not ours:
            raise RefusalError(RefusalCode.CONCURRENT_VALIDATION, subject="device", reason="meanwhile")
        self.histories[device_id] = history
        self.results[result.request_id] = result
        self.revisions[result.id] = history.revision
        for audience in self.callbacks & set(result.result.audience):
            posted = PostedResult(
                result_id=result.id,
                audience=audience,
                token=result.token,
                tries=0,
                expires_at=result.result.expires_at,
            )
            self.posted[result.id, audience] = (posted, at)
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

    def due(self, audience: str, *, at: datetime, count_max: int) -> Sequence[PostedResult]:
        """See `pva.pushing.Outbox`."""
        due = [
            (next_at, posted)
            for posted, next_at in self.posted.values()
            if posted.audience == audience and next_at <= at
        ]
        due.sort(key=lambda each: (each[0], each[1].result_id))
        return tuple(posted for _, posted in due[:count_max])

    def claim(self, posted: PostedResult, *, until: datetime) -> bool:
        """See `pva.pushing.Outbox`."""
        key = posted.result_id, posted.audience
        known = self.posted.get(key)
        if known is None or known[0].tries != posted.tries:
            return False
        self.posted[key] = (replace(posted, tries=posted.tries + 1), until)
        return True

    def postpone(self, posted: PostedResult, *, until: datetime) -> None:
        """See `pva.pushing.Outbox`."""
        key = posted.result_id, posted.audience
        known = self.posted.get(key)
        if known is not None and known[0].tries == posted.tries + 1:
            self.posted[key] = (known[0], until)

    def remove(self, posted: PostedResult) -> None:
        """See `pva.pushing.Outbox`."""
        self.posted.pop((posted.result_id, posted.audience), None)

    def approval_facts(self, result_id: str, *, sho: str) -> ApprovalFacts | None:
        """See `pva.approvals.ApprovalRecords`."""
        result = next((each for each in self.results.values() if each.id == result_id), None)
        request = None if result is None else self.requests[result.request_id]
        if result is None or request is None or (request.party.role, request.tenant) != ("sho", sho):
            return None
        device_id = result.result.device_id
        newer = [
            each.status
            for each in self.results.values()
            if each.result.device_id == device_id and self.revisions[each.id] > self.revisions[result_id]
        ]
        order_digest = None if request.origin is None else request.order_digest
        return ApprovalFacts(
            result_id=result_id,
            token=result.token,
            expires_at=result.result.expires_at,
            device_id=device_id,
            order_digest=order_digest,
            state=ProvenState(
                pcr_values=result.quote.pcr_values,
                storage_public=result.quote.storage_public,
                counter_name=result.quote.generation_counter_name,
                counter=result.quote.generation_counter,
            ),
            refuted=any(status != "affirming" for status in newer),
            counter_seen=self.histories[device_id].last.generation_counter,
            approved=self.orders.get((sho, order_digest)),
            given=self.given.get(result_id),
        )

    def record_approvals(
        self, given: GivenApprovals, *, facts: ApprovalFacts, sho: str, at: datetime
    ) -> GivenApprovals:
        """See `pva.approvals.ApprovalRecords`."""
        del at
        now = self.approval_facts(facts.result_id, sho=sho)
        if now is not None and now.given is not None:
            return now.given
        if now != facts or facts.state is None:
            raise RefusalError(RefusalCode.CONCURRENT_CHANGE, subject="device", reason="meanwhile")
        here = OrderApproval(device_id=facts.device_id, counter=facts.state.counter)
        self.orders.setdefault((sho, facts.order_digest), here)
        self.given[facts.result_id] = given
        self.audit.append("state-approved")
        return given

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
        if check_record(manifest, held=self.manifests()):
            self.by_digest[manifest.digest] = manifest

    def manifests(self) -> Sequence[ImportedManifest]:
        """See `pva.recognition.RecognitionStore`."""
        return tuple(sorted(self.by_digest.values(), key=lambda each: (each.imported_at, each.digest)))

    def approve_manifest(self, digest: bytes, approval: ManifestApproval, *, needed: int) -> ImportedManifest:
        """See `pva.manifest_approvals.ManifestRecords`."""
        self.by_digest[digest] = approved(self._held(digest), approval, needed=needed)
        return self.by_digest[digest]

    def retire_manifest(self, digest: bytes, retirement: Retirement) -> ImportedManifest:
        """See `pva.manifest_approvals.ManifestRecords`."""
        held = self._held(digest)
        if held.retirement is None:
            self.by_digest[digest] = replace(held, retirement=retirement)
        return self.by_digest[digest]

    def _held(self, digest: bytes) -> ImportedManifest:
        if digest not in self.by_digest:
            raise no_such_manifest(digest)
        return self.by_digest[digest]

    def manifest_chain(self, digest: bytes) -> ManifestChain | None:
        """See `pva.validation.References`."""
        links: list[ImportedManifest] = []
        held = self.by_digest.get(digest)
        while held is not None and len(links) < LINE_MAX:
            links.append(held)
            following = (
                each
                for each in self.by_digest.values()
                if each.predecessor_digest == links[-1].digest and not each.rejected
            )
            held = next(following, None)
        if not links:
            return None
        supplier = self.by_name[links[0].supplier]
        return ManifestChain(
            links=tuple(self._link(each, supplier) for each in links), permitted_models=supplier.models
        )

    def _link(self, held: ImportedManifest, supplier: RecognisedSupplier) -> ChainedManifest:
        verified = verify_manifest(held.signed, anchors=[supplier.root], at=held.imported_at)
        return ChainedManifest(
            manifest=verified.manifest,
            digest=held.digest,
            approved=held.approved_at is not None,
            retired=held.retirement is not None,
        )
