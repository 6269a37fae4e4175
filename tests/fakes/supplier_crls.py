"""CRLs of an issuing CA without a responder, and the place where they lie."""

import threading
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.fakes.pki import Authority

HOUR = timedelta(hours=1)


def crl_of(issuing: Authority, *revoked: int, number: int = 1, at: datetime, life: timedelta = HOUR) -> bytes:
    """A full list from `at` on (DER) that names these serial numbers."""
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=issuing.certificate.subject, last_update=at, next_update=at + life
    ).add_extension(x509.CRLNumber(number), critical=False)
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=at).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuing.key, hashes.SHA256()).public_bytes(Encoding.DER)


class CrlPlace:
    """A web server with one list; without one it answers 503."""

    def __init__(self) -> None:
        """Listen on loopback."""
        self.crl = b""
        self.asked = 0
        place = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # http.server's name for it
                place.asked += 1
                self.send_response(200 if place.crl else 503)
                self.send_header("Content-Length", str(len(place.crl)))
                self.end_headers()
                self.wfile.write(place.crl)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's parameter
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where the list lies."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/line.crl"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
