"""Certificate revocation lists, verified (RFC 5280 sections 5 and 6.3).

The one rule: a list speaks only for the issuer that signed it, for the scope that it names, and while it is
current; absence from a list that fails any check says nothing at all.

Full lists only: delta lists and indirect lists are refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, rsa

from standards.pki.errors import DecodeError, RevocationError
from standards.pki.fingerprints import UNREADABLE

CRL_BYTES_MAX = 16 << 20
_STRONG = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class RevocationReason(Enum):
    """CRLReason by its number (RFC 5280 section 5.3.1); 7 is not used."""

    UNSPECIFIED = 0
    KEY_COMPROMISE = 1
    CA_COMPROMISE = 2
    AFFILIATION_CHANGED = 3
    SUPERSEDED = 4
    CESSATION_OF_OPERATION = 5
    CERTIFICATE_HOLD = 6
    REMOVE_FROM_CRL = 8
    PRIVILEGE_WITHDRAWN = 9
    AA_COMPROMISE = 10

    @property
    def flag(self) -> x509.ReasonFlags:
        """The same reason in the words of the `cryptography` package."""
        return _FLAGS[self]

    @classmethod
    def of_flag(cls, flag: x509.ReasonFlags | None) -> "RevocationReason":
        """From the words of the `cryptography` package; None, an absent reason, means unspecified."""
        return cls.UNSPECIFIED if flag is None else _REASONS[flag]


_FLAGS = {
    RevocationReason.UNSPECIFIED: x509.ReasonFlags.unspecified,
    RevocationReason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise,
    RevocationReason.CA_COMPROMISE: x509.ReasonFlags.ca_compromise,
    RevocationReason.AFFILIATION_CHANGED: x509.ReasonFlags.affiliation_changed,
    RevocationReason.SUPERSEDED: x509.ReasonFlags.superseded,
    RevocationReason.CESSATION_OF_OPERATION: x509.ReasonFlags.cessation_of_operation,
    RevocationReason.CERTIFICATE_HOLD: x509.ReasonFlags.certificate_hold,
    RevocationReason.REMOVE_FROM_CRL: x509.ReasonFlags.remove_from_crl,
    RevocationReason.PRIVILEGE_WITHDRAWN: x509.ReasonFlags.privilege_withdrawn,
    RevocationReason.AA_COMPROMISE: x509.ReasonFlags.aa_compromise,
}
_REASONS = {flag: reason for reason, flag in _FLAGS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Since when and why a certificate is revoked; the reason may be a hold."""

    reason: RevocationReason
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedCrl:
    """A list that its issuer signed and that is current; `revoked` is keyed by serial number."""

    number: int
    this_update: datetime
    next_update: datetime
    revoked: Mapping[int, Revocation] = field(repr=False)
    der: bytes = field(repr=False)


def verify_crl(
    der: bytes,
    *,
    issuer: x509.Certificate,
    at: datetime,
    distribution_point: str | None = None,
) -> VerifiedCrl:
    """Verify a full DER CRL of `issuer` at `at`.

    `distribution_point` is the URI that the certificate's CRLDP names: a list with an
    IssuingDistributionPoint must name the same one, byte for byte. `issuer` itself must have been validated
    by the caller. Raises DecodeError or RevocationError.
    """
    if not 0 < len(der) <= CRL_BYTES_MAX:
        raise DecodeError("CRL", expected=f"1 to {CRL_BYTES_MAX} bytes", got=str(len(der)))
    try:
        crl = x509.load_der_x509_crl(der)
        # The library lets a BIT STRING end in unused bits; DER bytes of a list are to be one of a kind.
        if der[-len(crl.signature) - 1]:
            raise DecodeError("CRL signature", expected="whole octets", got="unused bits")
        _check_signature(crl, issuer=issuer)
        this_update, next_update = _check_time(crl, at=at)
        number = _check_extensions(crl, distribution_point=distribution_point)
        revoked = _revoked(crl)
    except UNREADABLE as error:
        raise DecodeError("CRL", expected="one DER CertificateList", got=str(error)) from error
    return VerifiedCrl(
        number=number, this_update=this_update, next_update=next_update, revoked=revoked, der=der
    )


def _check_signature(crl: x509.CertificateRevocationList, *, issuer: x509.Certificate) -> None:
    if crl.issuer != issuer.subject:
        raise RevocationError(
            "CRL of another issuer",
            expected=issuer.subject.rfc4514_string(),
            got=crl.issuer.rfc4514_string(),
        )
    for extension in issuer.extensions:
        if isinstance(extension.value, x509.KeyUsage) and not extension.value.crl_sign:
            raise RevocationError("the issuer's keyUsage lacks cRLSign")
    key = issuer.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | mldsa.MLDSA65PublicKey):
        raise RevocationError("key of the issuer", expected="RSA, ECC or ML-DSA-65", got=type(key).__name__)
    # ML-DSA signs the list itself and names no digest
    strong = isinstance(key, mldsa.MLDSA65PublicKey) or isinstance(crl.signature_hash_algorithm, _STRONG)
    if not strong or not crl.is_signature_valid(key):
        raise RevocationError("the CRL's signature is not that of its issuer")


def _check_time(crl: x509.CertificateRevocationList, *, at: datetime) -> tuple[datetime, datetime]:
    this_update, next_update = crl.last_update_utc, crl.next_update_utc
    if next_update is None:
        raise RevocationError("the CRL has no nextUpdate")
    if not this_update <= at <= next_update:
        raise RevocationError(
            "the CRL is not current", expected=f"{this_update} to {next_update}", got=str(at)
        )
    return this_update, next_update


def _check_extensions(crl: x509.CertificateRevocationList, *, distribution_point: str | None) -> int:
    number: int | None = None
    for extension in crl.extensions:
        value = extension.value
        if isinstance(value, x509.CRLNumber):
            number = value.crl_number
        elif isinstance(value, x509.DeltaCRLIndicator):
            raise RevocationError("a delta CRL", expected="a full one", got="a delta")
        elif isinstance(value, x509.IssuingDistributionPoint):
            _check_scope(value, distribution_point=distribution_point)
        elif extension.critical:
            raise RevocationError(
                "unknown critical CRL extension", expected="none", got=extension.oid.dotted_string
            )
    if number is None:
        raise RevocationError("the CRL has no CRLNumber")
    return number


def _check_scope(scope: x509.IssuingDistributionPoint, *, distribution_point: str | None) -> None:
    partial = scope.indirect_crl or scope.only_contains_attribute_certs or scope.only_contains_ca_certs
    if partial or scope.only_some_reasons:
        raise RevocationError("the CRL covers only a part of the certificates or reasons")
    named = [each.value for each in scope.full_name or [] if isinstance(each, x509.UniformResourceIdentifier)]
    if distribution_point is None or distribution_point not in named:
        raise RevocationError(
            "the CRL is that of another distribution point",
            expected=str(distribution_point),
            got=", ".join(named),
        )


def _revoked(crl: x509.CertificateRevocationList) -> dict[int, Revocation]:
    revoked: dict[int, Revocation] = {}
    for entry in crl:
        reason = RevocationReason.UNSPECIFIED
        for extension in entry.extensions:
            if isinstance(extension.value, x509.CRLReason):
                reason = RevocationReason.of_flag(extension.value.reason)
            elif extension.critical:
                raise RevocationError(
                    "unknown critical extension of a CRL entry",
                    expected="none",
                    got=extension.oid.dotted_string,
                )
        if reason is RevocationReason.REMOVE_FROM_CRL:
            raise RevocationError("removeFromCRL stands in a full CRL")
        if entry.serial_number in revoked:
            raise RevocationError(f"serial {entry.serial_number:x} stands twice in the CRL")
        revoked[entry.serial_number] = Revocation(reason=reason, at=entry.revocation_date_utc)
    return revoked
