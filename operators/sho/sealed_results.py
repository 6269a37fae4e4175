"""Results that a registration operator relayed: sealed by the PVA for this operator's own key (D12).

Rule: one algorithm, one key, whatever the header says. What comes out is a signed result and is judged like any other.
Source: RFC 7516, RFC 7518 section 4.6.
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from messages.errors import MessageError
from standards.pki.fingerprints import certificate_der

KEY_AGREEMENT: Final = "ECDH-ES+A256KW"
ENCRYPTION: Final = "A256GCM"
SEALED_BYTES_MAX: Final = 1 << 19


class _Registry(jwe.JWERegistry):
    """The size is limited before anything is parsed; an ordinary result passes the library's own bounds."""

    max_ciphertext_length = SEALED_BYTES_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultOpener:
    """The key that results are sealed for, and its certificate, which goes into every relayed request."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey = field(repr=False)

    @property
    def encrypt_to(self) -> bytes:
        """DER of the certificate."""
        return certificate_der(self.certificate)

    def open(self, sealed: str) -> str:
        """The signed result in a compact JWE. Raises MessageError."""
        if len(sealed) > SEALED_BYTES_MAX:
            raise MessageError(
                what="sealed result", expected=f"at most {SEALED_BYTES_MAX} bytes", got=str(len(sealed))
            )
        try:
            registry = _Registry(algorithms=[KEY_AGREEMENT, ENCRYPTION])
            opened = jwe.decrypt_compact(sealed, ECKey.import_key(self.key), registry=registry)
            plaintext = opened.plaintext or b""
            return plaintext.decode("ascii")
        except (JoseError, ValueError, TypeError, KeyError):
            raise MessageError(
                what="sealed result",
                expected=f"{KEY_AGREEMENT} with {ENCRYPTION} for this operator's key",
                got="something else",
            ) from None
