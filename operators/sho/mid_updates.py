"""The next version of a MID that is in a device: subscription data, policy or keys (R46, R47, R56, R57).

Rule: an update is an order like any other, for the same device, that names the MID it updates: the same validation, package,
gate and receipt. Until the TRE has signed that the new version is in it, everything about the old one stands, the AuC's key
included; with that receipt, key, subscription and MID go over to the new order in one transaction, and the order before is superseded.

    place   1 the MID is in its device, and neither a change of operator nor a migration is under way
            2 the product is offered and has the USIMs that the MID has; an algorithm that changes wants fresh keys
            3 one update of a MID at a time: an older one that has released nothing expires, any other is finished first
    offer   4 the device asks what is wanted: the order token, for the device and AK that the MID is bound to
            5 one that was refused, or whose authorisation has lapsed, is validated anew
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from edge.process import RandomBytes
from operators.sho.credential import ProvenDevice
from operators.sho.order_binding import Binding
from operators.sho.order_states import MidUpdate, OrderRecord, OrderState, bound
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.registration import Registrar
from operators.sho.subscriptions import NewSubscription, StoredSubscription, SubscriptionMaker
from operators.sho.successions import (
    NewSuccession,
    SuccessionStore,
    not_to_be_succeeded,
    succeeding,
    to_be_succeeded,
)

UPDATED: Final = "The subscription in your device has been updated to version {version}."
_ID_SIZE: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateWish:
    """What the operator's staff wants: another product, or the same one again; fresh keys, or those that there are."""

    product: str | None
    has_fresh_keys: bool
    idempotency_key: str


class MidUpdateStore(SuccessionStore, Protocol):
    """What this use case needs of a store; each call is one transaction with its audit leaf."""

    def subscriptions_of(self, order_id: str) -> tuple[StoredSubscription, ...]:
        """The USIMs of an order."""

    def place_update(self, new: NewSuccession) -> OrderRecord:
        """Store an update in place of one that has released nothing; the same request again gives the order that is there.

        Raises RefusalError: another request came under this key before, an update is on its way to the device, or the MID to another.
        """

    def update_of(self, order_id: str) -> MidUpdate | None:
        """What an order updates, if it is an update."""

    def updates_of(self, mid_id: str) -> Sequence[OrderRecord]:
        """Every update of a MID, oldest first."""

    def standing_update(self, order_id: str) -> OrderRecord | None:
        """The update that is to supersede this order, while it stands."""

    def register(self, order_id: str, binding: Binding, *, replaced: Sequence[str], at: datetime) -> bool:
        """Bind an order in state `ordered`; False where it is no longer `ordered`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MidUpdateDesk:
    """The use case and what it works with; as long as the registrar waits for a device, an update waits until it is asked for."""

    store: MidUpdateStore
    registrar: Registrar
    maker: SubscriptionMaker
    random_bytes: RandomBytes = field(repr=False)

    def place(self, order_id: str, wish: UpdateWish, *, at: datetime) -> OrderRecord:
        """Order the next version of the MID of an order. Raises RefusalError."""
        order, package = to_be_succeeded(self.store, order_id)  # 1
        product = wish.product or order.product
        keys = self._keys(order, product, is_fresh=wish.has_fresh_keys)  # 2
        record = OrderRecord(
            id=self.random_bytes(_ID_SIZE).hex(),
            device_code=order.device_code,
            product=product,
            subscriber=order.subscriber,
            order_code=order.order_code,
            state=OrderState.ORDERED,
            created_at=at,
            expires_at=at + self.registrar.wait,
            announced=True,  # to nobody: the device hears of it when it asks
            due_at=at + self.registrar.wait,
            tries=0,
        )
        new = succeeding(
            record,
            key=wish.idempotency_key,
            asked=("update", order_id, product, int(wish.has_fresh_keys)),
            store=self.store,
            prior_id=order.id,
            secrets=self.maker.secrets,
        )
        return self.store.place_update(
            NewSuccession(order=new, prior_id=order.id, mid_id=package.mid_id, sealed_keys=keys)
        )  # 3

    def about(self, order_id: str) -> Sequence[OrderRecord]:
        """Every update of the MID of an order, oldest first. Raises RefusalError."""
        package = self.store.package(order_id)
        if package is None:
            raise RefusalError(
                RefusalCode.ORDER_UNKNOWN, subject="order", reason="none with this id has a MID"
            )
        return self.store.updates_of(package.mid_id)

    def offer(self, order: OrderRecord, *, at: datetime) -> str | None:
        """The token of the update that stands for the MID that an order brought, or is to bring; None where there is none."""
        updated = self.store.update_of(order.id)
        if order.state is OrderState.ACTIVE:
            standing = self.store.standing_update(order.id)
        else:  # the TRE may have it, and its receipt was lost
            standing = None if updated is None else self.store.standing_update(updated.prior_id)
        if standing is None:
            return None
        if standing.state is OrderState.ORDERED:
            standing = self._bound(standing, at=at)  # 4
        self.registrar.begins_anew(standing, at=at)  # 5
        return standing.token

    def _keys(self, order: OrderRecord, product: str, *, is_fresh: bool) -> Mapping[str, bytes]:
        subscriptions, bundle = self.store.subscriptions_of(order.id), self.maker.bundle(product)
        if product not in self.registrar.operator.products:
            raise RefusalError(
                RefusalCode.PRODUCT_UNKNOWN, subject="product", reason="this operator does not offer it"
            )
        accesses = {each.access for each in subscriptions}
        if accesses != set(bundle.accesses):
            raise RefusalError(
                RefusalCode.PRODUCT_UNFIT,
                subject=f"product {product}",
                reason=f"expected USIMs for {', '.join(sorted(accesses))}, got {', '.join(bundle.accesses)}",
            )
        opened = self.maker.open_all(subscriptions)
        fits = all(
            (each.key.algorithm, each.key.res_bytes) == (bundle.algorithm, bundle.res_bytes)
            for each in opened
        )
        return self.maker.renew(product, subscriptions) if is_fresh or not fits else {}

    def _bound(self, update: OrderRecord, *, at: datetime) -> OrderRecord:
        """The update, bound to what the order before it is bound to."""
        known = self.store.update_of(update.id)
        prior = None if known is None else self.store.order(known.prior_id)
        if known is None or prior is None:
            raise not_to_be_succeeded(update, "what it updates is not on record")
        before = bound(prior)
        device = ProvenDevice(
            device_id=before.device_id,
            ak_name=before.ak_name,
            ak_public=before.ak_public,
            es_root_sha256=before.es_root_sha256,
        )
        binding = self.registrar.binder.bind(
            update, device, subscriptions=_no_more, at=at, updates=known.mid_id
        )
        self.store.register(update.id, binding, replaced=(), at=at)
        return self.store.order(update.id) or update


def _no_more(_number: int) -> tuple[NewSubscription, ...]:
    """An update has the USIMs of the order before it."""
    return ()
