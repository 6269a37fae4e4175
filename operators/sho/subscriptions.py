"""The authentication centre: subscribers from the moment that a device registers, served from `active` on (R62).

Rule: keys leave their sealed rows for the making of a vector or a package only, and no vector is made before
the order is active, or while its device is known to be in a bad state (`device_states`) or its MID is to be blocked (`lives`). Sequence numbers go up in the transaction that gives them out, so no two vectors share one.
Source: TS 33.102, 6.3 and annex C; TS 35.206, TS 35.231.

    1 the subscriber exists, its order is active, and its device is not known to be in a bad state
    2 resynchronisation: AUTS is verified before its number is believed
    3 the sequence numbers are taken, atomically
    4 the vectors are made
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from edge.process import RandomBytes
from operators.sho.bundles import Bundle, OpenedSubscription
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.subscriber_keys import SubscriberKey, decode_key, make_key
from operators.sho.subscriber_secrets import SubscriberSecrets
from standards.aka.errors import AkaError, SequenceError
from standards.aka.functions import AMF_SIZE, RAND_SIZE
from standards.aka.sequence import HomeSequence
from standards.aka.vectors import AuthenticationVector, make_vector, verify_auts

IMSI_DIGITS: Final = 15
VECTORS_MAX: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSubscription:
    """A USIM as the registration of its order makes it; `sealed` holds its key."""

    imsi: str
    access: str
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSubscription:
    """A subscriber in the AuC: served while it is `active` and not `suspended`."""

    imsi: str
    order_id: str
    access: str
    active: bool
    sequence: HomeSequence
    sealed: bytes = field(repr=False)
    suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Resynchronisation:
    """What a device answered to a vector whose sequence number it did not take."""

    rand: bytes
    auts: bytes


class SubscriptionStore(Protocol):
    """What the AuC needs of a store."""

    def take_sequence(
        self, imsi: str, *, advance: Callable[[StoredSubscription], HomeSequence]
    ) -> StoredSubscription | None:
        """Store what `advance` makes of the subscriber, in one transaction; the subscriber as it was before.

        None where there is none. What `advance` raises leaves everything as it was.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberPlan:
    """Where IMSIs come from: MCC and MNC of this operator and a number that is counted up."""

    mcc: str
    mnc: str

    def imsi(self, number: int) -> str:
        """The IMSI of the n-th subscription."""
        digits = IMSI_DIGITS - len(self.mcc) - len(self.mnc)
        if not 0 < number < 10**digits:
            raise ValueError(f"this operator has {10**digits - 1} IMSIs, number {number} is none of them")
        return f"{self.mcc}{self.mnc}{number:0{digits}d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionMaker:
    """Makes keys and IMSIs of new subscribers, and opens them for packages; `bundles` by product, where it has one."""

    numbers: NumberPlan
    secrets: SubscriberSecrets
    random_bytes: RandomBytes = field(repr=False)
    bundles: Mapping[str, Bundle] = field(default_factory=dict)
    usual: Bundle = field(default_factory=Bundle)

    def bundle(self, product: str) -> Bundle:
        """What the MID of a product holds."""
        return self.bundles.get(product, self.usual)

    def make(self, product: str, number: int) -> tuple[NewSubscription, ...]:
        """The USIMs of a product, with keys that nobody had before; the first has the n-th IMSI."""
        bundle = self.bundle(product)
        made = []
        for at, access in enumerate(bundle.accesses):
            imsi = self.numbers.imsi(number + at)
            key = make_key(bundle.algorithm, res_bytes=bundle.res_bytes, random_bytes=self.random_bytes)
            sealed = self.secrets.seal(key.encode(), bound_to=imsi)
            made.append(NewSubscription(imsi=imsi, access=access, sealed=sealed))
        return tuple(made)

    def renew(self, product: str, subscriptions: Sequence[StoredSubscription]) -> dict[str, bytes]:
        """Fresh keys for USIMs that there are, sealed, by IMSI; for the algorithm of the product."""
        bundle, made = self.bundle(product), {}
        for each in subscriptions:
            key = make_key(bundle.algorithm, res_bytes=bundle.res_bytes, random_bytes=self.random_bytes)
            made[each.imsi] = self.secrets.seal(key.encode(), bound_to=each.imsi)
        return made

    def open(self, imsi: str, sealed: bytes) -> SubscriberKey:
        """The key of a subscriber."""
        return decode_key(self.secrets.open(sealed, bound_to=imsi))

    def open_all(self, subscriptions: Sequence[StoredSubscription]) -> tuple[OpenedSubscription, ...]:
        """The USIMs of an order with their keys."""
        return tuple(
            OpenedSubscription(imsi=each.imsi, access=each.access, key=self.open(each.imsi, each.sealed))
            for each in subscriptions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationCentre:
    """The use case; `amf` 2 bytes, `batch` vectors are given at once."""

    store: SubscriptionStore
    maker: SubscriptionMaker
    random_bytes: RandomBytes = field(repr=False)
    amf: bytes = bytes(AMF_SIZE)
    batch: int = 2

    def vectors(
        self, imsi: str, *, resynchronisation: Resynchronisation | None = None
    ) -> tuple[AuthenticationVector, ...]:
        """Vectors in the order of their use. Raises RefusalError."""

        def advance(subscriber: StoredSubscription) -> HomeSequence:
            return self._from(subscriber, resynchronisation).after(self.batch)

        try:
            subscriber = self.store.take_sequence(imsi, advance=advance)  # 1, 2, 3
            if subscriber is None:
                raise RefusalError(
                    RefusalCode.SUBSCRIPTION_UNKNOWN, subject="IMSI", reason="nobody has this number here"
                )
            numbers = self._from(subscriber, resynchronisation).batch(self.batch)
        except SequenceError as error:
            raise RefusalError(
                RefusalCode.SEQUENCE_USED_UP, subject="subscription", reason=str(error)
            ) from None
        key = self.maker.open(subscriber.imsi, subscriber.sealed).functions
        return tuple(
            make_vector(key, rand=self.random_bytes(RAND_SIZE), sqn=sqn, amf=self.amf) for sqn in numbers
        )  # 4

    def _from(self, subscriber: StoredSubscription, asked: Resynchronisation | None) -> HomeSequence:
        """Where the numbers of this subscriber go on; refused before the order is active, and while it is suspended."""
        if not subscriber.active:
            raise RefusalError(
                RefusalCode.SUBSCRIPTION_NOT_ACTIVE,
                subject=f"subscription of order {subscriber.order_id}",
                reason="its device has not yet shown that the subscription is installed, or has shown that it is erased",
            )
        if subscriber.suspended:
            raise RefusalError(
                RefusalCode.SUBSCRIPTION_SUSPENDED,
                subject=f"subscription of order {subscriber.order_id}",
                reason="a PVA has found its device in a bad state, or its operator has blocked it",
            )
        if asked is None:
            return subscriber.sequence
        try:
            key = self.maker.open(subscriber.imsi, subscriber.sealed).functions
            return subscriber.sequence.resynchronised(verify_auts(key, rand=asked.rand, auts=asked.auts))
        except AkaError as error:
            raise RefusalError(
                RefusalCode.RESYNCHRONISATION_INVALID, subject="AUTS", reason=str(error)
            ) from None
