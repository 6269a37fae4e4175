"""Steps 0 and 7: a user orders for a device, the device registers, and both are bound by the order token (D11).

Rule: an order is for one device code, and from its registration on for one device and AK. One registration is one
transaction: binding, token, K, OPc and IMSI exist together or not at all. Repeats change nothing.

A user orders:
    1 the device code is one, the product is offered; the prior operator, if one is named, is known
    2 the order is stored under the user's idempotency key
    3 the DRF is told that an order waits for this code
A device registers:
    1 AK, Platform Credential and device belong together, under a recognised ES root
    2 the order for its code; with several, `choose_order` says which
    3 the order is nobody else's: code, device and AK
    4 the order token is signed
    5 token, binding, K, OPc, IMSI in one transaction; an older order that is replaced lapses with it
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol

from edge.process import RandomBytes
from messages.device_code import device_code, is_code_of, read_device_code
from messages.encoding import encode_deterministic
from messages.errors import MessageError
from messages.operator_token import OperatorSigner
from operators.sho.credential import ProvenDevice, RecognisedSupplier, prove_device
from operators.sho.order_binding import Binding, Operator, OrderBinder
from operators.sho.order_states import REPLACEABLE, UNDER_WAY, OrderRecord, OrderState, Prior
from operators.sho.refusals import PeerError, RefusalCode, RefusalError
from operators.sho.subscriber_secrets import SubscriberSecrets
from operators.sho.subscriptions import NewSubscription

_ID_SIZE: Final = 16
_ORDER_CODE_DIGITS: Final = 8
_CLOSED: Final = frozenset(
    {OrderState.EXPIRED, OrderState.FAILED, OrderState.ERASED, OrderState.SUPERSEDED, OrderState.MOVED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderWish:
    """What a user asks for; `device_code` as typed; `prior` what the order takes over, if anything."""

    subscriber: str
    device_code: str
    product: str
    idempotency_key: str
    prior: Prior | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOrder:
    """An order to be stored; `request_digest` tells a repeated request from another one under the same key."""

    record: OrderRecord
    idempotency_key: str
    request_digest: bytes
    sealed_subscriber: bytes = field(repr=False)
    prior: Prior | None = None


class RegistrationStore(Protocol):
    """What registration needs of a store; each call is one transaction with its audit leaf."""

    def add_order(self, order: NewOrder) -> OrderRecord:
        """Store an order; the same request under the same key gives the order that is there.

        Raises RefusalError: another request came under this key before.
        """

    def order(self, order_id: str) -> OrderRecord | None:
        """One order."""

    def informed(self, order_id: str) -> tuple[str, ...]:
        """What the user of an order has been told, oldest first."""

    def current(self, order_id: str) -> str:
        """The order that has the subscription of this one now: itself, unless it was superseded."""

    def orders_of_code(self, device_code: str) -> Sequence[OrderRecord]:
        """Orders for a device code, newest first; none that updates a MID."""

    def announced(self, order_id: str, *, at: datetime) -> None:
        """Remember that the DRF knows an order."""

    def register(self, order_id: str, binding: Binding, *, replaced: Sequence[str], at: datetime) -> bool:
        """Bind an order in state `ordered`, and let older ones expire; False where it is no longer `ordered`."""

    def authorization_lapsed(self, order_id: str, *, at: datetime) -> bool:
        """Whether the newest authorisation of an order can no longer be used."""

    def restart(self, order_id: str, *, before: OrderState, at: datetime) -> None:
        """Have the platform of an order validated anew, if it is still in this state."""


class Announcer(Protocol):
    """The DRF, as far as orders go. Raises PeerError."""

    def announce(self, order_id: str, *, device_code: str) -> None:
        """Say that an order waits for the device with this code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registrar:
    """The use case and what it works with; `wait` until a device must come, `life` of an order token."""

    store: RegistrationStore
    announcer: Announcer
    operator: Operator
    suppliers: Sequence[RecognisedSupplier]
    signer: OperatorSigner
    secrets: SubscriberSecrets
    new_subscriptions: Callable[[str, int], tuple[NewSubscription, ...]]
    random_bytes: RandomBytes = field(repr=False)
    wake: Callable[[], None]
    wait: timedelta = timedelta(days=30)
    life: timedelta = timedelta(days=1)

    def place(self, wish: OrderWish, *, at: datetime) -> OrderRecord:
        """Take a user's order. Raises RefusalError."""
        code = self._checked_code(wish)  # 1
        taken_over = [] if wish.prior is None else [wish.prior.operator, wish.prior.mid_id]
        request = encode_deterministic([wish.subscriber, code, wish.product, *taken_over])
        order_id = self.random_bytes(_ID_SIZE).hex()
        record = OrderRecord(
            id=order_id,
            device_code=code,
            product=wish.product,
            subscriber=self.secrets.pseudonym(wish.subscriber),
            order_code=self.order_code(),
            state=OrderState.ORDERED,
            created_at=at,
            expires_at=at + self.wait,
            announced=False,
            due_at=at,
            tries=0,
        )
        stored = self.store.add_order(
            NewOrder(
                record=record,
                idempotency_key=wish.idempotency_key,
                request_digest=hashlib.sha256(request).digest(),
                sealed_subscriber=self.secrets.seal(wish.subscriber.encode(), bound_to=order_id),
                prior=wish.prior,
            )
        )  # 2
        self.announce_now(stored, at=at)  # 3
        return stored

    def announce_now(self, order: OrderRecord, *, at: datetime) -> None:
        """Tell the DRF about an order that was just placed; where it cannot be reached, as soon as it can."""
        try:
            self.announce(order, at=at)
        except PeerError:
            self.wake()  # the order stands

    def announce(self, order: OrderRecord, *, at: datetime) -> None:
        """Tell the DRF about an order, once. Raises PeerError."""
        if order.announced or order.state is not OrderState.ORDERED:
            return
        self.announcer.announce(order.id, device_code=order.device_code)
        self.store.announced(order.id, at=at)

    def state(self, order_id: str, *, secret: str) -> tuple[OrderRecord, tuple[str, ...]]:
        """An order and what its user has been told, for whoever has its secret. Raises RefusalError.

        Of one that was superseded, the state is that of the order that has its subscription now.
        """
        order = self.store.order(order_id)
        if not self.secrets.is_order_secret(secret, order_id=order_id) or order is None:
            raise RefusalError(
                RefusalCode.ORDER_UNKNOWN, subject="order", reason="no order has this id and secret"
            )
        informed = self.store.informed(order_id)
        current = self.store.current(order_id)
        if current == order_id:
            return order, informed
        now = self.store.order(current) or order
        return replace(order, state=now.state), informed + self.store.informed(current)

    def register(self, *, device_id: str, pfc_chain: Sequence[bytes], ak_public: bytes, at: datetime) -> str:
        """Register a device with its order; the order token. Raises RefusalError."""
        device = prove_device(
            device_id=device_id, pfc_chain=pfc_chain, ak_public=ak_public, suppliers=self.suppliers, at=at
        )  # 1
        orders = [
            each
            for each in self.store.orders_of_code(device_code(device_id))
            if is_code_of(each.device_code, device_id)
        ]
        order, replaced = choose_order(orders, at=at)  # 2
        if order is None:
            raise RefusalError(
                RefusalCode.NO_ORDER, subject=f"device {device_id}", reason="no order waits for its code"
            )
        if order.token is not None:
            return self._again(order, device, at=at)
        binding = self._bound(order, device, at=at)  # 4
        if not self.store.register(order.id, binding, replaced=replaced, at=at):  # 5
            raced = self.store.order(order.id)
            if raced is None or raced.token is None:
                raise RefusalError(
                    RefusalCode.CONCURRENT_CHANGE,
                    subject=f"order {order.id}",
                    reason="it changed while the device registered",
                    retry_after_s=1,
                )
            return self._again(raced, device, at=at)
        self.wake()
        return binding.token

    def _again(self, order: OrderRecord, device: ProvenDevice, *, at: datetime) -> str:
        """The token of an order that is bound already: to this device and AK, or refused (3)."""
        same_device = order.device_id == device.device_id
        same_ak = hmac.compare_digest(order.ak_name or b"", device.ak_name)
        if not same_device or not same_ak or order.token is None:
            raise RefusalError(
                RefusalCode.ORDER_TAKEN,
                subject=f"order {order.id}",
                reason=f"it is bound to another {'AK' if same_device else 'device'}",
            )
        if self.begins_anew(order, at=at):
            self.wake()
        return order.token

    def begins_anew(self, order: OrderRecord, *, at: datetime) -> bool:
        """Have the platform validated anew of an order that was refused, or whose authorisation has lapsed; whether it is one."""
        lapsed = order.state is OrderState.AUTHORIZED and self.store.authorization_lapsed(order.id, at=at)
        is_over = lapsed or order.state is OrderState.REFUSED
        if is_over:
            self.store.restart(order.id, before=order.state, at=at)
        return is_over

    @property
    def binder(self) -> OrderBinder:
        """What binds orders of this operator to devices."""
        return OrderBinder(
            operator=self.operator, signer=self.signer, random_bytes=self.random_bytes, life=self.life
        )

    def _bound(self, record: OrderRecord, device: ProvenDevice, *, at: datetime) -> Binding:
        subscriptions = partial(self.new_subscriptions, record.product)
        return self.binder.bind(record, device, subscriptions=subscriptions, at=at)

    def _checked_code(self, wish: OrderWish) -> str:
        if wish.product not in self.operator.products:
            raise RefusalError(
                RefusalCode.PRODUCT_UNKNOWN, subject="product", reason="this operator does not offer it"
            )
        if wish.prior is not None and wish.prior.operator not in self.operator.priors:
            raise RefusalError(
                RefusalCode.PRIOR_UNKNOWN,
                subject="prior operator",
                reason="this operator takes nothing over from it",
            )
        try:
            return read_device_code(wish.device_code)
        except MessageError as error:
            raise RefusalError(
                RefusalCode.DEVICE_CODE_INVALID, subject="device code", reason=str(error)
            ) from None

    def order_code(self) -> str:
        """A new code for a person to compare at the device: 8 digits."""
        number = int.from_bytes(self.random_bytes(_ID_SIZE)) % 10**_ORDER_CODE_DIGITS
        return f"{number:0{_ORDER_CODE_DIGITS}d}"


def choose_order(
    orders: Sequence[OrderRecord], *, at: datetime
) -> tuple[OrderRecord | None, tuple[str, ...]]:
    """Which of a device's orders (newest first) its registration is for, and which it replaces.

    One whose package may be at the device already is finished first. Otherwise the newest counts, and older ones that
    have released nothing expire.
    """
    standing = [
        each
        for each in orders
        if each.state not in _CLOSED and (each.expires_at > at or each.state is OrderState.ACTIVE)
    ]
    under_way = [each for each in standing if each.state in UNDER_WAY]
    if under_way:
        return under_way[0], ()
    if not standing:
        return None, ()
    newest, *older = standing
    return newest, tuple(each.id for each in older if each.state in REPLACEABLE)
