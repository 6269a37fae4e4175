"""A small OCSP responder on a real socket: answers for one issuing CA what a test tells it to."""

import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from edge.process import system_clock
from tests.fakes.pki import Authority


class FakeResponder:
    """Signs with the issuing CA's own key; `revoked` maps serials to reasons, `silent` answers nothing useful."""

    def __init__(self, issuing: Authority, *, issued: dict[int, x509.Certificate]) -> None:
        """Answer for certificates of `issuing`."""
        self.revoked: dict[int, x509.ReasonFlags] = {}
        self.silent = False
        self._issuing = issuing
        self._issued = issued
        responder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections are kept, as by a real responder
            disable_nagle_algorithm = True

            def do_POST(self) -> None:  # http.server's name for it
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = responder.answer(body)
                self.send_response(status)
                self.send_header("Content-Type", "application/ocsp-response")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's parameter
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a request."""
        if self.silent:
            return 503, b""
        request = ocsp.load_der_ocsp_request(body)
        reason = self.revoked.get(request.serial_number)
        now = system_clock().replace(microsecond=0)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=self._issued[request.serial_number],
            issuer=self._issuing.certificate,
            algorithm=request.hash_algorithm,
            cert_status=ocsp.OCSPCertStatus.GOOD if reason is None else ocsp.OCSPCertStatus.REVOKED,
            this_update=now,
            next_update=now + timedelta(minutes=5),
            revocation_time=None if reason is None else now - timedelta(hours=1),
            revocation_reason=reason,
        )
        nonce = request.extensions.get_extension_for_class(x509.OCSPNonce).value
        signed = (
            builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self._issuing.certificate)
            .add_extension(nonce, critical=False)
            .sign(self._issuing.key, hashes.SHA256())
        )
        return 200, signed.public_bytes(Encoding.DER)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
