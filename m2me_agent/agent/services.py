"""The CA and the PVA as the use cases want them: their clients, with every failure as a report for people."""

from collections.abc import Callable
from typing import TypeVar

from clients.ca import CaAnswerError, CaDeviceClient
from clients.pva import PvaAnswerError, PvaDeviceClient
from edge.http_client import HttpError, UnreachableError
from m2me_agent.agent.attestation import Verdict
from m2me_agent.agent.errors import NotReachedError, RefusedError
from m2me_agent.tre_protocol import Refusal
from messages.enrollment import ActivationRequest, EnrollmentRequest
from messages.errors import MessageError

T = TypeVar("T")


class CaService:
    """The device part of a CA."""

    def __init__(self, client: CaDeviceClient) -> None:
        self._client = client

    def begin_enrollment(self, request: bytes) -> bytes:
        """EnrollmentRequest to EnrollmentChallenge."""
        return reported("CA", lambda: self._client.begin(EnrollmentRequest.decode(request))).encode()

    def activate(self, activation: bytes) -> bytes:
        """ActivationRequest to EnrollmentResult."""
        return reported("CA", lambda: self._client.activate(ActivationRequest.decode(activation))).encode()


class PvaService:
    """The device part of a PVA."""

    def __init__(self, client: PvaDeviceClient) -> None:
        self._client = client

    def challenge(self, device_id: str) -> str:
        """A fresh challenge token."""
        return reported("PVA", lambda: self._client.challenge(device_id))

    def submit(self, evidence: bytes) -> Verdict:
        """Evidence to verdict."""
        answer = reported("PVA", lambda: self._client.submit_evidence(evidence))
        return Verdict(result_id=answer.result_id, status=answer.status)


def reported(service: str, call: Callable[[], T]) -> T:
    """The call's value; its failures as RefusedError or NotReachedError."""
    try:
        return call()
    except UnreachableError as error:
        raise NotReachedError(
            Refusal(
                code="unreachable",
                subject=f"{service} at {error.url}",
                reason=error.reason,
                remedy="check the network, the URL and the TLS root in the agent's settings, then try again",
            )
        ) from error
    except (CaAnswerError, PvaAnswerError, MessageError) as error:
        raise RefusedError(
            Refusal(
                code="answer",
                subject=f"message between TRE and {service}",
                reason=str(error),
                remedy=f"check the {service}'s URL in the agent's settings; versions may differ",
            )
        ) from error
    except HttpError as error:
        problem = error.problem
        raise RefusedError(
            Refusal(
                code=(problem.reason or problem.type) if problem else f"http-{error.status}",
                subject=(problem.subject if problem else "") or f"{service} at {error.url}",
                reason=(problem.detail or problem.title) if problem else f"answered {error.status}",
                remedy=(problem.remedy if problem else "") or f"ask the operator of the {service}",
            )
        ) from error
