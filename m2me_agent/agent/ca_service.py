"""The CA as enrolment wants it: its client, with every failure as a report for people."""

from clients.ca import CaAnswerError, CaDeviceClient
from m2me_agent.agent.reports import reported
from messages.enrollment import ActivationRequest, EnrollmentRequest
from messages.errors import MessageError

CA_ANSWERS = (CaAnswerError, MessageError)


class CaService:
    """The device part of a CA."""

    def __init__(self, client: CaDeviceClient) -> None:
        self._client = client

    def begin_enrollment(self, request: bytes) -> bytes:
        """EnrollmentRequest to EnrollmentChallenge."""
        return reported(
            "CA", lambda: self._client.begin(EnrollmentRequest.decode(request)), answers=CA_ANSWERS
        ).encode()

    def activate(self, activation: bytes) -> bytes:
        """ActivationRequest to EnrollmentResult."""
        return reported(
            "CA", lambda: self._client.activate(ActivationRequest.decode(activation)), answers=CA_ANSWERS
        ).encode()

    def credential(self, device_id: str) -> bytes:
        """The EnrollmentResult with the newest PfC of a device."""
        return reported("CA", lambda: self._client.credential(device_id), answers=CA_ANSWERS).encode()
