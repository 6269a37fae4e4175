"""Delivery (steps 9 to 12): be validated for the SHO, ask the DPF, be validated again, and fetch what was granted.

Rule: what comes is ciphertext and signed tokens; it is kept so that a cut link or a killed agent costs no byte twice,
and handed to the TRE, which alone can judge and open it (R31, R97). The DPF decides whether anything is granted.

SHO and DPF each ask the PVA for a validation of their own. Which of them is due, an agent that was started again
cannot know; so it answers whatever is asked, and asks the DPF in between.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from m2me_agent.agent.attestation import PlatformValidationAuthority, answer_if_asked
from m2me_agent.agent.errors import NotReachedError, RefusedError, UnjudgedError
from m2me_agent.agent.ports import Device, Pace, T, Tre
from m2me_agent.agent.unverified import read_package, token_digest
from m2me_agent.tre_protocol import Refusal

NOT_YET = frozenset({"nothing-authorized", "too-soon", "not-granted"})
"""What the DPF says while the SHO has not authorised, or a validation is under way."""
ENDED = frozenset({"delivery-closed", "grant-expired", "validation-expired", "not-found"})
"""What the DPF says of a delivery that is over: ask for another one."""
ROUNDS_BEFORE_ASKING = 6
"""Rounds without a question of the PVA after which the DPF is asked all the same."""
VALIDATIONS_MAX = 8
"""Answered questions of the PVA in one wait after each of which the wait begins anew."""
CUTS_MAX = 20
DOWNLOADS_MAX = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A granted delivery: two signed tokens, how big the content (ciphertext) is, in bytes, and where it is fetched."""

    order_digest: bytes
    delivery_id: str
    package: str
    delivery: str
    content_size: int
    dpf_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptAnswer:
    """What came of a receipt: its outcome, and the SHO's signed instruction once it gave one."""

    outcome: str
    instruction: str | None


class ProvisioningFunction(Protocol):
    """The device part of a DPF, behind the bearer; raises AgentError. All of it may be repeated."""

    def request(self, device: Device, *, order_digest: bytes) -> str:
        """The id of the open delivery of an order."""

    def granted(self, delivery_id: str, *, order_digest: bytes) -> Grant | None:
        """The grant, None while the device is being validated."""

    def content(self, delivery_id: str, *, offset: int) -> bytes:
        """A chunk of the content from `offset` on, of at least one byte."""

    def receipt(self, delivery_id: str, statement: bytes) -> ReceiptAnswer:
        """Hand in the TRE's signed receipt."""


class Shelf(Protocol):
    """The agent's own folder: one grant and the bytes of one package, all of it ciphertext or signed."""

    def grant(self) -> Grant | None:
        """The grant that is kept, if it can be read."""

    def keep(self, grant: Grant) -> None:
        """Keep a grant in place of another."""

    def content(self, name: str) -> bytes:
        """What is there of a package's content."""

    def add(self, name: str, chunk: bytes) -> None:
        """Add to a package's content."""

    def drop(self, name: str) -> None:
        """Throw a package's content away."""

    def clear(self) -> None:
        """Throw all of it away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivering:
    """The parties of a delivery, for one order of one device."""

    tre: Tre
    pva: PlatformValidationAuthority
    dpf: ProvisioningFunction
    device: Device
    order_digest: bytes
    pace: Pace


def obtain_grant(with_: Delivering) -> Grant:
    """Answer the PVA and ask the DPF until the delivery is granted.

    Raises:
        NotAffirmingError: a PVA judged the platform and did not affirm it.
        AgentError: a party refused, or could not be reached, or nothing came in time. The whole may be repeated.
    """
    # 9 the SHO's validation; 12 ask for the delivery
    delivery_id = _until(with_, lambda: _opened(with_), step=9, event="validated", ask_early=False)
    with_.pace.tell(12, "delivery-requested", delivery_id=delivery_id)
    # 12 the DPF's own validation; the grant
    grant = _until(
        with_,
        lambda: with_.dpf.granted(delivery_id, order_digest=with_.order_digest),
        step=12,
        event="validated-again",
        ask_early=True,
    )
    with_.pace.tell(12, "granted", delivery_id=delivery_id, content_size=grant.content_size)
    return grant


def fetch_content(dpf: ProvisioningFunction, shelf: Shelf, grant: Grant, *, pace: Pace) -> bytes:
    """The content of a granted package, whole: what is there already, and the rest from where it ends.

    A link may be cut CUTS_MAX times. Raises AgentError; what came is kept, and the whole may be repeated.
    """
    name, digest = token_digest(grant.package), read_package(grant.package).content_sha256
    for _ in range(DOWNLOADS_MAX):
        begun = len(shelf.content(name))
        cuts = _fetch_rest(dpf, shelf, grant, name=name, pace=pace)
        content = shelf.content(name)
        if len(content) == grant.content_size and hashlib.sha256(content).digest() == digest:
            pace.tell(12, "downloaded", bytes=len(content), resumed_at=begun, cuts=cuts)
            return content
        shelf.drop(name)  # a torn write, or bytes of another package: the TRE would refuse them for good
    raise RefusedError(
        Refusal(
            code="content-damaged",
            subject="content of the package",
            reason=f"{DOWNLOADS_MAX} downloads did not have the digest that the package names",
            remedy="try again; if it lasts, tell the operator of the DPF",
        )
    )


def _fetch_rest(dpf: ProvisioningFunction, shelf: Shelf, grant: Grant, *, name: str, pace: Pace) -> int:
    cuts, pauses = 0, pace.patience.pauses()
    offset = len(shelf.content(name))
    while offset < grant.content_size:
        try:
            chunk = dpf.content(grant.delivery_id, offset=offset)
        except NotReachedError:
            cuts += 1
            pause_s = next(pauses, None)
            if cuts > CUTS_MAX or pause_s is None:
                raise
            pace.sleep(pause_s)
            continue
        shelf.add(name, chunk)
        offset += len(chunk)
    return cuts


def _opened(with_: Delivering) -> str | None:
    try:
        return with_.dpf.request(with_.device, order_digest=with_.order_digest)
    except RefusedError as refused:
        if refused.code in NOT_YET:
            return None
        raise


def _until(with_: Delivering, ask: Callable[[], T | None], *, step: int, event: str, ask_early: bool) -> T:
    """Answer the PVA whenever it asks, and ask for something until it is there."""
    pauses, answered, rounds = with_.pace.patience.pauses(), 0, 0
    last, sparing = _nothing_came(with_), False
    while True:
        try:
            verdict = answer_if_asked(with_.tre, with_.pva, device_id=with_.device.device_id, pace=with_.pace)
            if verdict is not None:
                with_.pace.tell(step, event, status=verdict.status, result_id=verdict.result_id)
                answered += 1
                # what waits for this answer comes soon
                pauses = with_.pace.patience.pauses() if answered <= VALIDATIONS_MAX else pauses
            if ask_early or answered or rounds >= ROUNDS_BEFORE_ASKING:
                found = ask()
                if found is not None:
                    return found
        except NotReachedError as error:
            last = error
            if isinstance(error, UnjudgedError) and not sparing:
                # a PVA that cannot judge now must not use up what the TRE may sign: the receipt needs it, too
                pauses, sparing = with_.pace.patience.sparing().pauses(), True
        pause_s = next(pauses, None)
        if pause_s is None:
            raise last
        with_.pace.sleep(pause_s)
        rounds += 1


def _nothing_came(with_: Delivering) -> NotReachedError:
    return NotReachedError(
        Refusal(
            code="no-delivery",
            subject=f"order {with_.order_digest.hex()}",
            reason=f"no operator asked for a validation or authorised a delivery within {with_.pace.patience.total_s:g} s",
            remedy="start m2me provision again, it goes on from here; if it lasts, ask the operator of the order",
        )
    )
