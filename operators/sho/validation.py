"""Steps 8 to 10: the platform of an order is validated by a PVA of this operator's choice (D5, D12, R76, R93).

Rule: a result counts for what it says and who signed it, whoever brought it: the PVA by push, the PVA on query, or a
registration operator in a sealed envelope. It counts once, for the one request whose nonce it carries.

    1 ask: a signed request with a fresh nonce is stored, before anybody sees it
    2 submit: to the PVA itself or through the registration operator; the next PVA where one cannot be reached
    3 poll, beside the push
    4 take: signature and life under this operator's own anchors
    5 it answers a request of this operator
    6 device, order, nonce, AK, audience and PVA are those that were asked about
    7 the verdict: release is permitted, or the order is refused with the PVA's findings
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from cryptography import x509

from edge.process import RandomBytes
from messages.challenge import RP_NONCE_SIZE_MIN, VALIDATION
from messages.errors import MessageError
from messages.operator_token import OperatorSigner
from messages.reliance import Expected, check_answers, permits_release, verify_result
from messages.validation_request import VALIDATION_REQUEST_OF_SHO, SignedRequest
from operators.sho.order_states import BoundOrder, OrderRecord, OrderState, bound
from operators.sho.refusals import PeerError, RefusalCode, RefusalError
from operators.sho.sealed_results import ResultOpener
from standards.rats.ear import AttestationResult

_ID_SIZE: Final = 16
_NONCE_SIZE: Final = max(32, RP_NONCE_SIZE_MIN)
_REASON_MAX: Final = 500
COMPLETED: Final = "completed"
EXPIRED: Final = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRequest:
    """One request as stored: `pva` who is asked, `request_id` once it was handed in, `result` once it is believed."""

    jti: str
    order_id: str
    attempt: int
    pva: str
    rp_nonce: bytes
    token: str
    created_at: datetime
    expires_at: datetime
    request_id: str | None = None
    result: str | None = None
    result_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How a request stands: `state` pending, completed or expired; the result, in clear or sealed."""

    state: str
    result: str | None = None
    sealed: str | None = None


class ValidationRoute(Protocol):
    """The way to a PVA: direct, or through the registration operator. Raises PeerError."""

    def submit(self, token: str) -> str:
        """Hand a signed request in; its id. The same token gets the same id."""

    def progress(self, request_id: str) -> Progress:
        """How a request stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pva:
    """A PVA as this operator knows it: its id under the operators' root, and the way to it."""

    id: str
    route: ValidationRoute
    relayed: bool


class ValidationStore(Protocol):
    """What validation needs of a store; each call is one transaction with its audit leaf."""

    def order(self, order_id: str) -> OrderRecord | None:
        """One order."""

    def latest_request(self, order_id: str) -> ValidationRequest | None:
        """The newest request of an order."""

    def request_of_nonce(self, rp_nonce: bytes) -> ValidationRequest | None:
        """The request that a nonce was drawn for."""

    def add_request(self, request: ValidationRequest, *, before: OrderState, at: datetime) -> bool:
        """Store a request; the order goes from `before` to `validating`. False where another was faster."""

    def submitted(self, jti: str, *, request_id: str) -> None:
        """Remember under which id the PVA has a request."""

    def accept_result(self, jti: str, *, result: AttestationResult, token: str, at: datetime) -> bool:
        """Keep a result that permits release, if the order is validating and has none yet; False otherwise."""

    def refuse_result(
        self, jti: str, *, result: AttestationResult, token: str, reason: str, at: datetime
    ) -> bool:
        """Keep a result that does not, and refuse the order; False where it is no longer validating."""

    def restart(self, order_id: str, *, before: OrderState, at: datetime) -> None:
        """Have the platform of an order validated anew, if it is still in this state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The use case and what it works with; `audience` of results is this operator and its DPF."""

    store: ValidationStore
    pvas: Sequence[Pva]
    operator: str
    dpf: str
    signer: OperatorSigner
    anchors: Sequence[x509.Certificate]
    opener: ResultOpener | None
    random_bytes: RandomBytes = field(repr=False)
    wake: Callable[[], None]
    request_life: timedelta = timedelta(minutes=15)

    def ask(self, order: OrderRecord, *, at: datetime) -> bool:
        """Store a signed request for an order that is registered (1)."""
        latest = self.store.latest_request(order.id)
        silent = latest is not None and latest.request_id is None
        return self._ask_next(order, latest=latest, avoid=latest.pva if latest and silent else None, at=at)

    def pursue(self, order: OrderRecord, *, at: datetime) -> bool:
        """Hand the open request in, or ask what came of it (2, 3); whether anything has changed.

        Raises PeerError where no PVA can be reached now.
        """
        request = self.store.latest_request(order.id)
        if request is None or request.expires_at <= at:
            self.store.restart(order.id, before=order.state, at=at)
            return True
        try:
            if request.request_id is None:
                request_id = self._pva(request.pva).route.submit(request.token)
                self.store.submitted(request.jti, request_id=request_id)
                return True
            progress = self._pva(request.pva).route.progress(request.request_id)
        except PeerError:
            if len(self.pvas) > 1:
                self._ask_next(order, latest=request, avoid=request.pva, at=at)
            raise
        if progress.state == EXPIRED:
            self.store.restart(order.id, before=order.state, at=at)
            return True
        token = self._result_in(progress)
        return token is not None and self.take(token, at=at)

    def take(self, token: str, *, at: datetime) -> bool:
        """Take a result, pushed or fetched (4 to 7); False for one that answers none of this operator's requests.

        Raises RefusalError: not signed by a PVA for this operator, stale, or about something else than was asked.
        """
        try:
            result = verify_result(token, anchors=self.anchors, at=at)  # 4
        except MessageError as error:
            raise RefusalError(RefusalCode.RESULT_INVALID, subject="result", reason=str(error)) from None
        request = self.store.request_of_nonce(result.nonce)
        order = None if request is None else self.store.order(request.order_id)
        if request is None or order is None:  # 5
            return False
        self.check(result, request=request, order=bound(order))  # 6
        if order.state is not OrderState.VALIDATING:
            return True
        if permits_release(result):  # 7
            taken = self.store.accept_result(request.jti, result=result, token=token, at=at)
        else:
            reason = _why(result)
            taken = self.store.refuse_result(request.jti, result=result, token=token, reason=reason, at=at)
        if taken:
            self.wake()
        return True

    def check(self, result: AttestationResult, *, request: ValidationRequest, order: BoundOrder) -> None:
        """Raise RefusalError unless a verified result answers this request about this order (6)."""
        expected = Expected(
            audience=self.operator,
            device_id=order.device_id,
            nonce=request.rp_nonce,
            order_digest=order.digest,
            ak_name=order.ak_name,
        )
        subject = f"result about order {order.id}"
        try:
            check_answers(result, expected)
        except MessageError as error:
            raise RefusalError(RefusalCode.RESULT_MISMATCH, subject=subject, reason=str(error)) from None
        if result.issuer != request.pva:
            reason = f"expected one of the PVA {request.pva!r}, which was asked, got one of {result.issuer!r}"
            raise RefusalError(RefusalCode.RESULT_MISMATCH, subject=subject, reason=reason)

    def _ask_next(
        self, order: OrderRecord, *, latest: ValidationRequest | None, avoid: str | None, at: datetime
    ) -> bool:
        """A request to the first PVA, or to the one after the PVA that is to be avoided."""
        ids = [each.id for each in self.pvas]
        place = ids.index(avoid) + 1 if avoid in ids else 0
        attempt = 1 if latest is None else latest.attempt + 1
        asked = self._signed(bound(order), pva=self.pvas[place % len(ids)], attempt=attempt, at=at)
        return self.store.add_request(asked, before=order.state, at=at)

    def _signed(self, order: BoundOrder, *, pva: Pva, attempt: int, at: datetime) -> ValidationRequest:
        issued_at = at.replace(microsecond=0)
        asked = SignedRequest(
            requester=self.operator,
            pva=pva.id,
            jti=self.random_bytes(_ID_SIZE).hex(),
            device_id=order.device_id,
            purpose=VALIDATION,
            rp_nonce=self.random_bytes(_NONCE_SIZE),
            order_digest=order.digest,
            audience=(self.operator, self.dpf),
            encrypt_to=self.opener.encrypt_to if pva.relayed and self.opener is not None else None,
            issued_at=issued_at,
            expires_at=issued_at + self.request_life,
        )
        return ValidationRequest(
            jti=asked.jti,
            order_id=order.id,
            attempt=attempt,
            pva=pva.id,
            rp_nonce=asked.rp_nonce,
            token=self.signer.sign(asked.claims(), typ=VALIDATION_REQUEST_OF_SHO.typ),
            created_at=at,
            expires_at=asked.expires_at,
        )

    def _result_in(self, progress: Progress) -> str | None:
        if progress.state != COMPLETED:
            return None
        if progress.sealed is None:
            return progress.result
        if self.opener is None:
            raise RefusalError(
                RefusalCode.RESULT_INVALID, subject="relayed result", reason="this operator has no key for it"
            )
        try:
            return self.opener.open(progress.sealed)
        except MessageError as error:
            raise RefusalError(
                RefusalCode.RESULT_INVALID, subject="relayed result", reason=str(error)
            ) from None

    def _pva(self, pva_id: str) -> Pva:
        pva = next((each for each in self.pvas if each.id == pva_id), None)
        if pva is None:
            raise PeerError(f"PVA {pva_id}", reason="it is no longer one of this operator's PVAs")
        return pva


def _why(result: AttestationResult) -> str:
    """The PVA's findings in one line, for the order's record."""
    codes = sorted({each.code for submodule in result.submodules.values() for each in submodule.findings})
    return f"{result.status.value}: {', '.join(codes) or 'no finding was given'}"[:_REASON_MAX]
