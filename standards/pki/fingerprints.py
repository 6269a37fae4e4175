"""Names of keys and certificates by digest.

The one rule: a digest is always SHA-256 over the received DER (of the certificate, or of its
SubjectPublicKeyInfo), so two rooms never name the same thing differently.
"""

from collections.abc import Sequence
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning

from standards.pki.errors import DecodeError

CA_ID_HEX_DIGITS = 32
# What the library raises on certificates that it will not read; it announces the last one as an error to be.
UNREADABLE = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension,
    CryptographyDeprecationWarning,
)  # fmt: skip
Keyed = x509.Certificate | x509.CertificateSigningRequest | PublicKeyTypes


def spki_der(keyed: Keyed) -> bytes:
    """DER SubjectPublicKeyInfo of a certificate, a CSR or a public key."""
    try:
        if isinstance(keyed, x509.Certificate | x509.CertificateSigningRequest):
            keyed = keyed.public_key()
        return keyed.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DecodeError("public key", expected="a supported key", got=str(error)) from error


def spki_sha256(keyed: Keyed) -> str:
    """SHA-256 of the SubjectPublicKeyInfo, 64 lower-case hex digits."""
    return sha256(spki_der(keyed)).hexdigest()


def ca_id(issuer: Keyed) -> str:
    """Name of a CA key in URLs and records: the first 32 hex digits of its SPKI digest."""
    return spki_sha256(issuer)[:CA_ID_HEX_DIGITS]


def device_id(ek_spki: bytes) -> bytes:
    """Identity of a device: SHA-256 of its EK's DER SubjectPublicKeyInfo, 32 bytes."""
    return sha256(ek_spki).digest()


def certificate_der(certificate: x509.Certificate) -> bytes:
    """The certificate's own DER bytes."""
    return certificate.public_bytes(Encoding.DER)


def certificate_sha256(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate, 64 lower-case hex digits."""
    return sha256(certificate_der(certificate)).hexdigest()


def decode_certificate(der: bytes) -> x509.Certificate:
    """Decode one DER certificate; raises DecodeError. Checks no signature and no date."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        # The parser is lazy: touch what later code relies on, so that it fails here and not there.
        _ = (certificate.extensions, certificate.subject, certificate.issuer, certificate.public_key())
        serial, signature = certificate.serial_number, certificate.signature
    except UNREADABLE as error:
        raise DecodeError("certificate", expected="one DER X.509 v3 certificate", got=str(error)) from error
    if serial < 1:
        raise DecodeError("serial number", expected="a positive integer", got=str(serial))
    # The library lets a BIT STRING end in unused bits, which would give one certificate several digests.
    if der[-len(signature) - 1]:
        raise DecodeError("signature", expected="whole octets", got=f"{der[-len(signature) - 1]} unused bits")
    return certificate


def decode_pem_certificates(pem: bytes) -> Sequence[x509.Certificate]:
    """Decode one or more PEM certificates, in their order; raises DecodeError."""
    try:
        loaded = x509.load_pem_x509_certificates(pem)
    except UNREADABLE as error:
        raise DecodeError("certificates", expected="PEM certificates", got=str(error)) from error
    return tuple(decode_certificate(certificate_der(each)) for each in loaded)
