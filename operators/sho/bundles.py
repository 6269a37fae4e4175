"""What the MID of a product holds: which USIMs and ISIM, under which algorithm, with which policy (R11, R16, R17, R43).

Rule: each USIM has an IMSI and a key of its own; the ISIM shares those of the first USIM, and has as many public
identities as the product wants. The policy lists the one algorithm that the bundle needs, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from messages.mid_content import ISIM, PUBLIC_IDENTITIES_MAX, USIM, NetworkApplication
from messages.mid_policy import CELLULAR, IMS, MILENAGE, MidPolicy
from operators.sho.subscriber_keys import SubscriberKey
from standards.aka.milenage import RES_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSubscription:
    """One USIM of an order, with its key."""

    imsi: str
    access: str
    key: SubscriberKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A product's MID: a USIM for each of `accesses`, an ISIM where there is an `ims_domain`.

    `ims_users` are names inside a home or a fleet ("door", "meter"): each becomes an IMPU beside the default one.
    `res_bytes_min` and `is_checked_each_session` go into the policy where they are given.
    """

    algorithm: str = MILENAGE
    res_bytes: int = RES_SIZE
    accesses: tuple[str, ...] = (CELLULAR,)
    ims_domain: str | None = None
    ims_users: tuple[str, ...] = ()
    res_bytes_min: int | None = None
    is_checked_each_session: bool | None = None

    def __post_init__(self) -> None:
        if self.algorithm == MILENAGE and self.res_bytes != RES_SIZE:
            raise ValueError(f"res_bytes: MILENAGE has {RES_SIZE}, got {self.res_bytes}")
        if self.res_bytes_min is not None and self.res_bytes < self.res_bytes_min:
            raise ValueError("res_bytes: expected no less than the policy's minimum")
        if not self.accesses or len(self.ims_users) >= PUBLIC_IDENTITIES_MAX:
            raise ValueError(f"expected an access, and fewer than {PUBLIC_IDENTITIES_MAX} IMS users")
        if self.ims_users and self.ims_domain is None:
            raise ValueError("ims_users: expected an ims_domain for them")

    @property
    def policy(self) -> MidPolicy:
        """The owner's policy for the MID."""
        ims = () if self.ims_domain is None else (IMS,)
        return MidPolicy(
            algorithms=(self.algorithm,),
            res_bytes_min=self.res_bytes_min,
            accesses=(*self.accesses, *ims),
            is_checked_each_session=self.is_checked_each_session,
        )

    def applications(self, opened: Sequence[OpenedSubscription]) -> tuple[NetworkApplication, ...]:
        """The applications of a MID with these USIMs, the first of them the one that an ISIM goes with."""
        usims = tuple(
            _application(each, kind=USIM, access=each.access, identity=each.imsi, public=())
            for each in opened
        )
        if self.ims_domain is None:
            return usims
        first, domain = opened[0], self.ims_domain
        public = (
            f"sip:{first.imsi}@{domain}",
            *(f"sip:{user}.{first.imsi}@{domain}" for user in self.ims_users),
        )
        isim = _application(first, kind=ISIM, access=IMS, identity=f"{first.imsi}@{domain}", public=public)
        return (*usims, isim)


def _application(
    subscription: OpenedSubscription, *, kind: str, access: str, identity: str, public: tuple[str, ...]
) -> NetworkApplication:
    key = subscription.key
    return NetworkApplication(
        kind=kind,
        access=access,
        identity=identity,
        public_identities=public,
        algorithm=key.algorithm,
        k=key.k,
        opc=key.opc,
        res_bytes=key.res_bytes,
    )
