"""Certification path validation (RFC 5280 section 6) for certificates of this project's hierarchies.

The one rule: a path is a claim until it ends at an anchor that the caller configured for this purpose.

Chain building, signatures, dates, basicConstraints, pathLen, name constraints and unknown critical
extensions are the library's work. It was made for the web, so these checks are added here:

* X1 the leaf is no anchor itself, and at least one issuer stands above it;
* X2 an issuer that has a keyUsage has keyCertSign in it (RFC 5280 6.1.4 (n));
* X3 an issuer that has an extendedKeyUsage has the asked purpose in it (nested purposes: a CA that was
  made for one purpose cannot vouch for another);
* X4 the leaf is not a CA;
* X5 the leaf has the asked purpose by name: anyExtendedKeyUsage does not count;
* X6 a leaf with a keyUsage has digitalSignature in it, or keyAgreement where the purpose is to be encrypted to;
* X7 an empty subject comes with a critical subjectAltName (RFC 5280 4.1.2.6).

NOT checked here: revocation. certificatePolicies are read by callers (no user-initial-policy-set).
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509 import ObjectIdentifier
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from standards.pki import oids
from standards.pki.errors import PathError, PathFault

ISSUERS_MAX = 6
INTERMEDIATES_MAX = 16
_KEY_AGREEMENT_PURPOSES = frozenset({oids.EKU_RESULT_ENCRYPTION})
_Path = tuple[x509.Certificate, ...]


def validate_path(
    leaf: x509.Certificate,
    *,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    at: datetime,
    eku: ObjectIdentifier | None,
) -> _Path:
    """Validate `leaf` at the aware UTC time `at` and return its path, leaf first, anchor last.

    `eku` None asks for no purpose; give it wherever the certificate acts for somebody. Raises PathError.
    """
    if len(intermediates) > INTERMEDIATES_MAX:
        reason = f"expected at most {INTERMEDIATES_MAX} intermediate certificates, got {len(intermediates)}"
        raise PathError(_name(leaf), reason, fault=PathFault.MALFORMED)
    if not anchors:
        raise PathError(_name(leaf), "no trust anchor is configured for it")
    _check_dates(leaf, at=at)
    _check_leaf(leaf, eku=eku)
    path = _build_path(leaf, intermediates=intermediates, anchors=anchors, at=at, eku=eku)
    if len(path) == 1:
        raise PathError(_name(leaf), "it is a trust anchor itself and cannot act as an end entity")  # X1
    return path


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's name and key are those that a certificate was signed with; nothing else is checked here."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _build_path(
    leaf: x509.Certificate,
    *,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    at: datetime,
    eku: ObjectIdentifier | None,
) -> _Path:
    try:
        verifier = (
            PolicyBuilder()
            .store(Store(list(anchors)))
            .time(at)
            .max_chain_depth(ISSUERS_MAX)
            .extension_policies(ca_policy=_issuer_policy(eku), ee_policy=_leaf_policy())
            .build_client_verifier()
        )
        return tuple(verifier.verify(leaf, list(intermediates)).chain)
    except (VerificationError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        stale = next((each for each in (*intermediates, *anchors) if not _in_time(each, at=at)), None)
        if stale is not None and stale.subject == leaf.issuer:
            raise PathError(_name(stale), _dates_sentence(stale, at=at), fault=PathFault.EXPIRED) from error
        reason = f"no path to a configured trust anchor: {error}"
        raise PathError(_name(leaf), reason) from error
    except x509.DuplicateExtension as error:
        raise PathError(_name(leaf), f"extensions: {error}", fault=PathFault.MALFORMED) from error


def _leaf_policy() -> ExtensionPolicy:
    return (
        ExtensionPolicy.permit_all()
        .may_be_present(x509.CertificatePolicies, Criticality.AGNOSTIC, None)
        .may_be_present(x509.CRLDistributionPoints, Criticality.AGNOSTIC, None)
    )


def _issuer_policy(eku: ObjectIdentifier | None) -> ExtensionPolicy:
    # The validators run while the chain is being built, so that a second issuer of the same name is tried.
    def has_key_cert_sign(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
        if usage is not None and not usage.key_cert_sign:
            raise ValueError("its keyUsage lacks keyCertSign")  # X2

    def has_purpose(_: Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
        if usage is not None and eku is not None and eku not in usage and oids.EKU_ANY not in usage:
            raise ValueError(f"its extendedKeyUsage lacks {eku.dotted_string}")  # X3

    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.CRITICAL, None)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, has_key_cert_sign)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, has_purpose)
        .may_be_present(x509.CertificatePolicies, Criticality.AGNOSTIC, None)
        .may_be_present(x509.CRLDistributionPoints, Criticality.AGNOSTIC, None)
    )


def _check_leaf(leaf: x509.Certificate, *, eku: ObjectIdentifier | None) -> None:
    try:
        extensions = {each.oid: each for each in leaf.extensions}
    except (ValueError, x509.DuplicateExtension) as error:
        raise PathError(_name(leaf), f"extensions: {error}", fault=PathFault.MALFORMED) from error
    values = {type(each.value): each.value for each in extensions.values()}
    constraints = values.get(x509.BasicConstraints)
    if isinstance(constraints, x509.BasicConstraints) and constraints.ca:
        raise PathError(_name(leaf), "it is a CA, expected an end entity", fault=PathFault.CONSTRAINT)  # X4
    if eku is not None:
        purposes = values.get(x509.ExtendedKeyUsage)
        named = list(purposes) if isinstance(purposes, x509.ExtendedKeyUsage) else []
        if eku not in named:
            got = ", ".join(each.dotted_string for each in named) or "none"
            reason = f"expected the extended key usage {eku.dotted_string}, got {got}"
            raise PathError(_name(leaf), reason, fault=PathFault.PURPOSE)  # X5
    usage = values.get(x509.KeyUsage)
    if isinstance(usage, x509.KeyUsage):
        agrees = eku in _KEY_AGREEMENT_PURPOSES
        if not (usage.key_agreement if agrees else usage.digital_signature):
            reason = f"its keyUsage lacks {'keyAgreement' if agrees else 'digitalSignature'}"
            raise PathError(_name(leaf), reason, fault=PathFault.PURPOSE)  # X6
    san = extensions.get(x509.SubjectAlternativeName.oid)
    if not list(leaf.subject) and (san is None or not san.critical):
        reason = "its subject is empty without a critical subjectAltName"
        raise PathError(_name(leaf), reason, fault=PathFault.MALFORMED)  # X7


def _check_dates(certificate: x509.Certificate, *, at: datetime) -> None:
    if not _in_time(certificate, at=at):
        raise PathError(_name(certificate), _dates_sentence(certificate, at=at), fault=PathFault.EXPIRED)


def _in_time(certificate: x509.Certificate, *, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def _dates_sentence(certificate: x509.Certificate, *, at: datetime) -> str:
    return (
        f"valid from {certificate.not_valid_before_utc:%Y-%m-%dT%H:%M:%SZ} "
        f"to {certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}, judged at {at:%Y-%m-%dT%H:%M:%SZ}"
    )


def _name(certificate: x509.Certificate) -> str:
    try:
        return certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}"
    except ValueError:
        return "an unreadable subject"
