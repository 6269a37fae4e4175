"""Attestation, as the agent sees it: a challenge to the TRE, evidence to the PVA."""

from dataclasses import dataclass
from typing import Protocol

from m2me_agent.agent.errors import RefusedError
from m2me_agent.agent.ports import Sleep, Tre, repeat
from m2me_agent.tre_protocol import Operation, Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the PVA told the device: where its result is kept, and its overall status (AR4SI tier)."""

    result_id: str
    status: str


class PlatformValidationAuthority(Protocol):
    """The device part of a PVA; raises AgentError."""

    def challenge(self, device_id: str) -> str:
        """A fresh challenge token; nothing is stored for it, so asking may be repeated."""

    def submit(self, evidence: bytes) -> Verdict:
        """Hand evidence in; the challenge is used up by the first try, so it may not be repeated."""


def attest(tre: Tre, pva: PlatformValidationAuthority, *, sleep: Sleep) -> Verdict:
    """Carry one exchange.

    Raises:
        AgentError: a party refused, or could not be reached. A new exchange may be tried.
    """
    # 1 who are we
    device_id = tre.ask(Operation.STATUS)["status"].get("device_id")
    if not isinstance(device_id, str) or not device_id:
        raise RefusedError(
            Refusal(
                code="not-enrolled",
                subject="device",
                reason="the TRE has no keys yet",
                remedy="enrol the device: m2me enroll",
            )
        )
    # 2 the PVA asks
    token = repeat(lambda: pva.challenge(device_id), sleep=sleep)
    # 3 the TRE answers, if it may
    evidence = tre.ask(Operation.ATTEST, {"challenge_token": token})["evidence"]
    # 4 the PVA judges
    return pva.submit(evidence)
