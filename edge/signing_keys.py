"""Signing keys of services: an encrypted key and the certificate path that says what it may sign.

Rule: key and path are proven to belong together, for this purpose and under this root, before anything is signed.
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from edge.keys import load_private_key
from edge.settings import Settings, SettingsPath
from standards.pki.fingerprints import decode_pem_certificates, spki_der
from standards.pki.paths import validate_path


class SigningKeyError(Exception):
    """Key and certificate are each well-formed, but do not belong together."""


class SigningKeySettings(Settings):
    """An encrypted signing key and its certificate path (PEM, leaf first, without the root)."""

    key: SettingsPath
    passphrase_file: SettingsPath
    certificate: SettingsPath

    def load(
        self, *, anchors: Sequence[x509.Certificate], eku: x509.ObjectIdentifier, at: datetime
    ) -> tuple[EllipticCurvePrivateKey, tuple[x509.Certificate, ...]]:
        """The key with its path under `anchors` for the purpose `eku`, judged `at`.

        Raises KeyFileError, PkiError or SigningKeyError.
        """
        key = load_private_key(self.key, passphrase_file=self.passphrase_file)
        chain = tuple(decode_pem_certificates(self.certificate.read_bytes()))
        validate_path(chain[0], intermediates=chain[1:], anchors=anchors, at=at, eku=eku)
        if spki_der(chain[0]) != spki_der(key.public_key()):
            raise SigningKeyError(f"{self.certificate} is not the certificate of {self.key}")
        return key, chain
