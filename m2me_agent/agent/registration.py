"""Discovery and registration (steps 5 to 7): who is my operator, register there, and the order to the TRE.

Rule: the TRE decides whether the order is genuine and meant for this device, and whether its person agreed; the agent
shows who asks, waits, and can agree to nothing (R07, R52).
"""

from dataclasses import dataclass
from typing import Any, Protocol

from edge.process import RandomBytes
from m2me_agent.agent.ports import Device, Pace, Patience, Sleep, Tre, repeat
from m2me_agent.agent.unverified import read_discovery
from m2me_agent.tre_protocol import Operation

NONCE_SIZE = 32
IDEMPOTENCY_KEY_SIZE = 16
AWAITED = "awaited"
"""What the TRE says of the consent of a person who was not asked yet, or has not answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user and the settings say: the SHO of choice (id), the device's supplier, how long a person may take."""

    choice: str | None = None
    supplier: str | None = None
    consent: Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedOrder:
    """An order as the TRE took it: its digest (32 bytes), who asks, and whether the person agreed."""

    order_digest: bytes
    consented: bool
    sho: str
    sho_name: str
    order_code: str
    pva_url: str
    dpf_url: str


class RegistrationFunction(Protocol):
    """The device part of a DRF, behind the bearer; raises AgentError. Both may be repeated."""

    def discover(self, device: Device, *, nonce: bytes, wishes: Wishes) -> str:
        """The signed discovery answer."""

    def register(self, device: Device, *, sho: str, idempotency_key: str) -> str:
        """The order token of the operator."""


def register(
    tre: Tre,
    drf: RegistrationFunction,
    device: Device,
    wishes: Wishes,
    *,
    random_bytes: RandomBytes,
    pace: Pace,
) -> AcceptedOrder:
    """Find the operator, register, and have the TRE accept the order; `consented` is False if nobody agreed in time.

    Raises:
        AgentError: a party refused, or could not be reached. The whole may be repeated: an order has one registration.
    """
    # 5 which operator is mine?
    nonce = random_bytes(NONCE_SIZE)
    discovery = repeat(lambda: drf.discover(device, nonce=nonce, wishes=wishes), sleep=pace.sleep)
    # 6 this one, it is said
    found = read_discovery(discovery)
    pace.tell(6, "operator-found", sho=found.sho, sho_name=found.sho_name, source=found.source)
    # 7 register there, once
    key = random_bytes(IDEMPOTENCY_KEY_SIZE).hex()
    order = repeat(lambda: drf.register(device, sho=found.sho, idempotency_key=key), sleep=pace.sleep)
    pace.tell(7, "registered", sho=found.sho)
    # 7 the TRE checks order and discovery, and says whether its person agreed
    sent = {"order": order, "discovery": discovery, "nonce": nonce}
    accepted = tre.ask(Operation.ACCEPT_ORDER, sent)
    if accepted["consent"] == AWAITED:
        said = {"sho_name": accepted["sho_name"], "order_code": accepted["order_code"]}
        pace.tell(7, "needs-registration", outcome="awaiting-consent", **said)
        accepted = _consented(tre, sent, accepted, patience=wishes.consent, sleep=pace.sleep)
    consented = accepted["consent"] != AWAITED
    if consented:
        pace.tell(7, "order-accepted", order_digest=accepted["order_digest"].hex())
    return AcceptedOrder(
        order_digest=accepted["order_digest"],
        consented=consented,
        sho=found.sho,
        sho_name=accepted["sho_name"],
        order_code=accepted["order_code"],
        pva_url=found.pva_url,
        dpf_url=found.dpf_url,
    )


def _consented(tre: Tre, sent: dict[str, Any], accepted: Any, *, patience: Patience, sleep: Sleep) -> Any:
    for pause_s in patience.pauses():
        sleep(pause_s)
        accepted = tre.ask(Operation.ACCEPT_ORDER, sent)
        if accepted["consent"] != AWAITED:
            return accepted
    return accepted
