"""Results that a registration operator relayed: sealed by the PVA for a key of this operator's own (D12).

Rule: what comes out of the envelope is a signed result and is judged like any other; the envelope proves nothing.
"""

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from messages.sealed_result import open_sealed_result
from standards.pki.fingerprints import certificate_der


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultOpener:
    """The key that results are sealed for, and its certificate, which goes into every relayed request."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey = field(repr=False)

    @property
    def encrypt_to(self) -> bytes:
        """DER of the certificate."""
        return certificate_der(self.certificate)

    def open(self, sealed: str) -> str | None:
        """The signed result in an envelope, None where the request ended without one. Raises MessageError."""
        return open_sealed_result(sealed, key=self.key).result
