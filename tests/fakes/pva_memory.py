"""The PVA's stores in memory: they satisfy the ports, and the contract tests hold them to the same behaviour."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from messages.reliance import permits_release
from pva.appraisal.continuity import DeviceHistory
from pva.policies.desk import OWNERS, Owner, PastVerdict, PolicyState, StoredPolicy, refuse_step
from pva.policies.narrowing import PolicyInForce
from pva.pushing import PostedResult
from pva.recheck.exporting import ExportableResult
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RecordedRefusal, RelyingParty, RequestProgress, RequestState, ValidationRequest
from pva.results.explanation import SEES_ALL, Reader, RequestOnRecord, ResultOnRecord
from pva.results.grounds import Grounds
from pva.results.result import SignedResult
from pva.store.validations import AUTHENTICATED_REFUSALS_MAX, EVIDENCE_LIFE, UNAUTHENTICATED_REFUSALS_MAX
from pva.updates.approvals import ApprovalFacts, GivenApprovals, OrderApproval, ProvenState
from pva.watching.holding import HoldRule, Outcome, next_ask
from pva.watching.status_asks import StatusAsk


@dataclass
class MemoryAsks:
    """What is asked of the CA: the last act of each credential, when it is due, and whether the CA was told."""

    asked: dict[tuple[str, int], tuple[StatusAsk, datetime, bool]] = field(default_factory=dict)

    def due(self, audience: str, *, at: datetime, count_max: int) -> Sequence[StatusAsk]:
        """See `pva.pushing.Outbox`."""
        del audience
        due = [ask for ask, next_at, told in self.asked.values() if next_at <= at and not told]
        return tuple(due[:count_max])

    def claim(self, posted: StatusAsk, *, until: datetime) -> bool:
        """See `pva.pushing.Outbox`."""
        if self._known(posted) != posted:
            return False
        self.asked[posted.issuer, posted.serial] = (replace(posted, tries=posted.tries + 1), until, False)
        return True

    def postpone(self, posted: StatusAsk, *, until: datetime) -> None:
        """See `pva.pushing.Outbox`."""
        claimed = replace(posted, tries=posted.tries + 1)
        if self._known(posted) == claimed:
            self.asked[posted.issuer, posted.serial] = (claimed, until, False)

    def remove(self, posted: StatusAsk) -> None:
        """See `pva.pushing.Outbox`."""
        known = self._known(posted)
        if known is not None and known.asked_at == posted.asked_at:
            self.asked[posted.issuer, posted.serial] = (known, posted.asked_at, True)

    def drop(self, ask: StatusAsk) -> None:
        """See `pva.watching.status_asks.StatusAskStore`."""
        self.asked.pop((ask.issuer, ask.serial), None)

    def _known(self, ask: StatusAsk) -> StatusAsk | None:
        known = self.asked.get((ask.issuer, ask.serial))
        return None if known is None else known[0]


@dataclass
class MemoryStore:
    """Requests, challenges, results, refusals, histories, deliveries, approvals and what is asked of the CA."""

    callbacks: frozenset[str] = frozenset()
    hold_rule: HoldRule | None = None
    asks: MemoryAsks = field(default_factory=MemoryAsks)
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
    evidence: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    grounds: dict[str, Grounds] = field(default_factory=dict)
    manifests: Callable[[bytes], bytes | None] | None = None
    policies_of: dict[tuple[Owner, bytes], StoredPolicy] = field(default_factory=dict)

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
        oldest: dict[tuple[str, str, str], ValidationRequest] = {}
        for each in sorted(waiting, key=lambda each: (each.created_at, each.id)):
            oldest.setdefault((each.party.role, each.tenant, each.purpose), each)
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

    def request_on_record(self, some_id: str, *, reader: Reader, at: datetime) -> RequestOnRecord | None:
        """See `pva.results.explanation.ValidationRecords`."""
        request = next((each for each in self.requests.values() if self._is(each, some_id)), None)
        own = (reader.role, reader.tenant)
        if request is None or (reader.role != SEES_ALL and (request.party.role, request.tenant) != own):
            return None
        progress, result = self._progress(request, at=at), self.results.get(request.id)
        seen = self.histories.get(request.device_id)
        return RequestOnRecord(
            request_id=request.id,
            device_id=request.device_id,
            purpose=request.purpose,
            state=progress.state,
            result=None
            if result is None
            else ResultOnRecord(
                token=result.token,
                issued_at=result.result.issued_at,
                evidence=self.evidence.get(result.id, (None,))[0],
            ),
            refusals=progress.refusals,
            supplier=None if seen is None else seen.last.supplier,
            hw_type=None if seen is None else seen.last.hw_type,
        )

    def _is(self, request: ValidationRequest, some_id: str) -> bool:
        result = self.results.get(request.id)
        return request.id == some_id or (result is not None and result.id == some_id)

    def delete_evidence(self, *, at: datetime) -> int:
        """See `pva.store.results.ResultStore`."""
        due = [each for each, (_, until) in self.evidence.items() if until <= at]
        for each in due:
            del self.evidence[each]
        if due:
            self.audit.append("evidence-deleted")
        return len(due)

    def exportable(self, some_id: str, *, reader: Reader) -> ExportableResult | None:
        """See `pva.recheck.exporting.ExportRecords`."""
        read = self.request_on_record(some_id, reader=reader, at=datetime.max.replace(tzinfo=UTC))
        if read is None or read.result is None:
            return None
        result = self.results[read.request_id]
        grounds = self.grounds[result.id]
        return ExportableResult(
            token=result.token,
            evidence=read.result.evidence,
            parts=grounds.parts,
            runtime_policy=None if grounds.runtime_policy is None else grounds.runtime_policy[1],
            leaf_hash=result.leaf.leaf_hash,
            record=result.leaf.record,
            salt=result.leaf.salt,
        )

    def signed_manifests(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """See `pva.recheck.exporting.ExportRecords`."""
        held = {} if self.manifests is None else {each: self.manifests(each) for each in digests}
        return {digest: signed for digest, signed in held.items() if signed is not None}

    def policy_texts(self, digests: Sequence[bytes]) -> Sequence[str]:
        """See `pva.recheck.exporting.ExportRecords`."""
        return sorted({each.text for (_, digest), each in self.policies_of.items() if digest in digests})

    def in_force(self, party: RelyingParty, *, supplier: str) -> Sequence[PolicyInForce]:
        """See `pva.validation.ReferencesNow`."""
        owners = {Owner(role="es", tenant=supplier), Owner(role=party.role, tenant=party.tenant)}
        return tuple(
            PolicyInForce(role=owner.role, owner=owner.tenant, digest=digest, text=policy.text)
            for (owner, digest), policy in self.policies_of.items()
            if owner in owners and owner.role in OWNERS and policy.state is PolicyState.ACTIVE
        )

    def add_policy(self, policy: StoredPolicy, *, stored_max: int) -> StoredPolicy:
        """See `pva.policies.desk.PolicyRecords`."""
        known = self.policies_of.get((policy.owner, policy.digest))
        if known is not None:
            return known
        if len(self.policies(policy.owner)) >= stored_max:
            raise RefusalError(RefusalCode.TOO_MANY_POLICIES, subject="policies", reason="too many")
        self.policies_of[policy.owner, policy.digest] = policy
        self.audit.append("policy-added")
        return policy

    def policies(self, owner: Owner | None) -> Sequence[StoredPolicy]:
        """See `pva.policies.desk.PolicyRecords`."""
        return tuple(each for (whose, _), each in self.policies_of.items() if owner in (None, whose))

    def change_state(
        self, owner: Owner, digest: bytes, *, to: PolicyState, by: str, at: datetime
    ) -> StoredPolicy | None:
        """See `pva.policies.desk.PolicyRecords`."""
        known = self.policies_of.get((owner, digest))
        if known is None:
            return None
        active = [each for each in self.policies(owner) if each.state is PolicyState.ACTIVE]
        refuse_step(known, to=to, active=len(active))
        changed = replace(known, state=to, changed_by=by, changed_at=at)
        self.policies_of[owner, digest] = changed
        self.audit.append(f"policy-{to.value}")
        return changed

    def past_verdicts(self, owner: Owner, *, since: datetime, count_max: int) -> Sequence[PastVerdict]:
        """See `pva.policies.desk.PolicyRecords`."""
        found = [
            PastVerdict(
                result_id=each.id,
                device_id=each.result.device_id,
                issued_at=each.result.issued_at,
                status=each.status,
                facts=self.facts.get(each.id),
            )
            for each in self.results.values()
            if each.result.issued_at >= since and self._concerns(each, owner)
        ]
        return sorted(found, key=lambda each: each.issued_at, reverse=True)[:count_max]

    def _concerns(self, result: SignedResult, owner: Owner) -> bool:
        if owner.role == "es":
            return self.histories[result.result.device_id].last.supplier == owner.tenant
        party = self.requests[result.request_id].party
        return (party.role, party.tenant) == (owner.role, owner.tenant)

    def redeem(self, digest: bytes, *, expires_at: datetime, at: datetime) -> bool:
        """See `pva.validation.ValidationStore`."""
        del expires_at, at
        if digest in self.redeemed:
            return False
        self.redeemed.add(digest)
        return True

    def open_request(
        self, request_id: str, *, device_id: str, at: datetime
    ) -> tuple[ValidationRequest, DeviceHistory | None] | None:
        """See `pva.validation.ValidationStore`."""
        request = self.requests.get(request_id)
        if request is None or request.device_id != device_id or not self._open(request, at=at):
            return None
        return request, self.device_history(device_id)

    def device_history(self, device_id: str) -> DeviceHistory | None:
        """See `pva.requests.RequestStore`."""
        return self.histories.get(device_id)

    def holder_of_ak(self, ak_name: bytes) -> str | None:
        """See `pva.validation.ValidationStore`."""
        held = (each.last.device_id for each in self.histories.values() if each.last.ak_name == ak_name)
        return next(held, None)

    def record_result(
        self,
        result: SignedResult,
        *,
        grounds: Grounds,
        history: DeviceHistory,
        expected_revision: int | None,
        at: datetime,
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
        self.evidence[result.id] = grounds.evidence, at + EVIDENCE_LIFE
        self.facts[result.id] = grounds.facts.to_json()
        self.grounds[result.id] = grounds
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
        self._ask_ca(result, at=at)

    def _ask_ca(self, result: SignedResult, *, at: datetime) -> None:
        if self.hold_rule is None:
            return
        name = (result.credential.issuer, result.result.pfc.serial)
        of_credential = [
            each for each in self.results.values() if (each.credential.issuer, each.result.pfc.serial) == name
        ]
        outcomes = [
            Outcome(
                result_id=each.id,
                purpose=each.result.purpose,
                against=each.against,
                recovered=each.recovered,
                at=each.result.issued_at,
            )
            for each in sorted(of_credential, key=lambda each: -self.revisions[each.id])
        ]
        last = self.asks.asked.get(name)
        ask = next_ask(outcomes, last=None if last is None else last[0].act, rule=self.hold_rule, at=at)
        if ask is not None:
            made = StatusAsk(
                issuer=name[0], serial=name[1], act=ask.act, results=ask.results, asked_at=at, tries=0
            )
            self.asks.asked[name] = (made, at, False)
            self.audit.append(f"{ask.act.value}-asked")

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
        """See `pva.store.validations.Store`."""
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
        """See `pva.updates.approvals.ApprovalRecords`."""
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
        """See `pva.updates.approvals.ApprovalRecords`."""
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
