"""The parties between which the agent carries messages, how often it may try, and how it says where it is."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from m2me_agent.agent.errors import NotReachedError, RefusedError
from m2me_agent.tre_protocol import Operation, Refusal

T = TypeVar("T")

Sleep = Callable[[float], None]
"""Waits so many seconds."""

RATE_LIMITED = "rate-limited"
"""What a TRE says while its allowance of signatures is used up; powered time fills it again."""
ATTEMPTS = 3
FIRST_WAIT_S = 0.5


class Tre(Protocol):
    """The TRE; raises AgentError."""

    def ask(self, operation: Operation, parameters: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """The result of an operation."""


class Tell(Protocol):
    """Hears of each step of the fourteen that is done, as it is done; keeps no secret because it hears none."""

    def __call__(self, step: int, event: str, **details: str | int) -> None:
        """`event` is a stable word; `details` are for people and programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Pauses between two questions: the first, by how much they grow, the longest, and all of them together."""

    first_s: float = 0.01
    growth: float = 1.5
    longest_s: float = 0.5
    total_s: float = 30.0

    def pauses(self) -> Iterator[float]:
        """Pauses in seconds whose sum does not pass `total_s`."""
        pause_s, left_s = self.first_s, self.total_s
        while left_s > 0:
            yield min(pause_s, left_s)
            left_s -= pause_s
            pause_s = min(pause_s * self.growth, self.longest_s)

    def sparing(self) -> "Patience":
        """As long in all, with longer pauses: for tries that cost something."""
        return replace(self, first_s=max(self.first_s, 1.0), longest_s=max(self.longest_s, 6.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How an agent goes its way: how long it waits for others, by what it waits, and whom it tells where it is."""

    patience: Patience
    sleep: Sleep
    tell: Tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What the TRE says of its device, none of it secret; Names and keys as TPM structures, the chain as DER."""

    device_id: str
    ak_public: bytes
    pfc_chain: tuple[bytes, ...]
    pcid: str
    identity: str


def read_device(tre: Tre) -> Device:
    """Who we are.

    Raises:
        RefusedError: the device has no platform credential, or no connectivity, so the journey cannot begin.
    """
    status = tre.ask(Operation.STATUS)["status"]
    if not status.get("device_id") or not status.get("pfc_chain"):
        raise _not_ready("not-enrolled", "the TRE has no platform credential yet", "m2me enroll")
    if not status.get("pcid") or not status.get("identity"):
        raise _not_ready("not-connected", "the TRE has no PCID yet", "m2me connect --token FILE")
    return Device(
        device_id=status["device_id"],
        ak_public=bytes.fromhex(status["ak_public"]),
        pfc_chain=tuple(status["pfc_chain"]),
        pcid=status["pcid"],
        identity=status["identity"],
    )


def ask_for_signature(
    tre: Tre, operation: Operation, parameters: Mapping[str, Any], *, pace: Pace
) -> Mapping[str, Any]:
    """Ask the TRE for something that it signs, and again while its allowance is used up.

    Raises:
        AgentError: as the TRE's; "rate-limited" only when the whole patience was of no help.
    """
    for pause_s in pace.patience.pauses():
        try:
            return tre.ask(operation, parameters)
        except RefusedError as refused:
            if refused.code != RATE_LIMITED:
                raise
        pace.sleep(pause_s)
    return tre.ask(operation, parameters)


def repeat(call: Callable[[], T], *, sleep: Sleep) -> T:
    """Try a call that may be repeated safely up to ATTEMPTS times while it cannot be reached.

    Raises:
        NotReachedError: the last one.
    """
    wait_s = FIRST_WAIT_S
    for _ in range(ATTEMPTS - 1):
        try:
            return call()
        except NotReachedError:
            sleep(wait_s)
            wait_s *= 2
    return call()


def _not_ready(code: str, reason: str, remedy: str) -> RefusedError:
    return RefusedError(
        Refusal(code=code, subject="device", reason=reason, remedy=f"do it in the factory: {remedy}")
    )
