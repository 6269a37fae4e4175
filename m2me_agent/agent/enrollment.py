"""Enrolment, as the agent sees it: three messages between the TRE and the CA, none of which it can make."""

from collections.abc import Mapping
from typing import Any, Protocol

from m2me_agent.agent.ports import Sleep, Tre, repeat
from m2me_agent.tre_protocol import Operation


class CertificationAuthority(Protocol):
    """The device part of a CA; raises AgentError."""

    def begin_enrollment(self, request: bytes) -> bytes:
        """EnrollmentRequest to EnrollmentChallenge; opens a session, so it may be repeated."""

    def activate(self, activation: bytes) -> bytes:
        """ActivationRequest to EnrollmentResult; the very same bytes again give the very same PfC."""


def enroll(tre: Tre, ca: CertificationAuthority, *, sleep: Sleep) -> Mapping[str, Any]:
    """Carry the messages of one enrolment; what the TRE installed, described.

    Raises:
        AgentError: a party refused, or could not be reached. Nothing is lost: the whole may be repeated.
    """
    # 1 the TRE makes and names its keys
    request = tre.ask(Operation.BEGIN_ENROLLMENT)["request"]
    # 2 the CA checks EK and batch, and wraps a secret for them
    challenge = repeat(lambda: ca.begin_enrollment(request), sleep=sleep)
    # 3 the TRE recovers it and certifies its keys
    activation = tre.ask(Operation.ACTIVATE, {"challenge": challenge})["activation"]
    # 4 the CA issues the PfC
    result = repeat(lambda: ca.activate(activation), sleep=sleep)
    # 5 the TRE installs it, if it is over its own AK and under its own anchor
    credential: Mapping[str, Any] = tre.ask(Operation.INSTALL_CREDENTIAL, {"result": result})["credential"]
    return credential
