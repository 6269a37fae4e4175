"""Asks a supplier's OCSP responder whether a Platform Credential is good, fresh for every validation, or its CRL.

Rule: the address is the one that an administrator configured with the supplier, every question carries a nonce,
and silence is no answer: without a verified status nothing is validated (A25, RFC 6960, RFC 9654).
"""

from contextlib import closing
from datetime import datetime
from threading import Lock
from urllib.parse import urlsplit

from clients.ocsp import OcspClient
from edge.http_client import HttpClient, HttpError, UnreachableError
from edge.process import Clock, RandomBytes
from pva.appraisal.credential import PlatformCredential
from pva.refusals import RefusalCode, RefusalError
from pva.validation import StatusSource
from standards.pki.crl import CRL_BYTES_MAX
from standards.pki.errors import PkiError
from standards.pki.ocsp_answer import CertStatus

RETRY_AFTER_S = 5
CRL_TIMEOUT_S = 20.0


class CredentialStatusSource:
    """Satisfies `pva.validation.StatusSource`; keeps one client a responder."""

    def __init__(
        self, *, timeout_s: float, random_bytes: RandomBytes, clock: Clock, crls: StatusSource
    ) -> None:
        """Wait at most `timeout_s` for an answer; `random_bytes` makes the nonces.

        `crls` is asked about credentials of suppliers that have no responder.
        """
        self._crls = crls
        self._timeout_s = timeout_s
        self._clock = clock
        self._random_bytes = random_bytes
        self._lock = Lock()
        self._clients: dict[str, OcspClient] = {}

    def __call__(self, credential: PlatformCredential, at: datetime) -> CertStatus:
        """The verified status of a credential, not from before `at`. Raises RefusalError (STATUS_UNAVAILABLE)."""
        if credential.supplier.crls:
            return self._crls(credential, at)
        # the answer is fresh by its nonce, and judged at the time when it came
        url = credential.supplier.ocsp_url
        try:
            return self._client(url).ask(credential.certificate, issuer=credential.issuer)
        except (PkiError, HttpError, UnreachableError) as error:
            raise RefusalError(
                RefusalCode.STATUS_UNAVAILABLE,
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


def fetch_crl(url: str) -> bytes:
    """A CRL from its place, within the bounds of size and time. Raises HttpError or UnreachableError."""
    place = urlsplit(url)
    path = (place.path or "/") + (f"?{place.query}" if place.query else "")
    with closing(
        HttpClient(
            f"{place.scheme}://{place.netloc}", timeout_s=CRL_TIMEOUT_S, response_bytes_max=CRL_BYTES_MAX
        )
    ) as http:
        return http.get(path).body
