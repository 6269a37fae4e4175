"""The home operators of the lab: who each is, what it offers, and what its MIDs hold.

Rule: settings only. A demo says which of them it opens; each is a process with keys, numbers and a policy root of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.identities import SHO, SHO_2

MCC, MNC = "999", "70"
HOME_MNC = "71"
OTHER_MNC = "72"
PRODUCT = "connected-gateway"
IN_CAR_PRODUCT = "in-car"
PHONE_PRODUCT = "personal-device"
HOME_PRODUCT = "home-gateway"
CARELESS_PRODUCT = "home-gateway-cheap"
HOME_USERS = ("door", "meter", "alarm")
FOR_EVERY_ACCESS = "8000"
"""AMF with the separation bit: vectors that are good for EAP-AKA' too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """A selected home operator; `bundles` are settings of its products' MIDs, for those that are more than one USIM.

    `successors` and `priors` are whom its subscriptions may go to and come from; `reaches` are listeners that its bearers
    lead to beside its own.
    """

    id: str
    name: str
    mnc: str
    products: tuple[str, ...]
    bundles: Sequence[Mapping[str, Any]] = ()
    ims_domain: str | None = None
    amf: str = "0000"
    relayed: bool = True
    successors: Mapping[str, str] = field(default_factory=dict)
    priors: tuple[str, ...] = ()
    switch_window_s: int | None = None
    reaches: tuple[str, ...] = ()

    @property
    def subscribers(self) -> dict[str, Any]:
        """Settings of its subscribers, as far as they do not depend on the machine."""
        settings: dict[str, Any] = {"mcc": MCC, "mnc": self.mnc, "amf": self.amf}
        settings |= {"bundles": list(self.bundles)} if self.bundles else {}
        return settings | ({"ims_domain": self.ims_domain} if self.ims_domain else {})


FIRST = Home(id=SHO, name="First Home Operator", mnc=HOME_MNC, products=(PRODUCT,))
"""The operator of the demos with one."""

FIRST_OF_TWO = Home(
    id=SHO,
    name="First Home Operator",
    mnc=HOME_MNC,
    products=(HOME_PRODUCT, PHONE_PRODUCT),
    bundles=(
        {
            "product": HOME_PRODUCT,
            "algorithm": "tuak",
            "res_bytes": 16,
            "accesses": ["cellular", "wlan"],
            "ims_users": list(HOME_USERS),
            "res_bytes_min": 16,
            "checked_each_session": True,
        },
    ),
    ims_domain=f"ims.mnc0{HOME_MNC}.mcc{MCC}.3gppnetwork.org",
    amf=FOR_EVERY_ACCESS,
)
"""Its home gateways have TUAK, WLAN and IMS; its phones a USIM and an ISIM under MILENAGE."""

SECOND_OF_TWO = Home(
    id=SHO_2,
    name="Second Home Operator",
    mnc=OTHER_MNC,
    products=(IN_CAR_PRODUCT, PHONE_PRODUCT, CARELESS_PRODUCT),
    bundles=({"product": PHONE_PRODUCT, "algorithm": "tuak"},),
    relayed=False,
)
"""It asks the PVA itself; its phones have TUAK, its other products MILENAGE."""

WINDOW_S = 25
"""How long a switch stands unconfirmed in the lab."""
PRIOR_HOME = Home(
    id=SHO,
    name="First Home Operator",
    mnc=HOME_MNC,
    products=(PRODUCT,),
    successors={SHO_2: "consent"},
    reaches=("drf-1.device", "pva.device", "recorder.device"),
)
"""The operator whose subscription is taken over: with its subscriber's consent, or its administrator's."""
NEW_HOME = Home(
    id=SHO_2,
    name="Second Home Operator",
    mnc=OTHER_MNC,
    products=(PRODUCT,),
    relayed=False,
    priors=(SHO,),
    switch_window_s=WINDOW_S,
)
"""The operator that takes it over."""
