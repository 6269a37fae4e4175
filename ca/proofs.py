"""Certificates and CSRs that come from outside: what is looked at before they count for anything.

The one rule: a CSR proves possession of a key and nothing else; a certificate of an imported hierarchy must
carry what this CA's own would, since relying parties cannot tell who made it.
"""

from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ca.errors import InvalidInputError
from ca.key_algorithms import CA_KEYS, CaPublicKey, KeyAlgorithm, SubjectKey, is_subject_key, key_fault
from ca.lint import in_time
from standards.pki import oids
from standards.pki.errors import DecodeError
from standards.pki.fingerprints import UNREADABLE, decode_pem_certificates, spki_sha256

PEM_CHARACTERS_MAX = 16_384
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


def read_csr(pem: str, *, subject: str, allowed: frozenset[KeyAlgorithm]) -> SubjectKey:
    """The public key of a PKCS#10 request whose signature proves possession; all else in it is ignored.

    `allowed` are the key algorithms of the profile that the certificate will follow.
    """
    _check_size(pem, subject=subject)
    if pem.count("-----BEGIN ") != 1:
        raise _refused("csr-malformed", subject, "expected one PEM PKCS#10 request and nothing else")
    try:
        csr = x509.load_pem_x509_csr(pem.encode())
    except UNREADABLE as error:
        raise _refused("csr-malformed", subject, f"expected one PEM PKCS#10 request: {error}") from error
    return proven_key(csr, subject=subject, allowed=allowed)


def decode_csr(der: bytes, *, subject: str) -> x509.CertificateSigningRequest:
    """One DER PKCS#10 request; nothing about it is verified."""
    try:
        csr = x509.load_der_x509_csr(der)
        _ = (csr.subject, csr.extensions)  # the parser is lazy
    except UNREADABLE as error:
        raise _refused("csr-malformed", subject, f"expected one DER PKCS#10 request: {error}") from error
    return csr


def proven_key(
    csr: x509.CertificateSigningRequest, *, subject: str, allowed: frozenset[KeyAlgorithm]
) -> SubjectKey:
    """The public key of `csr`, if its signature proves possession and one of the `allowed` algorithms has it."""
    try:
        key = csr.public_key()
        genuine = csr.is_signature_valid
    except UNREADABLE as error:
        raise _refused("csr-malformed", subject, f"expected one PKCS#10 request: {error}") from error
    if not genuine:
        raise _refused("csr-signature", subject, "the request is not signed with the key that it names")
    fault = key_fault(key, allowed=allowed)
    if fault is not None or not is_subject_key(key):
        raise _refused("csr-key", subject, f"the key is not accepted: {fault}")
    return key


def read_certificate(pem: str, *, subject: str) -> x509.Certificate:
    """One PEM certificate, decoded; nothing about it is verified."""
    _check_size(pem, subject=subject)
    try:
        certificates = decode_pem_certificates(pem.encode())
    except DecodeError as error:
        raise _refused("certificate-malformed", subject, str(error)) from error
    if len(certificates) != 1:
        raise _refused("certificate-malformed", subject, f"expected one certificate, got {len(certificates)}")
    return certificates[0]


def check_imported_root(certificate: x509.Certificate, *, at: datetime, subject: str) -> None:
    """Raise InvalidInputError unless `certificate` can be the ES root of a supplier."""
    _check_ca(certificate, at=at, subject=subject)
    _check_signed_by(certificate, certificate, subject=subject)
    path_length = _extension(certificate, x509.BasicConstraints, subject=subject).path_length
    if path_length == 0:
        raise _refused("path-length", subject, "its path length 0 leaves no room for issuing CAs")


def check_imported_issuing_certificate(
    certificate: x509.Certificate,
    *,
    root: x509.Certificate,
    key: CaPublicKey,
    at: datetime,
    subject: str,
) -> None:
    """Raise InvalidInputError unless `root` certified `key` as an issuing CA of PfCs."""
    if spki_sha256(certificate) != spki_sha256(key):
        raise _refused("another-key", subject, "the certificate is not for the key of the CSR")
    _check_signed_by(certificate, root, subject=subject)
    _check_ca(certificate, at=at, subject=subject)
    if not _extension(certificate, x509.KeyUsage, subject=subject).crl_sign:
        raise _refused("key-usage", subject, "its key usage lacks cRLSign")
    needed = {oids.EKU_TPM_AIK, oids.EKU_PLATFORM_CREDENTIAL, oids.EKU_OCSP_SIGNING}
    for extension in certificate.extensions:
        purposes = extension.value
        if isinstance(purposes, x509.ExtendedKeyUsage) and not needed <= set(purposes):
            named = ", ".join(sorted(each.dotted_string for each in needed))
            raise _refused("purpose", subject, f"its extended key usage must hold {named}, or be absent")


def _check_ca(certificate: x509.Certificate, *, at: datetime, subject: str) -> None:
    fault = key_fault(certificate.public_key(), allowed=CA_KEYS)
    if fault is not None:
        raise _refused("certificate-key", subject, f"its key is not accepted: {fault}")
    if not in_time(certificate, at=at):
        dates = f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
        raise _refused("certificate-dates", subject, f"it is valid from {dates}, not now")
    constraints = _extension(certificate, x509.BasicConstraints, subject=subject)
    if not constraints.ca:
        raise _refused("not-a-ca", subject, "its basic constraints do not say cA")
    if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).critical:
        raise _refused("not-a-ca", subject, "its basic constraints are not critical")
    if not _extension(certificate, x509.KeyUsage, subject=subject).key_cert_sign:
        raise _refused("key-usage", subject, "its key usage lacks keyCertSign")
    _extension(certificate, x509.SubjectKeyIdentifier, subject=subject)
    if not list(certificate.subject):
        raise _refused("certificate-subject", subject, "a CA needs a subject")


def _extension(certificate: x509.Certificate, kind: type[_Extension], *, subject: str) -> _Extension:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        raise _refused("extension-missing", subject, f"it has no {kind.__name__} extension") from None


def _check_signed_by(certificate: x509.Certificate, issuer: x509.Certificate, *, subject: str) -> None:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        expected = "itself" if issuer is certificate else "the supplier's ES root"
        raise _refused(
            "certificate-signature", subject, f"it is not signed by {expected}: {error}"
        ) from error


def _check_size(pem: str, *, subject: str) -> None:
    if len(pem) > PEM_CHARACTERS_MAX:
        raise _refused(
            "too-long", subject, f"expected at most {PEM_CHARACTERS_MAX} characters, got {len(pem)}"
        )


def _refused(reason: str, subject: str, detail: str) -> InvalidInputError:
    return InvalidInputError(
        reason, subject=subject, detail=detail, remedy="correct it and send it again; nothing was recorded"
    )
