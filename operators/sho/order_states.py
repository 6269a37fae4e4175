"""The life of an order: its states, and every way from one to the next.

Rule: a change that is not in the table does not happen. The network knows the subscription in `active` alone, and in a
change of operator in `installed`; the only way there leads through a receipt that this operator has verified itself (R62,
R99). The only ways out lead through an erase proof (R59), or the receipt
of another order that has the subscription from then on: an update (R46), or a migration to another device (R59).

    ordered     the user has ordered; a device with this code may register
    registered  bound to one device and AK; K, OPc and IMSI exist, and the AuC refuses them
    validating  a PVA has been asked, or its good result is being turned into a package
    refused     the PVA says that the platform is not in an approved state, or a prior operator does not release its MID
    packaged    the package exists and is on its way to the DPF
    authorized  the DPF has it, and may deliver once it has had the platform validated again
    installed   the TRE has signed that the MID is in it; a change of operator waits here until it is confirmed
    active      the AuC accepts the subscriber; the user has been told
    superseded  an update of its MID is in the TRE: subscription and MID are the update's now
    moved       the subscription serves in another device: the MID that is left in this one is to be erased
    erased      the TRE has signed that the MID is gone; the AuC refuses the subscriber for good
    failed      the TRE has signed a failure that a new try cannot mend
    expired     the order or its token has lapsed, or a newer order for the same device took its place
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique


@unique
class OrderState(StrEnum):
    """States of an order."""

    ORDERED = "ordered"
    REGISTERED = "registered"
    VALIDATING = "validating"
    REFUSED = "refused"
    PACKAGED = "packaged"
    AUTHORIZED = "authorized"
    INSTALLED = "installed"
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    MOVED = "moved"
    ERASED = "erased"
    FAILED = "failed"
    EXPIRED = "expired"


TRANSITIONS: Mapping[OrderState, frozenset[OrderState]] = {
    OrderState.ORDERED: frozenset({OrderState.REGISTERED, OrderState.EXPIRED}),
    # to refused where the prior operator does not release its MID
    OrderState.REGISTERED: frozenset({OrderState.VALIDATING, OrderState.REFUSED, OrderState.EXPIRED}),
    # back to registered where the request, or its result, has lapsed before it could be used
    OrderState.VALIDATING: frozenset(
        {OrderState.PACKAGED, OrderState.REFUSED, OrderState.REGISTERED, OrderState.EXPIRED}
    ),
    # the device registers again, in a better state
    OrderState.REFUSED: frozenset({OrderState.REGISTERED, OrderState.EXPIRED}),
    OrderState.PACKAGED: frozenset({OrderState.AUTHORIZED, OrderState.REGISTERED, OrderState.EXPIRED}),
    # back to registered where the device registers again after the authorisation has lapsed
    OrderState.AUTHORIZED: frozenset(
        {OrderState.INSTALLED, OrderState.FAILED, OrderState.REGISTERED, OrderState.EXPIRED}
    ),
    # to erased where a change of operator is given up
    OrderState.INSTALLED: frozenset({OrderState.ACTIVE, OrderState.ERASED}),
    OrderState.ACTIVE: frozenset({OrderState.ERASED, OrderState.SUPERSEDED, OrderState.MOVED}),
    OrderState.SUPERSEDED: frozenset(),
    OrderState.MOVED: frozenset({OrderState.ERASED}),
    OrderState.ERASED: frozenset(),
    # to erased where a migration was given up, and its package had been installed all the same
    OrderState.FAILED: frozenset({OrderState.ERASED}),
    OrderState.EXPIRED: frozenset({OrderState.ERASED}),
}

REPLACEABLE = frozenset(
    {OrderState.ORDERED, OrderState.REGISTERED, OrderState.VALIDATING, OrderState.REFUSED}
)
"""Nothing has been released: a newer order for the same device takes the place of an order in these states."""
UNDER_WAY = frozenset({OrderState.PACKAGED, OrderState.AUTHORIZED, OrderState.INSTALLED})
"""A package may be at the device: these orders are finished before a newer one begins."""
STANDING = REPLACEABLE | UNDER_WAY
"""An order in these states can still come to its end."""
IN_DEVICE = frozenset({OrderState.INSTALLED, OrderState.ACTIVE})
"""The TRE has signed that the MID of the order is in it, and not that it is gone."""
ERASABLE = IN_DEVICE | {OrderState.MOVED, OrderState.EXPIRED, OrderState.FAILED}
"""A TRE may have the MID of the order, so its proof that it is gone is one."""


class TransitionError(Exception):
    """A change of state that is not in the table: a fault of this program, never of a caller."""


def check_transition(before: OrderState, after: OrderState) -> None:
    """Raise TransitionError unless the table has this change."""
    if after not in TRANSITIONS[before]:
        raise TransitionError(f"an order does not go from {before.value} to {after.value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """An order as stored; what comes with the registration of a device is None before it.

    `subscriber` is the pseudonym; `token` the signed order, `digest` its digest; `expires_at` is when an order lapses
    for which nobody came, later that of the token; `due_at` is when the operator has to look at it next.
    """

    id: str
    device_code: str
    product: str
    subscriber: str
    order_code: str
    state: OrderState
    created_at: datetime
    expires_at: datetime
    announced: bool
    due_at: datetime | None
    tries: int
    device_id: str | None = None
    ak_name: bytes | None = None
    ak_public: bytes | None = None
    es_root_sha256: str | None = None
    token: str | None = None
    digest: bytes | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundOrder:
    """What an order is about once a device has registered: everything later is compared with this."""

    id: str
    device_id: str
    ak_name: bytes
    ak_public: bytes
    es_root_sha256: str
    token: str
    digest: bytes


def bound(order: OrderRecord) -> BoundOrder:
    """The binding of an order that a device has registered with; TransitionError for one without."""
    parts = (order.device_id, order.ak_name, order.ak_public, order.es_root_sha256, order.token, order.digest)
    device_id, ak_name, ak_public, es_root_sha256, token, digest = parts
    if (
        device_id is None
        or ak_name is None
        or ak_public is None
        or es_root_sha256 is None
        or token is None
        or digest is None
    ):
        raise TransitionError(f"order {order.id} is {order.state.value} and bound to no device")
    return BoundOrder(
        id=order.id,
        device_id=device_id,
        ak_name=ak_name,
        ak_public=ak_public,
        es_root_sha256=es_root_sha256,
        token=token,
        digest=digest,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What an order takes over: the prior operator's id, and the MID of it that serves now."""

    operator: str
    mid_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How far the change of an order is: `release` once the prior operator gave it, `switches` signed so far.

    `attached` is whether a network has told of the new IMSI since the last of them; `proof` what shows that the prior MID is gone.
    """

    order_id: str
    prior: Prior
    release: str | None = None
    switches: int = 0
    attached: bool = False
    proof: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MidUpdate:
    """What an order updates: the MID, and the order that has its subscription until the receipt."""

    order_id: str
    prior_id: str
    mid_id: str


@unique
class MigrationState(StrEnum):
    """How far the migration of a MID is: it can be given up, the AuC has switched, or it was given up."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class MidMigration:
    """A subscription on its way: `order_id` is for the device that it goes to, `source_id` the order that it comes from."""

    order_id: str
    source_id: str
    state: MigrationState

    @property
    def is_committed(self) -> bool:
        """Whether the AuC has switched."""
        return self.state is MigrationState.COMMITTED
