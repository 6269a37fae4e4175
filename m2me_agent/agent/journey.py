"""The whole way from power-on to an active subscription, as the device goes it (TR 33.812, 5.2.2.6.1).

Rule: nothing about the way is remembered but what the TRE, the DPF and the folder of ciphertext say; so an agent that
is killed at any point is started again, and the journey ends as if it had not been: one registration, one grant, one
installation.

    0 what is done already   1-4 attach   5-7 register, consent   9-12 validation, grant, download   13-14 install
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from edge.process import RandomBytes
from m2me_agent.agent.attachment import Attachment, VisitedNetwork, attach
from m2me_agent.agent.attestation import PlatformValidationAuthority
from m2me_agent.agent.download import (
    ENDED,
    Delivering,
    Grant,
    ProvisioningFunction,
    Shelf,
    fetch_content,
    obtain_grant,
)
from m2me_agent.agent.errors import BearerEndedError, RefusedError
from m2me_agent.agent.installation import INSTALLED, Installation, install
from m2me_agent.agent.ports import Pace, Tre, read_device, repeat
from m2me_agent.agent.registration import RegistrationFunction, Wishes, register
from m2me_agent.agent.unverified import read_package
from m2me_agent.tre_protocol import Operation
from messages.bearer import Bearer

ACTIVE = "ACTIVE"
AWAITING_CONSENT = "awaiting-consent"
TRY_AGAIN = frozenset({"state-refused", "storage"}) | ENDED
"""How a delivery can end so that a new one may end better: what the receipt or the DPF says."""
PACKAGE_REFUSED = "package-refused"
"""What a TRE says of a package that nobody is known to have sent; it signs no receipt for it."""
DELIVERIES_MAX = 3
ATTACHMENTS_MAX = 3


class ServicesBehindBearer(Protocol):
    """Services that are reached through the gateway of a bearer, and no other way; may be used again and again."""

    def drf(self, attachment: Attachment) -> RegistrationFunction:
        """The DRF of the settings."""

    def pva(self, attachment: Attachment, url: str) -> PlatformValidationAuthority:
        """The PVA of a discovery."""

    def dpf(self, attachment: Attachment, url: str) -> ProvisioningFunction:
        """The DPF of a discovery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Travelling:
    """Parties of a journey, and how it goes.

    `bearer` is one of a subscription that serves already: everything behind the attachment goes over it, while it stays up.
    """

    tre: Tre
    network: VisitedNetwork
    services: ServicesBehindBearer
    shelf: Shelf
    random_bytes: RandomBytes
    pace: Pace
    bearer: Bearer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """How a journey ended: "active", "awaiting-consent", or why the last delivery failed (a stable code)."""

    outcome: str
    mid_id: str = ""
    sho_name: str = ""
    order_code: str = ""


def provision(way: Travelling, wishes: Wishes) -> Arrival:
    """Go the whole way, or what is left of it.

    Raises:
        AgentError: a party refused, or could not be reached. The journey may be begun again at any time.
    """
    for _ in range(ATTACHMENTS_MAX - 1):
        try:
            return _travel(way, wishes)
        except BearerEndedError as ended:
            way.pace.tell(4, "bearer-ended", reason=ended.refusal.reason)
    return _travel(way, wishes)


def _travel(way: Travelling, wishes: Wishes) -> Arrival:
    # 0 what is done already?
    device = read_device(way.tre)
    states = {row["mid_id"]: row for row in way.tre.ask(Operation.MIDS)["mids"]}
    kept = way.shelf.grant()
    done = _active(states, kept=kept, choice=wishes.choice)
    if done:
        way.shelf.clear()
        return Arrival(outcome="active", mid_id=done)
    # 1-4 attach
    tell = way.pace.tell
    attachment = repeat(lambda: attach(way.tre, way.network, device, tell=tell), sleep=way.pace.sleep)
    if way.bearer is not None:  # the PCID still proves to the DRF who asks
        attachment = replace(attachment, bearer=way.bearer)
        tell(4, "bearer-kept", apn=way.bearer.apn, gateway=way.bearer.gateway)
    # 12-14 what was granted before is brought to its end first
    if kept is not None:
        granted = kept
        finished = deliver(way, way.services.dpf(attachment, granted.dpf_url), lambda: granted)
        if finished.outcome not in TRY_AGAIN or read_package(granted.package).mid_id in states:
            return _arrived(finished)
    # 5-7 register; the TRE takes the order, its person agrees
    drf = way.services.drf(attachment)
    order = register(way.tre, drf, device, wishes, random_bytes=way.random_bytes, pace=way.pace)
    if not order.consented:
        return Arrival(outcome=AWAITING_CONSENT, sho_name=order.sho_name, order_code=order.order_code)
    # 9-14 validation, delivery, installation
    delivering = Delivering(
        tre=way.tre,
        pva=way.services.pva(attachment, order.pva_url),
        dpf=way.services.dpf(attachment, order.dpf_url),
        device=device,
        order_digest=order.order_digest,
        pace=way.pace,
    )
    arrival = _arrived(deliver_again(way, delivering, dpf_url=order.dpf_url))
    return replace(arrival, sho_name=order.sho_name, order_code=order.order_code)


def deliver_again(way: Travelling, delivering: Delivering, *, dpf_url: str) -> Installation:
    """Deliver until it is installed, or until a new delivery can mend nothing, a few times."""

    def obtain() -> Grant:
        grant = replace(obtain_grant(delivering), dpf_url=dpf_url)
        way.shelf.keep(grant)
        return grant

    installation = deliver(way, delivering.dpf, obtain)
    for _ in range(DELIVERIES_MAX - 1):
        if installation.outcome not in TRY_AGAIN:
            return installation
        installation = deliver(way, delivering.dpf, obtain)
    return installation


def deliver(way: Travelling, dpf: ProvisioningFunction, obtain: Callable[[], Grant]) -> Installation:
    """One delivery to its end; after it, nothing of it is kept."""
    try:
        # 9-12 a grant
        grant = obtain()
        # 12 the content
        content = fetch_content(dpf, way.shelf, grant, pace=way.pace)
        # 13-14 installation, receipt, instruction
        installation = install(way.tre, dpf, grant, content, pace=way.pace)
    except RefusedError as refused:
        if refused.code == PACKAGE_REFUSED:
            way.shelf.clear()  # it would be refused again and again
        if refused.code not in ENDED:
            raise
        way.pace.tell(12, "delivery-ended", code=refused.code)
        installation = Installation(outcome=refused.code)
    way.shelf.clear()
    return installation


def _active(states: Mapping[str, Any], *, kept: Grant | None, choice: str | None) -> str:
    """The MID that makes this journey done: the one of the delivery that is kept, or any of the operator of choice."""
    active = {mid_id: row["owner"] for mid_id, row in states.items() if row["state"].upper() == ACTIVE}
    if kept is not None:
        mid_id = read_package(kept.package).mid_id
        return mid_id if mid_id in active else ""
    return next((mid_id for mid_id, owner in active.items() if choice in (None, owner)), "")


def _arrived(installation: Installation) -> Arrival:
    done = installation.outcome == INSTALLED and installation.state.upper() == ACTIVE
    return Arrival(outcome="active" if done else installation.outcome, mid_id=installation.mid_id)
