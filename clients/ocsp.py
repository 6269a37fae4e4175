"""A relying party's side of OCSP: ask one responder about one certificate, now.

The one rule: every question carries 32 fresh random octets, and an answer without them is no answer; what was
not answered is never taken for `good`.
"""

from urllib.parse import urlsplit

from cryptography import x509

from edge.http_client import HttpClient
from edge.process import Clock, RandomBytes
from standards.pki.errors import DecodeError
from standards.pki.ocsp import NONCE_BYTES, build_request
from standards.pki.ocsp_answer import RESPONSE_BYTES_MAX, CertStatus, verify_response

REQUEST_TYPE = "application/ocsp-request"
RESPONSE_TYPE = "application/ocsp-response"


class OcspClient:
    """Client of the responder at `url` (plain HTTP: its answers are signed); may be shared by threads."""

    def __init__(self, url: str, *, random_bytes: RandomBytes, clock: Clock, timeout_s: float = 5.0) -> None:
        """Prepare the client; connects to nothing."""
        parts = urlsplit(url)
        self._path = parts.path or "/"
        self._random_bytes = random_bytes
        self._clock = clock
        self._http = HttpClient(
            f"{parts.scheme}://{parts.netloc}", timeout_s=timeout_s, response_bytes_max=RESPONSE_BYTES_MAX
        )

    def ask(self, certificate: x509.Certificate, *, issuer: x509.Certificate) -> CertStatus:
        """The verified present status of `certificate`, which the validated `issuer` issued.

        Raises UnreachableError or HttpError (edge.http_client) without an answer; OcspRefusalError,
        RevocationError or DecodeError (standards.pki) for one that says nothing.
        """
        request = build_request(certificate, issuer, nonce=self._random_bytes(NONCE_BYTES))
        response = self._http.post(self._path, request.der, content_type=REQUEST_TYPE, accept=RESPONSE_TYPE)
        if response.content_type.partition(";")[0].strip().lower() != RESPONSE_TYPE:
            raise DecodeError("OCSP response", expected=RESPONSE_TYPE, got=response.content_type[:80])
        return verify_response(response.body, request=request, issuer=issuer, at=self._clock())

    def close(self) -> None:
        """Close the kept connections."""
        self._http.close()
