"""Attestation, as the agent sees it (step 9): a challenge to the TRE, evidence to the PVA.

Rule: the agent learns whether the platform was affirmed, and passes nothing on because of it: SHO and DPF have the
PVA's signed result from the PVA.
"""

from dataclasses import dataclass
from typing import Protocol

from m2me_agent.agent.errors import NotAffirmingError, NotReachedError, RefusedError, UnjudgedError
from m2me_agent.agent.ports import Pace, Sleep, Tre, ask_for_signature, repeat
from m2me_agent.tre_protocol import Operation, Refusal

AFFIRMING = "affirming"
NOTHING_ASKED = "no-validation-pending"


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


def answer_if_asked(
    tre: Tre, pva: PlatformValidationAuthority, *, device_id: str, pace: Pace
) -> Verdict | None:
    """Carry one exchange if an operator waits for a validation of this device; None if nobody does.

    Raises:
        NotAffirmingError: the PVA judged the platform and did not affirm it.
        UnjudgedError: the evidence did not reach the PVA, or the PVA could not judge it now.
        AgentError: a party refused, or could not be reached. A new exchange may be tried.
    """
    # 1 does anybody ask?
    try:
        token = pva.challenge(device_id)
    except RefusedError as refused:
        if refused.code == NOTHING_ASKED:
            return None
        raise
    # 2 the TRE answers, if it may
    evidence = ask_for_signature(tre, Operation.ATTEST, {"challenge_token": token}, pace=pace)["evidence"]
    # 3 the PVA judges
    try:
        verdict = pva.submit(evidence)
    except NotReachedError as error:
        raise UnjudgedError(error.refusal) from error
    if verdict.status != AFFIRMING:
        raise NotAffirmingError(
            Refusal(
                code="not-affirming",
                subject="platform",
                reason=f"the PVA says {verdict.status} (result {verdict.result_id})",
                remedy="bring the platform into the approved state, then try again; the operator sees the findings",
            ),
            status=verdict.status,
            result_id=verdict.result_id,
        )
    return verdict
