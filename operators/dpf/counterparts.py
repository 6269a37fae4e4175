"""Whom the DPF calls: PVAs for validations, suppliers' responders for status, SHOs with receipts.

Rule: who is called stands in the settings, never in a message; silence, and every answer that cannot be used, is
"not now": it never reads as a yes.
"""

from collections.abc import Mapping
from http import HTTPStatus
from threading import Lock

from clients.ocsp import OcspClient
from clients.pva import PvaAnswerError, PvaOperatorClient
from clients.sho import ShoAnswerError, ShoOperatorClient
from edge.http_client import HttpError, UnreachableError
from edge.process import Clock, RandomBytes, logger
from operators.dpf.credential import PlatformCredential
from operators.dpf.lives import Step, StepQuestion
from operators.dpf.receipts import NotTakenError
from operators.dpf.records import ReceiptRecord
from operators.dpf.refusals import RefusalCode, RefusalError
from operators.dpf.updates import UpdateQuestion
from standards.pki.errors import PkiError
from standards.pki.ocsp_answer import CertStatus

RETRY_AFTER_S = 5


class PvaValidations:
    """Satisfies `operators.dpf.release.ValidationService`."""

    def __init__(self, clients: Mapping[str, PvaOperatorClient]) -> None:
        """Ask the PVAs by their ids."""
        self._clients = clients

    def submit(self, pva: str, request: str) -> str:
        """See `operators.dpf.release.ValidationService`."""
        try:
            return self._client(pva).submit_request(request).request_id
        except (HttpError, UnreachableError, PvaAnswerError) as error:
            raise _silent(pva, error) from None

    def answer(self, pva: str, request_id: str) -> str | None:
        """See `operators.dpf.release.ValidationService`."""
        try:
            return self._client(pva).request_progress(request_id).result
        except (HttpError, UnreachableError, PvaAnswerError) as error:
            raise _silent(pva, error) from None

    def _client(self, pva: str) -> PvaOperatorClient:
        client = self._clients.get(pva)
        if client is None:
            raise RefusalError(
                RefusalCode.PVA_UNAVAILABLE,
                subject=f"PVA {pva}",
                reason="no address is configured for it",
                retry_after_s=RETRY_AFTER_S,
            )
        return client


class CredentialStatusSource:
    """Satisfies `operators.dpf.release.StatusSource`; keeps one client a responder."""

    def __init__(self, *, timeout_s: float, random_bytes: RandomBytes, clock: Clock) -> None:
        """Wait at most `timeout_s` for an answer; `random_bytes` makes the nonces."""
        self._timeout_s = timeout_s
        self._random_bytes = random_bytes
        self._clock = clock
        self._lock = Lock()
        self._clients: dict[str, OcspClient] = {}

    def __call__(self, credential: PlatformCredential) -> CertStatus:
        """See `operators.dpf.release.StatusSource`."""
        try:
            return self._client(credential.supplier.ocsp_url).ask(
                credential.certificate, issuer=credential.issuer
            )
        except (PkiError, HttpError, UnreachableError) as error:
            raise RefusalError(
                RefusalCode.OCSP_UNAVAILABLE,
                subject=credential.subject,
                reason=f"the responder of {credential.supplier.name!r} gave no usable status: {error}",
                retry_after_s=RETRY_AFTER_S,
            ) from None

    def _client(self, url: str) -> OcspClient:
        with self._lock:
            if url not in self._clients:
                self._clients[url] = OcspClient(
                    url, random_bytes=self._random_bytes, clock=self._clock, timeout_s=self._timeout_s
                )
            return self._clients[url]


class ShoReceipts:
    """Satisfies `operators.dpf.receipts.Operators`."""

    def __init__(self, clients: Mapping[str, ShoOperatorClient]) -> None:
        """Bring receipts to the SHOs by their ids."""
        self._clients = clients

    def bring_receipt(self, receipt: ReceiptRecord) -> str | None:
        """See `operators.dpf.receipts.Operators`."""
        client = self._clients.get(receipt.sho)
        if client is None:
            logger("dpf").error("sho-not-configured", sho=receipt.sho)
            raise NotTakenError(receipt.sho)
        try:
            return client.receipt(
                order_digest=receipt.order_digest, statement=receipt.statement, result=receipt.fresh_result
            ).instruction
        except (HttpError, UnreachableError, ShoAnswerError) as error:
            logger("dpf").warning("receipt-not-taken", sho=receipt.sho, reason=str(error))
            refuses = isinstance(error, HttpError) and error.status < HTTPStatus.INTERNAL_SERVER_ERROR
            raise NotTakenError(receipt.sho, is_silent=not refuses) from None


class ShoOwners:
    """Satisfies `operators.dpf.updates.Owners` and `operators.dpf.lives.Owners`."""

    def __init__(self, clients: Mapping[str, ShoOperatorClient]) -> None:
        """Ask the SHOs by their ids."""
        self._clients = clients

    def update_approvals(self, sho: str, question: UpdateQuestion) -> str:
        """See `operators.dpf.updates.Owners`."""
        client = self._clients.get(sho)
        if client is None:
            raise _no_answer(sho, "no address is configured for it")
        try:
            return client.update_approvals(
                order_digest=question.order_digest,
                manifest_digest=question.manifest_digest,
                tre_nonce=question.tre_nonce,
            )
        except HttpError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise _no_answer(sho, str(error)) from None
            raise RefusalError(RefusalCode.UPDATE_REFUSED, subject=f"SHO {sho}", reason=str(error)) from None
        except (UnreachableError, ShoAnswerError) as error:
            raise _no_answer(sho, str(error)) from None

    def next_step(self, sho: str, question: StepQuestion) -> Step:
        """See `operators.dpf.lives.Owners`."""
        client = self._clients.get(sho)
        if client is None:
            raise _no_answer(sho, "no address is configured for it")
        try:
            step = client.mid_step(question.order_digest, question.statement)
        except HttpError as error:
            if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise _no_answer(sho, str(error)) from None
            raise RefusalError(RefusalCode.STEP_REFUSED, subject=f"SHO {sho}", reason=str(error)) from None
        except (UnreachableError, ShoAnswerError) as error:
            raise _no_answer(sho, str(error)) from None
        return Step(kind=step.step, token=step.token)


def _no_answer(sho: str, reason: str) -> RefusalError:
    return RefusalError(
        RefusalCode.SHO_UNAVAILABLE, subject=f"SHO {sho}", reason=reason, retry_after_s=RETRY_AFTER_S
    )


def _silent(pva: str, error: Exception) -> RefusalError:
    return RefusalError(
        RefusalCode.PVA_UNAVAILABLE,
        subject=f"PVA {pva}",
        reason=str(error),
        retry_after_s=RETRY_AFTER_S,
    )
