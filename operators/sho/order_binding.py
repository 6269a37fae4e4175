"""An order and the device that it is for, bound by the order token (D11): a first order as well as an update.

Rule: the token names the device and its AK as they were proven, and lives as long as the binding that is stored with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from edge.process import RandomBytes
from messages.operator_token import OperatorSigner
from messages.order import ORDER_KIND, Order
from operators.sho.credential import ProvenDevice
from operators.sho.order_states import OrderRecord
from operators.sho.subscriptions import NewSubscription

_ID_SIZE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """This SHO: its id and name for people, the DPF that it delivers by, the products that it offers.

    `priors` are the ids of the operators that it takes subscriptions over from.
    """

    id: str
    name: str
    dpf: str
    products: tuple[str, ...]
    priors: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What a registration adds to an order; `subscriptions` makes the USIMs of the order, from the n-th on."""

    device: ProvenDevice
    token: str
    digest: bytes
    expires_at: datetime
    subscriptions: Callable[[int], tuple[NewSubscription, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBinder:
    """Signs order tokens, which live for `life`."""

    operator: Operator
    signer: OperatorSigner
    random_bytes: RandomBytes
    life: timedelta

    def bind(
        self,
        record: OrderRecord,
        device: ProvenDevice,
        *,
        subscriptions: Callable[[int], tuple[NewSubscription, ...]],
        at: datetime,
        updates: str | None = None,
    ) -> Binding:
        """The order for this device; `updates` is the MID that an update is of."""
        issued_at = at.replace(microsecond=0)
        order = Order(
            order_id=record.id,
            jti=self.random_bytes(_ID_SIZE).hex(),
            order_code=record.order_code,
            sho=self.operator.id,
            sho_name=self.operator.name,
            subscriber=record.subscriber,
            device_id=device.device_id,
            ak_name=device.ak_name,
            audience=self.operator.dpf,
            issued_at=issued_at,
            expires_at=issued_at + self.life,
            updates=updates,
        )
        return Binding(
            device=device,
            token=self.signer.sign(order.claims(), typ=ORDER_KIND.typ),
            digest=order.digest,
            expires_at=order.expires_at,
            subscriptions=subscriptions,
        )
