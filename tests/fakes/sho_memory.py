"""The SHO's store in memory: satisfies the same ports as `operators.sho.store`, and the same contract tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from messages.instruction import BLOCK, UNBLOCK
from messages.state_event import StateEvent
from operators.sho.lives import Told
from operators.sho.order_binding import Binding
from operators.sho.order_states import (
    ERASABLE,
    IN_DEVICE,
    REPLACEABLE,
    Change,
    OrderRecord,
    OrderState,
)
from operators.sho.packages import Package
from operators.sho.receipts import ReceiptAnswer, TakenReceipt
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.registration import NewOrder
from operators.sho.releases import ReleaseRecord, ReleaseState
from operators.sho.spoken_states import QuotedState, UpdatedPlatform
from operators.sho.subscriptions import StoredSubscription
from operators.sho.updates import ApprovedUpdate
from operators.sho.validation import ValidationRequest
from standards.aka.sequence import HomeSequence
from standards.rats.ear import AttestationResult
from tests.fakes.sho_memory_migrations import MemoryMigrations


@dataclass
class MemoryStore(MemoryMigrations):
    """Everything in dictionaries; a method changes all of its rows or none."""

    # orders

    def add_order(self, order: NewOrder) -> OrderRecord:
        known = self.placed.setdefault(order.idempotency_key, order)
        if known.request_digest != order.request_digest:
            raise RefusalError(RefusalCode.IDEMPOTENCY_CONFLICT, subject="Idempotency-Key", reason="another")
        if known is order:
            self.records[order.record.id] = order.record
            self._leaf("order-taken", order.record.id)
            if order.prior is not None:
                self.changes[order.record.id] = Change(order_id=order.record.id, prior=order.prior)
        return self.records[known.record.id]

    def order(self, order_id: str) -> OrderRecord | None:
        return self.records.get(order_id)

    def order_of_digest(self, digest: bytes) -> OrderRecord | None:
        return next((each for each in self.records.values() if each.digest == digest), None)

    def orders_of_code(self, device_code: str) -> Sequence[OrderRecord]:
        own = [each for each in reversed(self.records.values()) if each.id not in self.updates]
        return [each for each in own if each.device_code == device_code]

    def due(self, *, at: datetime, limit: int) -> Sequence[OrderRecord]:
        due = [
            (each.state is OrderState.ORDERED, each.due_at, each.id, each)
            for each in self.records.values()
            if each.due_at is not None and each.due_at <= at
        ]
        return [each for *_, each in sorted(due, key=lambda row: row[:3])][:limit]

    def informed(self, order_id: str) -> tuple[str, ...]:
        return self.told_texts.get(order_id, ())

    def announced(self, order_id: str, *, at: datetime) -> None:
        del at
        if not self.records[order_id].announced:
            self._set(order_id, announced=True)
            self._leaf("order-announced", order_id)

    def postpone(self, order: OrderRecord, *, due_at: datetime) -> None:
        now = self.records[order.id]
        if (now.state, now.due_at, now.tries) == (order.state, order.due_at, order.tries):
            self._set(order.id, due_at=due_at, tries=order.tries + 1)

    def note(self, order_id: str, *, code: str, reason: str, at: datetime) -> None:
        del code, reason, at
        self._leaf("peer-refused", order_id)

    def expire(self, order_id: str, *, before: OrderState, at: datetime) -> None:
        if self._move(order_id, before, OrderState.EXPIRED, at=at, reason="it has lapsed"):
            self._give_up(order_id, before=before)

    def restart(self, order_id: str, *, before: OrderState, at: datetime) -> None:
        if self._move(order_id, before, OrderState.REGISTERED, at=at):
            self.accepted -= {each.jti for each in self.requests.values() if each.order_id == order_id}

    def refuse(self, order_id: str, *, before: OrderState, reason: str, at: datetime) -> None:
        self._move(order_id, before, OrderState.REFUSED, at=at, reason=reason)

    # registration

    def register(self, order_id: str, binding: Binding, *, replaced: Sequence[str], at: datetime) -> bool:
        if not self._move(order_id, OrderState.ORDERED, OrderState.REGISTERED, at=at):
            return False
        device = binding.device
        self._set(
            order_id,
            device_id=device.device_id,
            ak_name=device.ak_name,
            ak_public=device.ak_public,
            es_root_sha256=device.es_root_sha256,
            token=binding.token,
            digest=binding.digest,
            expires_at=binding.expires_at,
            tries=0,
        )
        self._wish_lock(order_id)
        made_now = () if order_id in self.moves else binding.subscriptions(len(self.subscriptions) + 1)
        for made in made_now:
            self.subscriptions[made.imsi] = StoredSubscription(
                imsi=made.imsi,
                order_id=order_id,
                access=made.access,
                active=False,
                sequence=HomeSequence(),
                sealed=made.sealed,
            )
        for other in replaced:
            state = self.records[other].state
            if state in REPLACEABLE:
                reason = f"order {order_id} for the same device took its place"
                self._move(other, state, OrderState.EXPIRED, at=at, reason=reason)
        return True

    def authorization_lapsed(self, order_id: str, *, at: datetime) -> bool:
        return self.packages[order_id].expires_at <= at

    # validation

    def add_request(self, request: ValidationRequest, *, before: OrderState, at: datetime) -> bool:
        after = OrderState.VALIDATING
        if before is not after and not self._move(request.order_id, before, after, at=at):
            return False
        self.requests[request.jti] = request
        self._leaf("validation-asked", request.order_id)
        return True

    def submitted(self, jti: str, *, request_id: str) -> None:
        self.requests[jti] = replace(self.requests[jti], request_id=request_id)

    def latest_request(self, order_id: str) -> ValidationRequest | None:
        own = [each for each in self.requests.values() if each.order_id == order_id]
        return max(own, key=lambda each: each.attempt, default=None)

    def accepted_request(self, order_id: str) -> ValidationRequest | None:
        own = (self.requests[jti] for jti in self.accepted)
        return next((each for each in own if each.order_id == order_id), None)

    def request_of_nonce(self, rp_nonce: bytes) -> ValidationRequest | None:
        return next((each for each in self.requests.values() if each.rp_nonce == rp_nonce), None)

    def accept_result(self, jti: str, *, result: AttestationResult, token: str, at: datetime) -> bool:
        order_id = self.requests[jti].order_id
        validating = self.records[order_id].state is OrderState.VALIDATING
        if not validating or self.accepted_request(order_id) is not None:
            return False
        self._set(order_id, due_at=at, tries=0)
        self.accepted.add(jti)
        self._keep_result(jti, result, token)
        return True

    def refuse_result(
        self, jti: str, *, result: AttestationResult, token: str, reason: str, at: datetime
    ) -> bool:
        order_id = self.requests[jti].order_id
        if not self._move(order_id, OrderState.VALIDATING, OrderState.REFUSED, at=at, reason=reason):
            return False
        self._keep_result(jti, result, token)
        return True

    # provisioning and receipts

    def package(self, order_id: str) -> Package | None:
        return self.packages.get(order_id)

    def save_package(self, order_id: str, package: Package, *, at: datetime) -> None:
        if self._move(order_id, OrderState.VALIDATING, OrderState.PACKAGED, at=at):
            self.packages[order_id] = package

    def authorized(self, order_id: str, *, at: datetime) -> None:
        self._move(order_id, OrderState.PACKAGED, OrderState.AUTHORIZED, at=at)

    def answer_to(self, digest: bytes) -> ReceiptAnswer | None:
        return self.receipts.get(digest)

    def activate(self, taken: TakenReceipt, *, informed: str, at: datetime) -> None:
        order_id = taken.order_id
        if self._move(order_id, OrderState.AUTHORIZED, OrderState.INSTALLED, at=at):
            for each in self.subscriptions_of(order_id):
                self.subscriptions[each.imsi] = replace(each, active=True)
            self._take_over(order_id, at=at)
            self._move(order_id, OrderState.INSTALLED, OrderState.ACTIVE, at=at)
            self.told_users(order_id, informed)
            self._leaf("user-informed", order_id)
        else:
            self._check_state(order_id, OrderState.ACTIVE)
        self._keep_receipt(taken)

    def install(self, taken: TakenReceipt, *, at: datetime) -> None:
        order_id = taken.order_id
        if self._move(order_id, OrderState.AUTHORIZED, OrderState.INSTALLED, at=at):
            for each in self.subscriptions_of(order_id):
                self.subscriptions[each.imsi] = replace(each, active=True)
            self.switched(order_id, before=0, at=at)
        else:
            self._check_state(order_id, taken.answer.state)
        self._keep_receipt(taken)

    def keep_failure(self, taken: TakenReceipt, *, at: datetime) -> None:
        state, reason = taken.answer.state, f"{taken.receipt.outcome}: {taken.receipt.detail}"
        before = OrderState.AUTHORIZED
        if state is not OrderState.FAILED or not self._move(
            taken.order_id, before, state, at=at, reason=reason
        ):
            self._check_state(taken.order_id, state)
        else:
            self._give_up(taken.order_id, before=before)
        self._keep_receipt(taken)

    # states of devices

    def record_state(self, event: StateEvent, *, suspended: bool | None, at: datetime) -> bool:
        """See `operators.sho.device_states.DeviceStateStore`."""
        del at
        before = self.states.get((event.device_id, event.pva))
        if before is not None and before[0] >= event.sequence:
            return False
        was = before is not None and before[1]
        now = was if suspended is None else suspended
        self.states[event.device_id, event.pva] = (event.sequence, now)
        changed = "subscription-suspended" if now else "subscription-reopened"
        self._leaf("state-noted" if was == now else changed, event.device_id)
        return True

    def _suspended(self, order_id: str) -> bool:
        device_id = self.records[order_id].device_id
        return any(bad for (named, _), (_, bad) in self.states.items() if named == device_id)

    # subscriptions

    def take_sequence(
        self, imsi: str, *, advance: Callable[[StoredSubscription], HomeSequence]
    ) -> StoredSubscription | None:
        before = self.subscriptions.get(imsi)
        if before is not None:
            before = replace(
                before, suspended=self._suspended(before.order_id) or before.order_id in self.barred
            )
            self.subscriptions[imsi] = replace(before, sequence=advance(before))
        return before

    # updates of platforms

    def note_update(self, order_id: str, update: ApprovedUpdate, *, at: datetime) -> None:
        """See `operators.sho.updates.UpdateStore`."""
        del at
        before = self.updated_platform(update.device_id)
        self.platforms[update.device_id] = replace(before, coming=update.state)
        self._leaf("update-approved", order_id)

    def updated_platform(self, device_id: str) -> UpdatedPlatform:
        """See `operators.sho.spoken_states.SpokenStateStore`."""
        return self.platforms.get(device_id, UpdatedPlatform())

    def state_shown(self, device_id: str, state: QuotedState, *, at: datetime) -> None:
        """See `operators.sho.spoken_states.SpokenStateStore`."""
        if self.updated_platform(device_id).coming == state:
            self.platforms[device_id] = UpdatedPlatform(shown=state, shown_at=at)
            self._leaf("update-shown", device_id)

    # lives of MIDs

    def wish(self, order_id: str, action: str, *, reason: str, at: datetime) -> None:
        """See `operators.sho.lives.LifeStore`."""
        del at
        self.lives[order_id] = replace(self.life(order_id), wish=action, reason=reason)
        self.barred |= {order_id} if action == BLOCK else set()
        self._leaf("mid-wish", order_id)

    def ask(self, order_id: str, nonce: bytes, *, at: datetime) -> None:
        """See `operators.sho.lives.LifeStore`."""
        del at
        self.lives[order_id] = replace(self.life(order_id), query_nonce=nonce)
        self._leaf("mid-asked", order_id)

    def told(self, order_id: str, told: Told, *, at: datetime) -> bool:
        """See `operators.sho.lives.LifeStore`."""
        del at
        before = self.life(order_id)
        if before.query_nonce != told.query_nonce:
            return False
        if told.is_done and before.wish == UNBLOCK:
            self.barred -= {order_id}
        self.lives[order_id] = replace(
            before,
            wish=None if told.is_done else before.wish,
            state=told.state,
            state_reason=told.state_reason,
            sequence=max(told.sequence, before.sequence),
            query_nonce=None,
            proof_nonce=told.proof_nonce,
            instruction=told.instruction,
        )
        self._leaf("mid-told", order_id)
        return True

    def erased(self, order_id: str, statement: bytes, *, informed: str, at: datetime) -> None:
        """See `operators.sho.lives.LifeStore`."""
        if not any(self._move(order_id, each, OrderState.ERASED, at=at) for each in sorted(ERASABLE)):
            self._check_state(order_id, OrderState.ERASED)
            return
        for each in self.subscriptions_of(order_id):
            self.subscriptions[each.imsi] = replace(each, active=False)
        self.lives[order_id] = replace(self.life(order_id), wish=None, state="ERASED")
        self.proofs[order_id] = statement
        self.told_users(order_id, informed)
        self._leaf("user-informed", order_id)

    # releases and changes of operator

    def is_released(self, order_id: str) -> bool:
        """See `operators.sho.lives.LifeStore`."""
        return any(each.state is ReleaseState.RELEASED for each in self.releases(order_id))

    def order_of_mid(self, device_id: str, mid_id: str) -> OrderRecord | None:
        """See `operators.sho.releases.ReleaseStore`."""
        there = IN_DEVICE | {OrderState.ERASED}
        own = (each for each in self.records.values() if each.device_id == device_id and each.state in there)
        return next(
            (each for each in own if each.id in self.packages and self.packages[each.id].mid_id == mid_id),
            None,
        )

    def is_blocked(self, order_id: str) -> bool:
        """See `operators.sho.releases.ReleaseStore`."""
        return order_id in self.barred

    def erase_proof(self, order_id: str) -> bytes | None:
        """See `operators.sho.releases.ReleaseStore`."""
        return self.proofs.get(order_id)

    def releases(self, order_id: str) -> tuple[ReleaseRecord, ...]:
        """See `operators.sho.releases.ReleaseStore`."""
        return tuple(self.asked[key] for key in sorted(self.asked) if key[0] == order_id)

    def ask_release(self, asked: ReleaseRecord, *, informed: str | None, at: datetime) -> ReleaseRecord:
        """See `operators.sho.releases.ReleaseStore`."""
        del at
        key = (asked.order_id, asked.successor)
        if key not in self.asked:
            self.asked[key] = asked
            self._leaf("release-asked", asked.order_id)
            if informed is not None:
                self.told_users(asked.order_id, informed)
                self._leaf("user-informed", asked.order_id)
        return self.asked[key]

    def decide_release(self, decided: ReleaseRecord, *, informed: str, at: datetime) -> bool:
        """See `operators.sho.releases.ReleaseStore`."""
        del at
        key = (decided.order_id, decided.successor)
        if self.asked[key].state is ReleaseState.RELEASED:
            return False
        self.asked[key] = decided
        self._leaf("release-decided", decided.order_id)
        self.told_users(decided.order_id, informed)
        self._leaf("user-informed", decided.order_id)
        return True

    def change(self, order_id: str) -> Change | None:
        """See `operators.sho.changes.ChangeStore`."""
        return self.changes.get(order_id)

    def keep_release(self, order_id: str, token: str, *, at: datetime) -> None:
        """See `operators.sho.changes.ChangeStore`."""
        del at
        if self.changes[order_id].release is None:
            self.changes[order_id] = replace(self.changes[order_id], release=token)
            self._leaf("prior-released", order_id)

    def switched(self, order_id: str, *, before: int, at: datetime) -> bool:
        """See `operators.sho.changes.ChangeStore`."""
        del at
        if self.changes[order_id].switches != before:
            return False
        self.changes[order_id] = replace(self.changes[order_id], switches=before + 1, attached=False)
        self._leaf("switch-signed", order_id)
        return True

    def attached(self, imsi: str, *, network: str, at: datetime) -> None:
        """See `operators.sho.changes.ChangeStore`."""
        del network, at
        subscriber = self.subscriptions.get(imsi)
        change = None if subscriber is None else self.changes.get(subscriber.order_id)
        if (
            change is None
            or change.attached
            or self.records[change.order_id].state is not OrderState.INSTALLED
        ):
            return
        self.changes[change.order_id] = replace(change, attached=True)
        self._leaf("successor-attached", change.order_id)

    def changed(self, order_id: str, *, informed: str, at: datetime) -> None:
        """See `operators.sho.changes.ChangeStore`."""
        if not self._move(order_id, OrderState.INSTALLED, OrderState.ACTIVE, at=at):
            self._check_state(order_id, OrderState.ACTIVE)
            return
        self._set(order_id, due_at=at, tries=0)
        self.told_users(order_id, informed)
        self._leaf("user-informed", order_id)

    def keep_proof(self, order_id: str, proof: bytes, *, informed: str, at: datetime) -> None:
        """See `operators.sho.changes.ChangeStore`."""
        del at
        self._set(order_id, due_at=None)
        if self.changes[order_id].proof is None:
            self.changes[order_id] = replace(self.changes[order_id], proof=proof)
            self._leaf("prior-erased", order_id)
            self.told_users(order_id, informed)
            self._leaf("user-informed", order_id)

    def _keep_result(self, jti: str, result: AttestationResult, token: str) -> None:
        self.requests[jti] = replace(self.requests[jti], result=token, result_id=result.result_id)
        self._leaf("result-taken", result.device_id)

    def _keep_receipt(self, taken: TakenReceipt) -> None:
        if taken.digest in self.receipts:
            return
        self.receipts[taken.digest] = taken.answer
        self._leaf("receipt-taken", taken.order_id)
