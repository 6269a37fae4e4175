"""Use case: a device asks for its subscription, and gets it only through the gate (step 12; D8, D11, A28).

Rule: no byte of package or content leaves before a grant, and a grant is made only by `_judge`, which runs the whole
gate of `operators.dpf.gate` on a validation that this DPF asked for itself, with its own nonce, after the device came;
and while the newest event of a watch denies it, not even then (`operators.dpf.device_states`).
Refusals are kept for the SHO, with an audit leaf each. A delivery whose PVA or responder is silent waits; it never
passes.

    open      1 authorisation of this device and order   2 the open delivery, if there is one
              3 points 1 to 4 of the gate                4 a new delivery with a nonce of its own
              5 the signed question to the PVA
    progress  1 delivery and authorisation               2 an answered question, pushed or fetched
              3 the gate, points 1 to 6                  4 the delivery token
              5 the grant: one INSERT under unique keys
    content   1 the grant                                2 what can have ended since     3 one chunk
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from messages.state_event import PlatformState
from operators.dpf.credential import PlatformCredential, Supplier, check_credential, check_status
from operators.dpf.device_states import check_watched
from operators.dpf.drafts import Drafts
from operators.dpf.gate import Authorized, Trust, check_authorized, check_fresh_result, check_still_granted
from operators.dpf.records import (
    AuthorizationRecord,
    AuthorizationStatus,
    DeliveryRecord,
    DeliveryStatus,
    Grant,
)
from operators.dpf.refusals import RefusalCode, RefusalError
from standards.pki.ocsp_answer import CertStatus
from standards.rats.ear import AttestationResult


class ReleaseStore(Protocol):
    """What this use case needs of a store; each call is one transaction."""

    def newest_authorization(self, device_id: str, order_digest: bytes) -> AuthorizationRecord | None:
        """The authorisation that speaks for a device and order: the last that was accepted."""

    def authorization(self, authorization_id: str) -> AuthorizationRecord | None:
        """One authorisation."""

    def open_delivery(self, authorization_id: str) -> DeliveryRecord | None:
        """The delivery of an authorisation that is validating or granted."""

    def delivery(self, delivery_id: str) -> DeliveryRecord | None:
        """One delivery."""

    def add_delivery(self, record: DeliveryRecord, *, pause: timedelta) -> DeliveryRecord:
        """Add it, or give the open one that was first. Raises RefusalError (TOO_SOON within `pause` of the last)."""

    def record_request_id(self, delivery_id: str, request_id: str) -> None:
        """Keep the PVA's id of a delivery's question."""

    def record_fresh_result(self, nonce: bytes, token: str) -> None:
        """Keep an answer with the open delivery that asked on this nonce; others' answers are not kept."""

    def end_delivery(self, delivery_id: str, *, at: datetime) -> None:
        """End a delivery whose time is over; a spent grant opens its authorisation again, or closes it."""

    def record_refusal(
        self, authorization_id: str, refusal: RefusalError, *, delivery_id: str | None, at: datetime
    ) -> None:
        """Keep a refusal with its audit leaf; unless waiting helps, the delivery is over."""

    def grant(self, grant: Grant, *, fresh_result: str) -> Grant:
        """Make a grant, or give the one that the delivery has. Raises RefusalError (AUTHORIZATION_CLOSED)."""

    def grant_of(self, delivery_id: str) -> Grant | None:
        """The grant of a delivery."""


class ValidationService(Protocol):
    """The PVAs that this DPF asks, by their ids. Both raise RefusalError (PVA_UNAVAILABLE)."""

    def submit(self, pva: str, request: str) -> str:
        """Hand in a signed question; the PVA's id for it, the same for the same question."""

    def answer(self, pva: str, request_id: str) -> str | None:
        """The signed result, None while the platform has not answered."""


class StatusSource(Protocol):
    """Asks a supplier's responder, with a nonce."""

    def __call__(self, credential: PlatformCredential) -> CertStatus:
        """The verified present status. Raises RefusalError (OCSP_UNAVAILABLE)."""


class WatchedStates(Protocol):
    """What PVAs have told of devices that are watched."""

    def watched_states(self, device_id: str, *, sho: str) -> tuple[PlatformState, ...]:
        """The newest state of a device that an operator has watched, one a PVA; none where nothing was told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantedDelivery:
    """What a device gets with its grant."""

    grant: Grant
    package: str
    content_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseDesk:
    """The use case and what it works with."""

    store: ReleaseStore
    validation: ValidationService
    status_of: StatusSource
    states: WatchedStates
    trust: Trust
    suppliers: Sequence[Supplier]
    drafts: Drafts
    pause: timedelta
    chunk_bytes: int

    def open(
        self, device_id: str, order_digest: bytes, *, pfc_chain: Sequence[bytes], at: datetime
    ) -> DeliveryRecord:
        """Open the delivery of an order for a device, or give the open one. Raises RefusalError."""
        # 1 the authorisation of this device and order
        authorization = self._authorization(device_id, order_digest)
        # 2 the open delivery, if there is one
        current = self.store.open_delivery(authorization.id)
        if current is not None and self._is_alive(current, at=at):
            return self._asked(current, authorization, at=at)
        if current is not None:
            self.store.end_delivery(current.id, at=at)
            authorization = self._authorization(device_id, order_digest)
        # 3 points 1 to 4 of the gate: nobody is validated for what could not be granted
        try:
            authorized = self._check_authorized(authorization, at=at)
        except RefusalError as refusal:
            self.store.record_refusal(authorization.id, refusal, delivery_id=None, at=at)
            raise
        # 4 a new delivery with a nonce of its own, on record before anybody is asked
        delivery = self.store.add_delivery(
            self.drafts.delivery(authorization, pva=authorized.result.issuer, pfc_chain=pfc_chain, at=at),
            pause=self.pause,
        )
        # 5 the signed question to the PVA
        return self._asked(delivery, authorization, at=at)

    def progress(self, delivery_id: str, *, at: datetime) -> GrantedDelivery | None:
        """The grant of a delivery, None while the platform is being validated. Raises RefusalError."""
        # 1 delivery and authorisation
        delivery, authorization = self._delivery(delivery_id)
        if delivery.status is DeliveryStatus.GRANTED:
            return self._granted(delivery, authorization, at=at)
        try:
            # 2 the answered question, pushed or fetched
            token = self._fresh_result(delivery, authorization, at=at)
            if token is None:
                return None
            # 3 the gate, points 1 to 6
            authorized, fresh = self._judge(delivery, authorization, token=token, at=at)
            # 4 the delivery token
            draft = self.drafts.grant(delivery, authorization, authorized=authorized, fresh=fresh, at=at)
            # 5 the grant: one INSERT under unique keys
            grant = self.store.grant(draft, fresh_result=token)
        except RefusalError as refusal:
            self.store.record_refusal(authorization.id, refusal, delivery_id=delivery.id, at=at)
            raise
        return GrantedDelivery(
            grant=grant, package=authorization.parts.package, content_size=len(authorization.parts.content)
        )

    def content(self, delivery_id: str, *, offset: int, at: datetime) -> bytes:
        """One chunk of the encrypted content from `offset` (bytes) on. Raises RefusalError."""
        # 1 the grant
        delivery, authorization = self._delivery(delivery_id)
        if delivery.status is not DeliveryStatus.GRANTED:
            raise RefusalError(
                RefusalCode.NOT_GRANTED,
                subject=f"delivery {delivery.id}",
                reason="the platform is being validated, and nothing leaves before",
            )
        # 2 what can have ended since
        self._granted(delivery, authorization, at=at)
        # 3 one chunk
        content = authorization.parts.content
        if not 0 <= offset < len(content):
            raise RefusalError(
                RefusalCode.OFFSET_BEYOND_CONTENT,
                subject=f"delivery {delivery.id}",
                reason=f"expected an offset of 0 to {len(content) - 1}, got another",
            )
        return content[offset : offset + self.chunk_bytes]

    def _judge(
        self, delivery: DeliveryRecord, authorization: AuthorizationRecord, *, token: str, at: datetime
    ) -> tuple[Authorized, AttestationResult]:
        """The gate in full; the only way to a grant."""
        authorized = self._check_authorized(authorization, at=at)
        fresh = check_fresh_result(
            token, authorized=authorized, nonce=delivery.nonce, trust=self.trust, at=at
        )
        credential = check_credential(
            delivery.pfc_chain,
            judged=fresh.pfc,
            device_id=delivery.device_id,
            suppliers=self.suppliers,
            at=at,
        )
        check_status(self.status_of(credential), credential=credential, at=at)
        return authorized, fresh

    def _check_authorized(self, authorization: AuthorizationRecord, *, at: datetime) -> Authorized:
        self._check_watched(authorization)
        return check_authorized(
            authorization.parts,
            sho=authorization.sho,
            trust=self.trust,
            accepted_at=authorization.accepted_at,
            at=at,
        )

    def _check_watched(self, authorization: AuthorizationRecord) -> None:
        device_id = authorization.device_id
        check_watched(device_id, self.states.watched_states(device_id, sho=authorization.sho))

    def _authorization(self, device_id: str, order_digest: bytes) -> AuthorizationRecord:
        """An authorisation that a delivery may be opened on, or on which one is open."""
        record = self.store.newest_authorization(device_id, order_digest)
        if record is None:
            raise RefusalError(
                RefusalCode.NOTHING_AUTHORIZED,
                subject=f"device {device_id}",
                reason="no operator has authorised a delivery of this order to this device",
            )
        if record.status is AuthorizationStatus.INSTALLED:
            raise RefusalError(
                RefusalCode.ORDER_INSTALLED,
                subject=f"device {device_id}",
                reason="its TRE has said that the package is installed",
            )
        if record.status is AuthorizationStatus.CLOSED:
            raise RefusalError(
                RefusalCode.AUTHORIZATION_CLOSED,
                subject=f"device {device_id}",
                reason=f"the authorisation ended after {record.grants} grants",
            )
        return record

    def _is_alive(self, delivery: DeliveryRecord, *, at: datetime) -> bool:
        if delivery.status is DeliveryStatus.VALIDATING:
            return at < delivery.expires_at
        grant = self.store.grant_of(delivery.id)
        return grant is not None and at < grant.expires_at

    def _asked(
        self, delivery: DeliveryRecord, authorization: AuthorizationRecord, *, at: datetime
    ) -> DeliveryRecord:
        """Hand the question in unless the PVA has it; a silent PVA is asked again at the next turn."""
        if delivery.status is DeliveryStatus.VALIDATING and delivery.request_id is None:
            try:
                self._submit(delivery)
            except RefusalError as refusal:
                self.store.record_refusal(authorization.id, refusal, delivery_id=delivery.id, at=at)
        return delivery

    def _submit(self, delivery: DeliveryRecord) -> str:
        request_id = self.validation.submit(delivery.pva, delivery.request)
        self.store.record_request_id(delivery.id, request_id)
        return request_id

    def _fresh_result(
        self, delivery: DeliveryRecord, authorization: AuthorizationRecord, *, at: datetime
    ) -> str | None:
        if authorization.status is not AuthorizationStatus.OPEN:
            raise RefusalError(
                RefusalCode.AUTHORIZATION_CLOSED,
                subject=f"delivery {delivery.id}",
                reason="its authorisation was replaced or has ended",
            )
        # whatever life a PVA gives its results: what was true for longer than this DPF waits is not "now"
        if at >= delivery.expires_at:
            raise RefusalError(
                RefusalCode.VALIDATION_EXPIRED,
                subject=f"delivery {delivery.id}",
                reason=f"no grant was made on its validation until {delivery.expires_at:%Y-%m-%dT%H:%M:%SZ}",
            )
        if delivery.fresh_result is not None:
            return delivery.fresh_result
        return self.validation.answer(delivery.pva, delivery.request_id or self._submit(delivery))

    def _delivery(self, delivery_id: str) -> tuple[DeliveryRecord, AuthorizationRecord]:
        """A delivery that is open, with its authorisation."""
        delivery = self.store.delivery(delivery_id)
        authorization = None if delivery is None else self.store.authorization(delivery.authorization_id)
        if authorization is not None and authorization.status is not AuthorizationStatus.OPEN:
            delivery = self.store.delivery(delivery_id)  # another request may have been granted it meanwhile
        if delivery is None or authorization is None:
            raise RefusalError(RefusalCode.NOT_FOUND, subject="delivery", reason="there is none with this id")
        if delivery.status in {DeliveryStatus.REFUSED, DeliveryStatus.DONE}:
            raise RefusalError(
                RefusalCode.DELIVERY_CLOSED,
                subject=f"delivery {delivery.id}",
                reason=f"it is over: {delivery.status.value}",
            )
        return delivery, authorization

    def _granted(
        self, delivery: DeliveryRecord, authorization: AuthorizationRecord, *, at: datetime
    ) -> GrantedDelivery:
        """The grant that a delivery has, if everything it stands on still stands."""
        grant = self.store.grant_of(delivery.id)
        if grant is None or delivery.fresh_result is None:
            raise RefusalError(
                RefusalCode.NOT_GRANTED, subject=f"delivery {delivery.id}", reason="it has no grant"
            )
        try:
            self._check_watched(authorization)
            check_still_granted(
                authorization.parts,
                fresh_token=delivery.fresh_result,
                grant_ends_at=grant.expires_at,
                sho=authorization.sho,
                trust=self.trust,
                at=at,
            )
        except RefusalError as refusal:
            self.store.record_refusal(authorization.id, refusal, delivery_id=None, at=at)
            raise
        return GrantedDelivery(
            grant=grant, package=authorization.parts.package, content_size=len(authorization.parts.content)
        )
