"""The PVA as attestation wants it: its client, with every failure as a report for people."""

from clients.pva import PvaAnswerError, PvaDeviceClient
from m2me_agent.agent.attestation import Verdict
from m2me_agent.agent.reports import reported

PVA_ANSWERS = (PvaAnswerError,)


class PvaService:
    """The device part of a PVA."""

    def __init__(self, client: PvaDeviceClient) -> None:
        self._client = client

    def challenge(self, device_id: str) -> str:
        """A fresh challenge token."""
        return reported("PVA", lambda: self._client.challenge(device_id), answers=PVA_ANSWERS)

    def submit(self, evidence: bytes) -> Verdict:
        """Evidence to verdict."""
        answer = reported("PVA", lambda: self._client.submit_evidence(evidence), answers=PVA_ANSWERS)
        return Verdict(result_id=answer.result_id, status=answer.status)
