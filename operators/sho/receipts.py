"""Steps 13 and 14: the TRE says what came of the package; only then does the network know the subscriber (R98, R99).

Rule: this operator verifies the TRE's own signature, whoever brought it. AuC, order and the word to the user change in
one transaction or not at all, so that nobody is told of a subscription that does not work (R12). A receipt that says
"failed" never opens the AuC. In a change of operator the AuC opens, since the device is to attach with the new IMSI, and
the user is told later, when the change is confirmed (`operators.sho.changes`).

    1 the message is one, and the order that it names has a package
    2 the fresh result: a PVA's under this operator's anchors, for this operator, not too long ago, and it permits
      release
    3 it is about the device, order, AK and storage key of the package, by the PVA that this operator chose for them
    4 the statement is a quote by this AK over the package's own receipt nonce, in the state of the fresh result
    5 it speaks of this device, order, package and MID
    6 installed: AuC, order and user, in one transaction, and of an update everything that the order before it had; the signed instruction is the answer; `switch` with the prior
      operator's release where the order takes over from another operator
      failed: the order stays authorised where a new try can mend it, and has failed otherwise
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from cryptography import x509

from messages.encoding import decode_fields
from messages.errors import MessageError
from messages.instruction import ACTIVATE, INSTRUCTION_KIND, Instruction
from messages.operator_token import OperatorSigner, check_life, verify_operator_token
from messages.order import DIGEST_SIZE
from messages.reliance import (
    RESULT_BYTES_MAX,
    RESULT_KIND,
    Expected,
    check_answers,
    permits_release,
)
from messages.statement import (
    STATEMENT_BYTES_MAX,
    Receipt,
    SignedStatement,
    StateChangedError,
    decode_receipt,
    decode_statement,
    verify_statement,
)
from operators.sho.changes import Answered, ChangeDesk
from operators.sho.mid_updates import UPDATED
from operators.sho.order_states import (
    IN_DEVICE,
    BoundOrder,
    Change,
    MidUpdate,
    OrderRecord,
    OrderState,
    bound,
)
from operators.sho.packages import Package
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.validation import ValidationRequest
from standards.rats.ear import AttestationResult
from standards.rats.ear import read_claims as read_result
from standards.rats.errors import RatsError

RECEIPT_MESSAGE_BYTES_MAX: Final = RESULT_BYTES_MAX + STATEMENT_BYTES_MAX + 256
RETRYABLE: Final = frozenset({"state-refused", "storage"})
"""Failures that a new try can mend: the order stays authorised."""
_WITH_PACKAGE: Final = frozenset(
    {
        OrderState.PACKAGED,
        OrderState.AUTHORIZED,
        OrderState.INSTALLED,
        OrderState.ACTIVE,
        OrderState.FAILED,
    }
)
_INSTANT: Final = timedelta(seconds=1)
INFORMED: Final = "The subscription is installed in your device and active."


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptMessage:
    """What the DPF sends; nothing in it is proven."""

    order_digest: bytes
    statement: bytes
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptAnswer:
    """What the DPF gets: the order's state, and the instruction for the TRE once the subscription is active."""

    state: OrderState
    instruction: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenReceipt:
    """A verified receipt as recorded; `digest` is SHA-256 of the statement as it came."""

    digest: bytes
    order_id: str
    receipt: Receipt
    answer: ReceiptAnswer


class ReceiptStore(Protocol):
    """What receipts need of a store; each call is one transaction with its audit leaf."""

    def order_of_digest(self, digest: bytes) -> OrderRecord | None:
        """The order with this digest."""

    def package(self, order_id: str) -> Package | None:
        """The newest package of an order."""

    def accepted_request(self, order_id: str) -> ValidationRequest | None:
        """The request whose result this order rests on."""

    def authorized(self, order_id: str, *, at: datetime) -> None:
        """The DPF has the authorisation of a packaged order."""

    def answer_to(self, digest: bytes) -> ReceiptAnswer | None:
        """The answer that a receipt got before."""

    def activate(self, taken: TakenReceipt, *, informed: str, at: datetime) -> None:
        """AuC and order become active, the user is informed, the receipt is kept: all of it or nothing.

        With an update goes over whatever the order before it had. An order that is active already only keeps the receipt.
        Raises RefusalError where the order has changed.
        """

    def change(self, order_id: str) -> Change | None:
        """The change that an order makes, if it makes one."""

    def update_of(self, order_id: str) -> MidUpdate | None:
        """What an order updates, if it is an update."""

    def install(self, taken: TakenReceipt, *, at: datetime) -> None:
        """AuC opens, the order is installed, its first switch is counted, the receipt is kept: all of it or nothing.

        An order that is installed or active already only keeps the receipt. Raises RefusalError where it has changed.
        """

    def keep_failure(self, taken: TakenReceipt, *, at: datetime) -> None:
        """Keep a receipt of a failure; the order goes to the state of its answer. Raises RefusalError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptDesk:
    """The use case and what it works with; `late` is how long a receipt may be on its way after its fresh result.

    A receipt is a fact: it says what happened in a state that was judged then. The DPF keeps it while this operator
    cannot be reached.
    """

    store: ReceiptStore
    changes: ChangeDesk
    signer: OperatorSigner
    anchors: Sequence[x509.Certificate]
    late: timedelta = timedelta(days=1)

    def take(self, data: bytes, *, at: datetime) -> ReceiptAnswer:
        """Take a receipt; the same again gets the same answer. Raises RefusalError."""
        message, statement = _decoded(data)
        order = self._order(message)
        package = self.store.package(order.id)
        if order.state not in _WITH_PACKAGE or package is None:  # 1
            raise RefusalError(
                RefusalCode.ORDER_NOT_AUTHORIZED,
                subject=f"order {order.id}",
                reason=f"it is {order.state.value}",
            )
        digest = hashlib.sha256(message.statement).digest()
        known = self.store.answer_to(digest)
        if known is not None:
            return known
        binding = bound(order)
        fresh = self._fresh(message.result, order=binding, package=package, at=at)  # 2, 3
        receipt = _verified(statement, fresh=fresh, order=binding, package=package)  # 4, 5
        if order.state is OrderState.PACKAGED:  # killed before it could note that the DPF had the package
            self.store.authorized(order.id, at=at)
            order = replace(order, state=OrderState.AUTHORIZED)
        answer = self._answer(receipt, order=order)
        taken = TakenReceipt(digest=digest, order_id=order.id, receipt=receipt, answer=answer)
        if receipt.installed and answer.state is OrderState.INSTALLED:  # 6
            self.store.install(taken, at=at)
        elif receipt.installed:
            self.store.activate(taken, informed=self._informed(receipt, order), at=at)
        else:
            self.store.keep_failure(taken, at=at)
        return answer

    def _informed(self, receipt: Receipt, order: OrderRecord) -> str:
        is_update = self.store.update_of(order.id) is not None
        return UPDATED.format(version=receipt.version) if is_update else INFORMED

    def _order(self, message: ReceiptMessage) -> OrderRecord:
        order = self.store.order_of_digest(message.order_digest)
        if order is None:
            raise RefusalError(
                RefusalCode.ORDER_UNKNOWN,
                subject="order of the receipt",
                reason="this operator has none such",
            )
        return order

    def _fresh(self, token: str, *, order: BoundOrder, package: Package, at: datetime) -> AttestationResult:
        try:
            signed = verify_operator_token(
                token, RESULT_KIND, anchors=self.anchors, at=at, bytes_max=RESULT_BYTES_MAX
            )
            fresh = read_result(signed.claims)
            late = at - fresh.expires_at
            judged_at = fresh.expires_at - _INSTANT if timedelta() <= late < self.late else at
            check_life(
                "the fresh result",
                issued_at=fresh.issued_at,
                expires_at=fresh.expires_at,
                at=judged_at,
            )
        except (MessageError, RatsError) as error:
            raise RefusalError(
                RefusalCode.RESULT_INVALID, subject="fresh result", reason=str(error)
            ) from None
        expected = Expected(
            audience=self.signer.issuer,
            device_id=order.device_id,
            order_digest=order.digest,
            ak_name=order.ak_name,
            storage_key_name=package.storage_key_name,
        )
        try:
            check_answers(fresh, expected)
        except MessageError as error:
            raise RefusalError(
                RefusalCode.RESULT_MISMATCH, subject="fresh result", reason=str(error)
            ) from None
        asked = self.store.accepted_request(order.id)
        if asked is None or fresh.issuer != asked.pva:
            raise RefusalError(
                RefusalCode.RESULT_MISMATCH,
                subject="fresh result",
                reason=f"expected one of the PVA that validated the platform, got one of {fresh.issuer!r}",
            )
        if not permits_release(fresh):
            raise RefusalError(
                RefusalCode.RESULT_NOT_AFFIRMING,
                subject="fresh result",
                reason=f"it says {fresh.status.value} for the purpose {fresh.purpose}",
            )
        return fresh

    def _answer(self, receipt: Receipt, *, order: OrderRecord) -> ReceiptAnswer:
        if receipt.installed:
            if order.state is OrderState.FAILED:
                raise RefusalError(
                    RefusalCode.ORDER_NOT_AUTHORIZED,
                    subject=f"order {order.id}",
                    reason="its TRE has signed before that the package failed for good",
                )
            change = self.store.change(order.id)
            if change is None:
                return ReceiptAnswer(state=OrderState.ACTIVE, instruction=self._instruction(receipt))
            answered = Answered(device_id=receipt.device_id, mid_id=receipt.mid_id, nonce=receipt.tre_nonce)
            after = order.state if order.state in IN_DEVICE else OrderState.INSTALLED
            return ReceiptAnswer(state=after, instruction=self.changes.switch(change, answered))
        if order.state is OrderState.AUTHORIZED and receipt.outcome not in RETRYABLE:
            return ReceiptAnswer(state=OrderState.FAILED, instruction=None)
        return ReceiptAnswer(state=order.state, instruction=None)

    def _instruction(self, receipt: Receipt) -> str:
        instruction = Instruction(
            sho=self.signer.issuer,
            action=ACTIVATE,
            device_id=receipt.device_id,
            mid_id=receipt.mid_id,
            tre_nonce=receipt.tre_nonce,
        )
        return self.signer.sign(instruction.claims(), typ=INSTRUCTION_KIND.typ)


def _decoded(data: bytes) -> tuple[ReceiptMessage, SignedStatement]:
    try:
        fields = decode_fields(data, what="receipt message", bytes_max=RECEIPT_MESSAGE_BYTES_MAX)
        message = ReceiptMessage(
            order_digest=fields.octets(1, size_min=DIGEST_SIZE, size_max=DIGEST_SIZE),
            statement=fields.octets(2, size_min=1, size_max=STATEMENT_BYTES_MAX),
            result=fields.text(3, size_max=RESULT_BYTES_MAX),
        )
        fields.close()
        return message, decode_statement(message.statement)
    except MessageError as error:
        raise RefusalError(RefusalCode.RECEIPT_MALFORMED, subject="receipt", reason=str(error)) from None


def _verified(
    statement: SignedStatement, *, fresh: AttestationResult, order: BoundOrder, package: Package
) -> Receipt:
    """What the TRE says, proven to be its word about this package (4, 5)."""
    try:
        body = verify_statement(
            statement,
            nonce=package.receipt_nonce,
            ak_name=order.ak_name,
            pcr_selections=fresh.pcr_selections,
            pcr_digest=fresh.pcr_digest,
        )
        receipt = decode_receipt(body)
    except StateChangedError as error:
        raise RefusalError(RefusalCode.STATE_CHANGED, subject="receipt", reason=str(error)) from None
    except MessageError as error:
        raise RefusalError(RefusalCode.RECEIPT_INVALID, subject="receipt", reason=str(error)) from None
    wrong = [
        name
        for name, same in {
            "device": receipt.device_id == order.device_id,
            "order": hmac.compare_digest(receipt.order_digest, order.digest),
            "package": hmac.compare_digest(receipt.package_digest, package.digest),
            "MID": receipt.mid_id == package.mid_id,
            "version": receipt.version == package.version,
        }.items()
        if not same
    ]
    if wrong:
        raise RefusalError(
            RefusalCode.RECEIPT_MISMATCH,
            subject="receipt",
            reason=f"it speaks of another {', another '.join(wrong)}",
        )
    return receipt
