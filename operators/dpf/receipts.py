"""Use case: the TRE's signed receipt comes, is proven, and goes to the SHO as it is (steps 13 and 14; R98, R99).

Rule: a receipt is believed for the TRE's signature over it, in the platform state of the fresh result, never for who
brought it; an agent can hold one back and nothing else. What is proven is on record before it is forwarded, so it is
never lost; the SHO gets the very bytes, with the fresh result, and proves them again.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from messages.errors import MessageError
from messages.statement import (
    Receipt,
    StateChangedError,
    decode_receipt,
    decode_statement,
    verify_statement,
)
from operators.dpf.gate import Authorized, Trust, check_authorized, recognised_result
from operators.dpf.records import AuthorizationRecord, DeliveryRecord, Grant, ReceiptRecord
from operators.dpf.refusals import RefusalCode, RefusalError

FORWARDED_AT_ONCE_MAX = 100
FORWARDED_FOR = timedelta(days=7)
"""How long a receipt that its SHO refuses is brought again; afterwards only where its device asks."""


class ReceiptStore(Protocol):
    """What this use case needs of a store; each call is one transaction."""

    def authorization(self, authorization_id: str) -> AuthorizationRecord | None:
        """One authorisation."""

    def delivery(self, delivery_id: str) -> DeliveryRecord | None:
        """One delivery."""

    def grant_of(self, delivery_id: str) -> Grant | None:
        """The grant of a delivery."""

    def receipt(self, digest: bytes) -> ReceiptRecord | None:
        """A receipt by the SHA-256 of its statement."""

    def add_receipt(self, record: ReceiptRecord) -> ReceiptRecord:
        """Add it with its audit leaf and what it means for the authorisation, or give the same one on record.

        Raises RefusalError (RECEIPT_CONFLICT): it contradicts what this TRE said before, or there are too many.
        """

    def end_delivery(self, delivery_id: str, *, at: datetime, spent: bool = False) -> None:
        """End a delivery; `spent` ends its grant before its time."""

    def record_refusal(
        self, authorization_id: str, refusal: RefusalError, *, delivery_id: str | None, at: datetime
    ) -> None:
        """Keep a refusal with its audit leaf."""

    def unforwarded_receipts(
        self, *, since: datetime, after: ReceiptRecord | None, limit: int
    ) -> tuple[ReceiptRecord, ...]:
        """Receipts that came `since` and that their SHO has not taken, oldest first, from behind `after` on."""

    def record_forwarded(self, digest: bytes, *, instruction: str | None, at: datetime) -> None:
        """Keep that the SHO took a receipt, with its instruction and an audit leaf."""


class NotTakenError(Exception):
    """The SHO did not take the receipt: it stays here. `is_silent` where it would not take another one now, either."""

    def __init__(self, sho: str, *, is_silent: bool = True) -> None:
        """Keep both."""
        super().__init__(sho)
        self.is_silent = is_silent


class Operators(Protocol):
    """The SHOs that this DPF delivers for."""

    def bring_receipt(self, receipt: ReceiptRecord) -> str | None:
        """Bring a receipt to its SHO; its signed instruction, if it gives one. Raises NotTakenError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptDesk:
    """The use case and what it works with."""

    store: ReceiptStore
    operators: Operators
    trust: Trust

    def take(self, delivery_id: str, statement: bytes, *, at: datetime) -> ReceiptRecord:
        """Take a receipt for a delivery; `forwarded_at` is None while its SHO has not taken it. Raises RefusalError."""
        # 1 the delivery, its grant and what it was made on
        delivery, grant, authorization = self._granted(delivery_id)
        # 2 the same again changes nothing
        digest = hashlib.sha256(statement).digest()
        known = self.store.receipt(digest)
        if known is not None and known.delivery_id == delivery_id:
            return self.forward(known, at=at)
        # 3 what the TRE says, proven against the fresh result of this delivery
        try:
            receipt = self._prove(statement, delivery=delivery, grant=grant, authorization=authorization)
        except RefusalError as refusal:
            if refusal.code == RefusalCode.RECEIPT_STATE_CHANGED:
                self.store.end_delivery(delivery_id, at=at, spent=True)  # D4: a fresh validation, no success
            self.store.record_refusal(authorization.id, refusal, delivery_id=None, at=at)
            raise
        # 4 on record, with what it means for the authorisation, in one transaction
        record = self.store.add_receipt(
            ReceiptRecord(
                digest=digest,
                delivery_id=delivery_id,
                authorization_id=authorization.id,
                sho=authorization.sho,
                order_digest=authorization.order_digest,
                statement=statement,
                fresh_result=delivery.fresh_result or "",
                outcome=receipt.outcome,
                received_at=at,
                forwarded_at=None,
                instruction=None,
            )
        )
        # 5 to the SHO, unmodified
        return self.forward(record, at=at)

    def forward(self, record: ReceiptRecord, *, at: datetime) -> ReceiptRecord:
        """Bring a receipt to its SHO unless it has it; as it then is on record."""
        if record.forwarded_at is not None:
            return record
        try:
            return self._bring(record, at=at)
        except NotTakenError:
            return record

    def forward_waiting(self, *, at: datetime) -> None:
        """Bring every receipt that waits for its SHO; an SHO that is silent, or refuses one, holds up no other."""
        silent: set[str] = set()
        page: tuple[ReceiptRecord, ...] = ()
        while page := self.store.unforwarded_receipts(
            since=at - FORWARDED_FOR, after=page[-1] if page else None, limit=FORWARDED_AT_ONCE_MAX
        ):
            for record in page:
                if record.sho in silent:
                    continue
                try:
                    self._bring(record, at=at)
                except NotTakenError as error:
                    silent |= {record.sho} if error.is_silent else set()

    def _bring(self, record: ReceiptRecord, *, at: datetime) -> ReceiptRecord:
        instruction = self.operators.bring_receipt(record)
        self.store.record_forwarded(record.digest, instruction=instruction, at=at)
        return self.store.receipt(record.digest) or record

    def _granted(self, delivery_id: str) -> tuple[DeliveryRecord, Grant, AuthorizationRecord]:
        """A delivery that was granted; a receipt is a fact, also after the grant's end."""
        delivery = self.store.delivery(delivery_id)
        if delivery is None:
            raise RefusalError(RefusalCode.NOT_FOUND, subject="delivery", reason="there is none with this id")
        grant = self.store.grant_of(delivery_id)
        authorization = self.store.authorization(delivery.authorization_id)
        if grant is None or authorization is None:
            raise RefusalError(
                RefusalCode.NOT_GRANTED,
                subject=f"delivery {delivery_id}",
                reason="nothing was delivered, so nothing can be receipted",
            )
        return delivery, grant, authorization

    def _prove(
        self,
        statement: bytes,
        *,
        delivery: DeliveryRecord,
        grant: Grant,
        authorization: AuthorizationRecord,
    ) -> Receipt:
        """The receipt, if the TRE of this very platform said it about this package. Raises RefusalError."""
        subject = f"receipt for delivery {delivery.id}"
        try:
            signed = decode_statement(statement)
            receipt = decode_receipt(signed.body)
        except MessageError as error:
            raise RefusalError(RefusalCode.RECEIPT_MALFORMED, subject=subject, reason=str(error)) from None
        then = grant.granted_at
        authorized = check_authorized(
            authorization.parts,
            sho=authorization.sho,
            trust=self.trust,
            accepted_at=authorization.accepted_at,
            at=then,
        )
        fresh = recognised_result(
            delivery.fresh_result or "", RefusalCode.FRESH_RESULT_INVALID, trust=self.trust, at=then
        )
        try:
            verify_statement(
                signed,
                nonce=authorized.package.receipt_nonce,
                ak_name=fresh.ak_name,
                pcr_selections=fresh.pcr_selections,
                pcr_digest=fresh.pcr_digest,
            )
        except StateChangedError as error:
            raise RefusalError(
                RefusalCode.RECEIPT_STATE_CHANGED, subject=subject, reason=str(error)
            ) from None
        except MessageError as error:
            raise RefusalError(RefusalCode.RECEIPT_INVALID, subject=subject, reason=str(error)) from None
        _check_about(receipt, authorized=authorized, subject=subject)
        return receipt


def _check_about(receipt: Receipt, *, authorized: Authorized, subject: str) -> None:
    authorization, package = authorized.authorization, authorized.package
    pairs = {
        "device": (authorization.device_id, receipt.device_id),
        "order": (authorization.order_digest, receipt.order_digest),
        "package": (authorization.package_digest, receipt.package_digest),
        "MID": (package.mid_id, receipt.mid_id),
        "version": (package.version, receipt.version),
    }
    wrong = [name for name, (expected, got) in pairs.items() if expected != got]
    if wrong:
        raise RefusalError(
            RefusalCode.RECEIPT_MISMATCH,
            subject=subject,
            reason=f"expected what was delivered, got another {', another '.join(wrong)}",
        )
