"""A supplier's responder that signs for real, in memory: for whoever keeps an answer and reads it again."""

from collections.abc import Callable
from datetime import datetime

from ocsp.delegates import DelegateDirectory
from ocsp.responder import respond
from pva.appraisal.credential import PlatformCredential
from standards.pki.crl import Revocation
from standards.pki.fingerprints import ca_id
from standards.pki.ocsp import build_request
from standards.pki.ocsp_answer import CertStatus, verify_response
from tests.fakes.credentials import FakeSupplier
from tests.fakes.ocsp import MemoryStatusStore, issuer_with_delegate

NONCE = b"\x5a" * 32


def signed_status(
    supplier: FakeSupplier, *, revocation: Revocation | None = None
) -> Callable[[PlatformCredential, datetime], CertStatus]:
    """Satisfies `pva.validation.StatusSource`: good or revoked, by a delegate of the issuing CA, with the nonce of the question."""
    delegates = DelegateDirectory([issuer_with_delegate(supplier.issuing)])

    def status_of(credential: PlatformCredential, at: datetime) -> CertStatus:
        serial = credential.certificate.serial_number
        store = MemoryStatusStore(level_at=at, known={(ca_id(credential.issuer), serial): revocation})
        asked = build_request(credential.certificate, credential.issuer, nonce=NONCE)
        raw = respond(asked.der, now=at, status_store=store, delegates=delegates)
        return verify_response(raw, request=asked, issuer=credential.issuer, at=at)

    return status_of
