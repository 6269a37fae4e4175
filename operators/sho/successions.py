"""Orders that are to have the subscription of another one: an update of its MID, or its migration to another device.

Rule: only what serves is succeeded, and only one order at a time is to succeed it. Until the receipt of the newer order
everything is the older one's, its key in the AuC too; with it everything goes over at once.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from messages.encoding import encode_deterministic
from operators.sho.order_states import Change, OrderRecord, OrderState
from operators.sho.packages import Package
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.registration import NewOrder
from operators.sho.subscriber_secrets import SubscriberSecrets


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSuccession:
    """An order to be stored that is to succeed `prior_id`, whose MID is `mid_id`; `sealed_keys` by IMSI, for those that change."""

    order: NewOrder
    prior_id: str
    mid_id: str
    sealed_keys: Mapping[str, bytes] = field(repr=False)


class SuccessionStore(Protocol):
    """What is needed of a store to find what may be succeeded."""

    def order(self, order_id: str) -> OrderRecord | None:
        """One order."""

    def current(self, order_id: str) -> str:
        """The order that has the subscription of this one now: itself, unless it was superseded."""

    def package(self, order_id: str) -> Package | None:
        """The newest package of an order."""

    def change(self, order_id: str) -> Change | None:
        """The change of operator that an order makes, if it makes one."""

    def sealed_subscriber(self, order_id: str) -> bytes:
        """The subscriber's name, sealed for this order."""


def to_be_succeeded(store: SuccessionStore, order_id: str) -> tuple[OrderRecord, Package]:
    """The order that has a subscription now, and its package. Raises RefusalError unless its MID serves, and stays as it is."""
    order = store.order(store.current(order_id))
    if order is None:
        raise RefusalError(RefusalCode.ORDER_UNKNOWN, subject="order", reason="there is none with this id")
    package = store.package(order.id)
    if order.state is not OrderState.ACTIVE or package is None:
        raise not_to_be_succeeded(order, f"it is {order.state.value}, so no MID of it serves in a device")
    change = store.change(order.id)
    if change is not None and change.proof is None:
        raise not_to_be_succeeded(order, "its change of operator has not come to its end")
    return order, package


def succeeding(
    record: OrderRecord,
    *,
    key: str,
    asked: tuple[str | int, ...],
    store: SuccessionStore,
    prior_id: str,
    secrets: SubscriberSecrets,
) -> NewOrder:
    """A new order of the same subscriber, under the key of who asked for it with these words."""
    name = secrets.open(store.sealed_subscriber(prior_id), bound_to=prior_id)
    return NewOrder(
        record=record,
        idempotency_key=key,
        request_digest=hashlib.sha256(encode_deterministic(list(asked))).digest(),
        sealed_subscriber=secrets.seal(name, bound_to=record.id),
    )


def not_to_be_succeeded(order: OrderRecord, reason: str) -> RefusalError:
    """Why nothing can take the place of what an order has."""
    return RefusalError(RefusalCode.ORDER_NOT_AUTHORIZED, subject=f"order {order.id}", reason=reason)
