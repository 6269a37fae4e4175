"""MIDs that are in devices: what this operator wants of them, what their TREs say, and the word that joins the two (R34, R37-R40, R59).

Rule: a device brings what its TRE signed and takes what this operator signed; who carries it decides nothing. Every
instruction answers the nonce of a report that was verified just now, and what became of it is believed by the next
report alone. The AuC closes for good with a verified erase proof, and at once where a MID is to be blocked.

    1 the order is active, or installed in a change of operator, so its MID is in that device
    2 with nothing in hand: a signed question, whose nonce is good for one report
    3 a report: by this AK, for that nonce, in a state in which its TRE is heard; its journal has not gone back
    4 what is wanted and is not so yet: an instruction for the nonce in the report; of a MID that has not served yet, what its
      change of operator needs (`changes`); a MID that was released and handed over is to be erased; with nothing wanted of an
      active one, the update that stands for it (`mid_updates`), as for one whose receipt was lost
    5 an erase proof: by this AK, for the nonce of the instruction, about this MID; AuC and order end with it, or with a
      report that says ERASED where no instruction waits for its proof
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final, Protocol

from cryptography import x509

from edge.process import RandomBytes
from messages.erasure import ERASURE, decode_erasure
from messages.errors import MessageError
from messages.instruction import (
    ACTIVATE,
    BLOCK,
    DEACTIVATE,
    ERASE,
    INSTRUCTION_KIND,
    LOCK,
    PROOF_NONCE_SIZE,
    UNBLOCK,
    UNLOCK,
    Instruction,
)
from messages.operator_token import OperatorSigner
from messages.registry import (
    HAND_OVER,
    PASSING,
    QUERY_KIND,
    QUERY_NONCE_SIZE,
    REGISTRY,
    REGISTRY_BODY_BYTES_MAX,
    RegistryEntry,
    RegistryQuery,
    RegistryReport,
    decode_report,
)
from messages.statement import SignedStatement, decode_statement, kind_of
from operators.sho.order_states import (
    ERASABLE,
    IN_DEVICE,
    BoundOrder,
    MidMigration,
    OrderRecord,
    OrderState,
    bound,
)
from operators.sho.packages import Package
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.spoken_states import SpokenStateStore, heard

WANTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        ACTIVATE: "ACTIVE",
        DEACTIVATE: "INACTIVE",
        BLOCK: "BLOCKED",
        UNBLOCK: "INACTIVE",
        ERASE: "ERASED",
        LOCK: "MIGRATING",
        UNLOCK: "ACTIVE",
    }
)
"""What an operator can want of a MID, and the state that a TRE reports when it is so."""
OF_STAFF: Final = frozenset(WANTED) - {LOCK, UNLOCK}
"""What its staff can want: locks belong to a migration (`operators.sho.mid_migrations`)."""
NO_REASON: Final = "owner"
OF_A_CHANGE: Final = frozenset({ERASE})
"""What an operator can want of a MID that is installed in a change of operator and has not served yet."""
CHANGE: Final = "change of operator"
"""Reason of an erasure that nobody had to ask for: another operator's MID serves in place of this one."""
ENDED: Final = "The subscription has been erased from your device and has ended."
LEFT: Final = "What a migration of your subscription has left in a device has been erased from it."


@unique
class StepKind(StrEnum):
    """What the device is to do next."""

    REPORT = "report"
    INSTRUCT = "instruct"
    ERASE = "erase"
    UPDATE = "update"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One answer to a device: what its TRE is to be asked, by which token; there is none where all is done."""

    kind: StepKind
    token: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MidLife:
    """What is on record about the MID of an order: the wish that is open, and what its TRE has said last.

    `query_nonce` is that of a question that waits for its report, `proof_nonce` and `instruction` those of an erasure that
    waits for its proof.
    """

    order_id: str
    wish: str | None = None
    reason: str = ""
    state: str | None = None
    state_reason: str = ""
    sequence: int = 0
    query_nonce: bytes | None = None
    proof_nonce: bytes | None = None
    instruction: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a verified report changes: the MID's state, and what is answered to it."""

    query_nonce: bytes
    state: str
    state_reason: str
    sequence: int
    is_done: bool
    is_instructed: bool = False
    instruction: str | None = None
    proof_nonce: bytes | None = None


class OperatorChanges(Protocol):
    """What a MID needs that is to serve in place of another operator's (`operators.sho.changes`)."""

    def next_word(
        self, order: OrderRecord, entry: RegistryEntry, *, nonce: bytes, at: datetime
    ) -> str | None:
        """What answers a verified report about the MID of an installed order, if anything. Raises RefusalError."""


class MidUpdates(Protocol):
    """Next versions of MIDs (`operators.sho.mid_updates`)."""

    def offer(self, order: OrderRecord, *, at: datetime) -> str | None:
        """The token of the update that stands for the MID of an order, if there is one. Raises RefusalError."""


class LifeStore(SpokenStateStore, Protocol):
    """What this use case needs of a store; each call is one transaction with its audit leaf."""

    def current(self, order_id: str) -> str:
        """The order that has the subscription of this one now: itself, unless it was superseded."""

    def standing_migration(self, order_id: str) -> MidMigration | None:
        """The migration of the MID of this order, while it can still be given up."""

    def order(self, order_id: str) -> OrderRecord | None:
        """One order."""

    def order_of_digest(self, digest: bytes) -> OrderRecord | None:
        """The order with this digest."""

    def package(self, order_id: str) -> Package | None:
        """The newest package of an order."""

    def life(self, order_id: str) -> MidLife:
        """What is on record about the MID of an order; the empty record where nothing is."""

    def wish(self, order_id: str, action: str, *, reason: str, at: datetime) -> None:
        """Keep what is wanted, in place of what was; `block` bars the subscription in the AuC at once."""

    def ask(self, order_id: str, nonce: bytes, *, at: datetime) -> None:
        """Keep the nonce of a question, in place of one that no report came for."""

    def is_released(self, order_id: str) -> bool:
        """Whether some successor has the release of the MID of an order."""

    def told(self, order_id: str, told: Told, *, at: datetime) -> bool:
        """Keep what a report said, if its nonce is still open; a wish that is done ends, and with `unblock` the bar."""

    def erased(self, order_id: str, statement: bytes, *, informed: str, at: datetime) -> None:
        """End order and subscription with the proof, and tell the user; done already is no error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeDesk:
    """The use case and what it works with."""

    store: LifeStore
    changes: OperatorChanges
    updates: MidUpdates
    signer: OperatorSigner
    anchors: Sequence[x509.Certificate]
    random_bytes: RandomBytes = field(repr=False)

    def want(self, order_id: str, action: str, *, reason: str, at: datetime) -> MidLife:
        """Keep what this operator wants of a MID; its device hears of it when it asks next. Raises RefusalError."""
        order = self.store.order(self.store.current(order_id))
        if order is None or action not in OF_STAFF:
            raise RefusalError(
                RefusalCode.ORDER_UNKNOWN,
                subject="order" if order is None else "action",
                reason="there is none with this id"
                if order is None
                else f"expected {', '.join(sorted(OF_STAFF))}",
            )
        _check_active(order)
        if order.state is OrderState.INSTALLED and action not in OF_A_CHANGE:
            raise RefusalError(
                RefusalCode.ORDER_NOT_AUTHORIZED,
                subject=f"order {order.id}",
                reason=f"its change of operator is under way: expected {', '.join(OF_A_CHANGE)}, got {action}",
            )
        if self.store.standing_migration(order.id) is not None:
            raise RefusalError(
                RefusalCode.MIGRATION_UNDER_WAY,
                subject=f"order {order.id}",
                reason="its MID is on its way to another device",
            )
        self.store.wish(order.id, action, reason=reason, at=at)
        return self.store.life(order.id)

    def about(self, order_id: str) -> MidLife:
        """What is on record about the MID of an order. Raises RefusalError."""
        if self.store.order(order_id) is None:
            raise RefusalError(
                RefusalCode.ORDER_UNKNOWN, subject="order", reason="there is none with this id"
            )
        return self.store.life(self.store.current(order_id))

    def next_step(self, order_digest: bytes, statement: bytes | None, *, at: datetime) -> Step:
        """What the device is to do, after what its TRE has said, if anything. Raises RefusalError."""
        order = self.store.order_of_digest(order_digest)
        if order is None:
            raise RefusalError(
                RefusalCode.ORDER_UNKNOWN, subject="order", reason="this operator has none such"
            )
        if order.state is OrderState.ERASED:
            return Step(kind=StepKind.DONE)
        if order.state not in IN_DEVICE:
            token = self.updates.offer(order, at=at)
            if token is not None:
                return Step(kind=StepKind.UPDATE, token=token)
        if order.state not in ERASABLE or self.store.life(order.id).wish != ERASE:
            _check_active(order)  # 1
        if statement is None:
            return self._question(order, at=at)  # 2
        try:
            said = decode_statement(statement, body_bytes_max=REGISTRY_BODY_BYTES_MAX)
            kind = kind_of(said)
        except MessageError as error:
            raise RefusalError(
                RefusalCode.RECEIPT_MALFORMED, subject="statement", reason=str(error)
            ) from None
        if kind == ERASURE:
            return self._erased(order, said, encoded=statement, at=at)  # 5
        if kind == REGISTRY:
            return self._answer(order, said, encoded=statement, at=at)  # 3, 4
        raise RefusalError(
            RefusalCode.RECEIPT_MISMATCH,
            subject="statement",
            reason=f"expected a report or a proof, got {kind}",
        )

    def _question(self, order: OrderRecord, *, at: datetime) -> Step:
        nonce = self.random_bytes(QUERY_NONCE_SIZE)
        self.store.ask(order.id, nonce, at=at)
        query = RegistryQuery(sho=self.signer.issuer, device_id=bound(order).device_id, nonce=nonce)
        return Step(kind=StepKind.REPORT, token=self.signer.sign(query.claims(), typ=QUERY_KIND.typ))

    def _answer(self, order: OrderRecord, said: SignedStatement, *, encoded: bytes, at: datetime) -> Step:
        life, binding = self.store.life(order.id), bound(order)
        if life.query_nonce is None:
            raise RefusalError(
                RefusalCode.RECEIPT_MISMATCH, subject="report", reason="no question waits for one"
            )
        report = self._report(said, order=binding, nonce=life.query_nonce, at=at)
        _check_journal(report, life=life)
        entry = self._entry(report, order=binding)
        if life.wish is None and _is_handed_over(report, entry) and self.store.is_released(order.id):
            self.store.wish(order.id, ERASE, reason=CHANGE, at=at)
            life = self.store.life(order.id)
        step, told = self._wanted(life, report, entry, order=binding)
        if not self.store.told(order.id, told, at=at):
            raise RefusalError(
                RefusalCode.CONCURRENT_CHANGE,
                subject=f"order {order.id}",
                reason="another report came meanwhile",
                retry_after_s=1,
            )
        if entry.state == WANTED[ERASE] and step.kind is StepKind.DONE:
            # nothing waits for a proof any more; what the TRE says of its tombstone is signed too
            self.store.erased(order.id, encoded, informed=_last_word(order), at=at)
        elif step.kind is StepKind.DONE and order.state is OrderState.INSTALLED:
            word = self.changes.next_word(order, entry, nonce=report.tre_nonce, at=at)
            return step if word is None else Step(kind=StepKind.INSTRUCT, token=word)
        elif step.kind is StepKind.DONE and entry.state == WANTED[ACTIVATE]:
            token = self.updates.offer(order, at=at)
            return step if token is None else Step(kind=StepKind.UPDATE, token=token)
        return step

    def _wanted(
        self, life: MidLife, report: RegistryReport, entry: RegistryEntry, *, order: BoundOrder
    ) -> tuple[Step, Told]:
        """What follows from what is wanted and what is so."""
        told = Told(
            query_nonce=life.query_nonce or b"",
            state=entry.state,
            state_reason=entry.reason,
            sequence=report.sequence,
            is_done=_is_so(life, entry),
            instruction=life.instruction,
            proof_nonce=life.proof_nonce,
        )
        if entry.state == WANTED[ERASE]:
            # gone, and its proof has not come: the same instruction gives it
            kind = StepKind.DONE if life.instruction is None else StepKind.ERASE
            return Step(kind=kind, token=life.instruction), told
        if life.wish is None or told.is_done:
            return Step(kind=StepKind.DONE), told
        is_erasure = life.wish == ERASE
        proof_nonce = self.random_bytes(PROOF_NONCE_SIZE) if is_erasure else None
        instruction = Instruction(
            sho=self.signer.issuer,
            action=life.wish,
            device_id=order.device_id,
            mid_id=entry.mid_id,
            tre_nonce=report.tre_nonce,
            reason=life.reason or None,
            proof_nonce=proof_nonce,
        )
        token = self.signer.sign(instruction.claims(), typ=INSTRUCTION_KIND.typ)
        step = Step(kind=StepKind.ERASE if is_erasure else StepKind.INSTRUCT, token=token)
        kept = token if is_erasure else None
        return step, Told(
            query_nonce=told.query_nonce,
            state=told.state,
            state_reason=told.state_reason,
            sequence=told.sequence,
            is_done=False,
            is_instructed=True,
            instruction=kept,
            proof_nonce=proof_nonce,
        )

    def _erased(self, order: OrderRecord, said: SignedStatement, *, encoded: bytes, at: datetime) -> Step:
        life, binding = self.store.life(order.id), bound(order)
        if life.proof_nonce is None:
            raise RefusalError(
                RefusalCode.RECEIPT_MISMATCH, subject="erase proof", reason="no erasure waits for one"
            )
        try:
            erasure = decode_erasure(self._heard(said, order=binding, nonce=life.proof_nonce, at=at))
        except MessageError as error:
            raise RefusalError(
                RefusalCode.RECEIPT_INVALID, subject="erase proof", reason=str(error)
            ) from None
        package = self.store.package(order.id)
        expected = (binding.device_id, self.signer.issuer, "" if package is None else package.mid_id)
        same_order = hmac.compare_digest(erasure.order_digest, binding.digest)
        if (erasure.device_id, erasure.sho, erasure.mid_id) != expected or not same_order:
            raise RefusalError(
                RefusalCode.RECEIPT_MISMATCH, subject="erase proof", reason="it speaks of another MID"
            )
        self.store.erased(order.id, encoded, informed=_last_word(order), at=at)
        return Step(kind=StepKind.DONE)

    def _report(
        self, said: SignedStatement, *, order: BoundOrder, nonce: bytes, at: datetime
    ) -> RegistryReport:
        try:
            report = decode_report(self._heard(said, order=order, nonce=nonce, at=at))
        except MessageError as error:
            raise RefusalError(RefusalCode.RECEIPT_INVALID, subject="report", reason=str(error)) from None
        if (report.device_id, report.sho) != (order.device_id, self.signer.issuer):
            raise RefusalError(
                RefusalCode.RECEIPT_MISMATCH,
                subject="report",
                reason="it speaks of another device or to another operator",
            )
        return report

    def _entry(self, report: RegistryReport, *, order: BoundOrder) -> RegistryEntry:
        package = self.store.package(order.id)
        for entry in report.entries:
            same_order = hmac.compare_digest(entry.order_digest, order.digest)
            if same_order and package is not None and entry.mid_id == package.mid_id:
                return entry
        raise RefusalError(
            RefusalCode.RECEIPT_MISMATCH,
            subject="report",
            reason="the MID of this order is not in it",
        )

    def _heard(self, said: SignedStatement, *, order: BoundOrder, nonce: bytes, at: datetime) -> bytes:
        return heard(said, nonce=nonce, order=order, store=self.store, anchors=self.anchors, at=at)


def _is_so(life: MidLife, entry: RegistryEntry) -> bool:
    """Whether what is wanted is so: a compartment that is closed shows BLOCKED too, for another reason.

    What a change of operator shows until it is confirmed may be undone, so it is not what was wanted.
    """
    if life.wish is None or entry.state != WANTED[life.wish] or entry.reason in PASSING:
        return False
    return life.wish != BLOCK or entry.reason == (life.reason or NO_REASON)


def _is_handed_over(report: RegistryReport, entry: RegistryEntry) -> bool:
    """Whether the TRE says that another owner's MID serves in place of this one for good."""
    last = max(
        (each for each in report.transitions if each.mid_id == entry.mid_id),
        key=lambda each: each.number,
        default=None,
    )
    is_over = entry.state == WANTED[DEACTIVATE] and entry.reason not in PASSING
    return is_over and last is not None and last.event == HAND_OVER


def _last_word(order: OrderRecord) -> str:
    """What the user is told when the MID of an order is gone."""
    return ENDED if order.state in IN_DEVICE else LEFT


def _check_active(order: OrderRecord) -> None:
    if order.state not in IN_DEVICE:
        raise RefusalError(
            RefusalCode.ORDER_NOT_AUTHORIZED,
            subject=f"order {order.id}",
            reason=f"it is {order.state.value}, so no MID of it is in a device",
        )


def _check_journal(report: RegistryReport, *, life: MidLife) -> None:
    """A compartment counts its versions up; 0 is said of one that is gone."""
    if 0 < report.sequence < life.sequence:
        raise RefusalError(
            RefusalCode.RECEIPT_MISMATCH,
            subject="report",
            reason=f"its journal went back: expected {life.sequence} or more, got {report.sequence}",
        )
