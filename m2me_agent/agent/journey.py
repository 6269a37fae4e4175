"""The whole way from power-on to an active subscription, as the device goes it (TR 33.812, 5.2.2.6.1).

Rule: nothing about the way is remembered but what the TRE, the DPF and the folder of ciphertext say; so an agent that
is killed at any point is started again, and the journey ends as if it had not been: one registration, one grant, one
installation.

    0 what is done already   1-4 attach   5-7 register, consent   9-12 validation, grant, download   13-14 install
"""

from dataclasses import dataclass
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
from m2me_agent.agent.errors import AgentError, BearerEndedError, RefusedError
from m2me_agent.agent.installation import INSTALLED, Installation, install
from m2me_agent.agent.ports import Patience, Sleep, Tell, Tre, read_device, repeat
from m2me_agent.agent.registration import AcceptedOrder, RegistrationFunction, Wishes, register
from m2me_agent.agent.unverified import read_package
from m2me_agent.tre_protocol import Operation, Refusal

ACTIVE = "ACTIVE"
AWAITING_CONSENT = "awaiting-consent"
TRY_AGAIN = frozenset({"state-refused", "storage"})
"""Outcomes in a receipt that a new delivery can mend."""
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
    """Parties of a journey, and how it waits and tells."""

    tre: Tre
    network: VisitedNetwork
    services: ServicesBehindBearer
    shelf: Shelf
    patience: Patience
    random_bytes: RandomBytes
    sleep: Sleep
    tell: Tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """How a journey ended: "active", "awaiting-consent", or the code of a failure that the TRE signed."""

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
            way.tell(4, "bearer-ended", reason=ended.refusal.reason)
    return _travel(way, wishes)


def _travel(way: Travelling, wishes: Wishes) -> Arrival:
    # 0 what is done already?
    device = read_device(way.tre)
    done = _active(way.tre.ask(Operation.MIDS)["mids"], kept=way.shelf.grant(), choice=wishes.choice)
    if done:
        way.shelf.clear()
        return Arrival(outcome="active", mid_id=done)
    # 1-4 attach
    attachment = repeat(lambda: attach(way.tre, way.network, device, tell=way.tell), sleep=way.sleep)
    # 5-7 register; the TRE takes the order, its person agrees
    order = register(
        way.tre,
        way.services.drf(attachment),
        device,
        wishes,
        random_bytes=way.random_bytes,
        sleep=way.sleep,
        tell=way.tell,
    )
    if not order.consented:
        return Arrival(outcome=AWAITING_CONSENT, sho_name=order.sho_name, order_code=order.order_code)
    # 9-14 validation, delivery, installation
    delivering = Delivering(
        tre=way.tre,
        pva=way.services.pva(attachment, order.pva_url),
        dpf=way.services.dpf(attachment, order.dpf_url),
        device=device,
        order_digest=order.order_digest,
        patience=way.patience,
        sleep=way.sleep,
        tell=way.tell,
    )
    return _arrived(_delivered(way, delivering), order)


def _delivered(way: Travelling, delivering: Delivering) -> Installation:
    """Deliver until it is installed, or until a new delivery can mend nothing."""
    installation, failure = None, _too_many_deliveries(delivering)
    for _ in range(DELIVERIES_MAX):
        try:
            installation = _deliver_once(way, delivering)
        except RefusedError as refused:
            if refused.code not in ENDED:
                raise
            failure = refused  # this delivery is over: there may be another
            way.tell(12, "delivery-ended", code=refused.code)
        else:
            if installation.outcome not in TRY_AGAIN:
                way.shelf.clear()
                return installation
        way.shelf.clear()
    if installation is None:
        raise failure
    return installation


def _deliver_once(way: Travelling, delivering: Delivering) -> Installation:
    # 9-12 a grant: the one that is kept, or a new one
    grant = way.shelf.grant()
    if grant is None or grant.order_digest != delivering.order_digest:
        grant = obtain_grant(delivering)
        way.shelf.keep(grant)
    # 12 the content
    waits: dict[str, Any] = {"patience": way.patience, "sleep": way.sleep, "tell": way.tell}
    content = fetch_content(delivering.dpf, way.shelf, grant, **waits)
    # 13-14 installation, receipt, instruction
    return install(way.tre, delivering.dpf, grant, content, **waits)


def _active(mids: list[Any], *, kept: Grant | None, choice: str | None) -> str:
    """The MID that makes this journey done: the one of the delivery that is kept, or any of the operator of choice."""
    active = {row["mid_id"]: row["owner"] for row in mids if row["state"].upper() == ACTIVE}
    if kept is not None:
        mid_id = read_package(kept.package).mid_id
        return mid_id if mid_id in active else ""
    return next((mid_id for mid_id, owner in active.items() if choice in (None, owner)), "")


def _arrived(installation: Installation, order: AcceptedOrder) -> Arrival:
    done = installation.outcome == INSTALLED and installation.state.upper() == ACTIVE
    return Arrival(
        outcome="active" if done else installation.outcome,
        mid_id=installation.mid_id,
        sho_name=order.sho_name,
        order_code=order.order_code,
    )


def _too_many_deliveries(delivering: Delivering) -> AgentError:
    return RefusedError(
        Refusal(
            code="delivery-failed",
            subject=f"order {delivering.order_digest.hex()}",
            reason=f"{DELIVERIES_MAX} deliveries ended before they were complete",
            remedy="start m2me provision again; if it lasts, ask the operator of the order",
        )
    )
