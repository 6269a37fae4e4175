"""Endorsement key certificates: is this a genuine TPM of a maker that is trusted here (check A12)?

The one rule: the certificate proves something only about the very EK that the TPM reported, and only along
a full path to a self-issued root that the operator configured; a configured certificate that is not
self-issued helps to build the path and ends nothing.

Checks, each with a refusal of its own (TCG EK Credential Profile for TPM 2.0, section 3; RFC 5280 section 6):

* K1 the certified key is the reported EK;
* K2 extended key usage tcg-kp-EKCertificate (2.23.133.8.1);
* K3 not a CA;
* K4 a keyUsage, where present, allows keyEncipherment or keyAgreement, and no signing of certificates;
* K5 the SAN's directoryName has TPM manufacturer, model and version, each once;
* K6 in time: leaf and every issuer (notAfter 99991231235959Z means: no known end);
* K7 no unknown critical extension, in leaf or issuers;
* K8 every issuer is a CA with keyCertSign and room in its path length;
* K9 names chain and every signature verifies over the received bytes, SHA-256 or better;
* K10 neither certificate nor key is on the known-bad list, anywhere in the path.

A critical SAN beside a subject that is not empty is allowed. NOT checked here: revocation, the EK's template
(standards.tpm2), possession of the EK (activation, A13).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from asn1crypto import x509 as lax
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_public_key

from standards.pki import oids
from standards.pki.errors import DecodeError, PathError, PathFault
from standards.pki.lenient_certificate import LenientCertificate, decode_lenient, reading, verify_signature

CHAIN_CERTIFICATES_MAX = 8
SIGNATURES_MAX = 32
_BASIC_CONSTRAINTS, _KEY_USAGE, _EKU, _SAN = "2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.17"
# understood or harmless when critical: also SKI, AKI, policies, CRL distribution points, AIA, SDA
_UNDERSTOOD = frozenset(
    {
        *(_BASIC_CONSTRAINTS, _KEY_USAGE, _EKU, _SAN),
        *("2.5.29.14", "2.5.29.35", "2.5.29.32", "2.5.29.31", "1.3.6.1.5.5.7.1.1", "2.5.29.9"),
    }
)
_TPM_ATTRIBUTES = {
    oids.TPM_MANUFACTURER.dotted_string: "manufacturer",
    oids.TPM_MODEL.dotted_string: "model",
    oids.TPM_VERSION.dotted_string: "version",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmMake:
    """What the maker says about the TPM, as strings of the TCG profile (`id:` and hex digits, mostly)."""

    manufacturer: str
    model: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EkCertificate:
    """A validated EK certificate; `path` holds the received bytes, leaf first, root last."""

    make: TpmMake
    serial: int
    not_after: datetime
    path: tuple[bytes, ...] = field(repr=False)


@dataclass(slots=True)
class _Search:
    """One hunt for a path, with a budget, so that a crafted bag of issuers costs little."""

    issuers: tuple[LenientCertificate, ...]
    roots: frozenset[bytes]
    at: datetime
    signatures_left: int = SIGNATURES_MAX
    closest: str = "no issuer of it is known here"
    fault: PathFault = PathFault.UNTRUSTED


def validate_ek_certificate(
    chain: Sequence[bytes],
    *,
    roots: Sequence[bytes],
    at: datetime,
    ek_spki: bytes,
    known_bad: Collection[str] = frozenset(),
) -> EkCertificate:
    """Validate the certificate `chain[0]` of the EK whose DER SubjectPublicKeyInfo is `ek_spki`.

    `chain[1:]` and the certificates of `roots` that are not self-issued may serve as intermediates;
    `known_bad` holds SHA-256 digests, lower-case hex, of certificates or SubjectPublicKeyInfos.
    Raises DecodeError for bytes that are no certificate, PathError for a certificate that is refused.
    """
    if not 1 <= len(chain) <= CHAIN_CERTIFICATES_MAX:
        raise DecodeError(
            "EK chain", expected=f"1 to {CHAIN_CERTIFICATES_MAX} certificates", got=str(len(chain))
        )
    leaf, *sent = (decode_lenient(each) for each in chain)
    configured = [decode_lenient(each) for each in roots]
    _check_key(leaf, ek_spki=ek_spki)
    _check_purpose(leaf)
    make = _tpm_make(leaf)
    _check_time(leaf, at=at)
    _check_critical(leaf)
    search = _Search(
        issuers=(*configured, *sent),
        roots=frozenset(each.der for each in configured if each.self_issued),
        at=at,
    )
    path = next(_paths((leaf,), search), None)
    if path is None:
        reason = f"no path to a configured TPM maker's root: {search.closest}"
        raise PathError(leaf.name, reason, fault=search.fault)
    _check_known_bad(path, known_bad=known_bad)
    return EkCertificate(
        make=make, serial=leaf.serial, not_after=leaf.not_after, path=tuple(each.der for each in path)
    )


def _check_key(leaf: LenientCertificate, *, ek_spki: bytes) -> None:
    try:
        reported = load_der_public_key(ek_spki)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DecodeError("endorsement key", expected="a DER SubjectPublicKeyInfo", got=str(error)) from error
    if leaf.public_key() != reported:
        raise PathError(leaf.name, "it certifies another key than the EK that the TPM reported")  # K1


def _check_purpose(leaf: LenientCertificate) -> None:
    purposes = _purposes(leaf)
    if oids.EKU_TPM_EK.dotted_string not in purposes:
        got = ", ".join(purposes) or "none"
        reason = f"expected the extended key usage {oids.EKU_TPM_EK.dotted_string}, got {got}"
        raise PathError(leaf.name, reason, fault=PathFault.PURPOSE)  # K2
    constraints = leaf.read(_BASIC_CONSTRAINTS, lax.BasicConstraints)
    if constraints is not None and constraints["ca"]:
        raise PathError(leaf.name, "it is a CA, expected an end entity", fault=PathFault.CONSTRAINT)  # K3
    usage = leaf.read(_KEY_USAGE, lax.KeyUsage)
    if usage is not None and (not usage & {"key_encipherment", "key_agreement"} or "key_cert_sign" in usage):
        reason = f"expected keyEncipherment or keyAgreement, got {', '.join(sorted(usage)) or 'no use'}"
        raise PathError(leaf.name, reason, fault=PathFault.PURPOSE)  # K4


def _purposes(leaf: LenientCertificate) -> list[str]:
    found = leaf.extensions.get(_EKU)
    if found is None:
        return []
    with reading("extended key usage"):
        return [str(each.dotted) for each in lax.ExtKeyUsageSyntax.load(found.value)]


def _tpm_make(leaf: LenientCertificate) -> TpmMake:
    found: dict[str, list[str]] = {name: [] for name in _TPM_ATTRIBUTES.values()}
    san = leaf.extensions.get(_SAN)
    if san is not None:
        with reading("subject alternative name"):
            for oid, value in _directory_attributes(san.value):
                if oid in _TPM_ATTRIBUTES:
                    found[_TPM_ATTRIBUTES[oid]].append(value)
    for name, values in found.items():
        if len(values) != 1 or not values[0].strip():
            reason = f"expected one TPM {name} in its subjectAltName, got {len(values)}"
            raise PathError(leaf.name, reason, fault=PathFault.MALFORMED)  # K5
    return TpmMake(**{name: values[0] for name, values in found.items()})


def _directory_attributes(san: bytes) -> Iterator[tuple[str, str]]:
    for name in lax.GeneralNames.load(san):
        if name.name == "directory_name":
            for relative in name.chosen.chosen:
                for attribute in relative:
                    yield attribute["type"].dotted, str(attribute["value"].native)


def _check_time(certificate: LenientCertificate, *, at: datetime) -> None:
    if not certificate.not_before <= at <= certificate.not_after:
        reason = f"valid from {certificate.not_before} to {certificate.not_after}, judged at {at}"
        raise PathError(certificate.name, reason, fault=PathFault.EXPIRED)  # K6


def _check_critical(certificate: LenientCertificate) -> None:
    unknown = sorted(
        each.oid for each in certificate.extensions.values() if each.critical and each.oid not in _UNDERSTOOD
    )
    if unknown:
        reason = f"unknown critical extension {', '.join(unknown)}"
        raise PathError(certificate.name, reason, fault=PathFault.MALFORMED)  # K7


def _paths(
    below: tuple[LenientCertificate, ...], search: _Search
) -> Iterator[tuple[LenientCertificate, ...]]:
    """Every acceptable path that continues `below`, depth first."""
    child = below[-1]
    for issuer in search.issuers:
        if issuer.subject.prepared != child.issuer.prepared or any(issuer.der == each.der for each in below):
            continue
        try:
            _check_issuer(issuer, below=below, search=search)
        except (PathError, DecodeError) as error:
            search.closest = str(error)
            search.fault = error.fault if isinstance(error, PathError) else PathFault.MALFORMED
            continue
        if issuer.der in search.roots:
            yield (*below, issuer)
        elif len(below) < CHAIN_CERTIFICATES_MAX:
            yield from _paths((*below, issuer), search)


def _check_issuer(
    issuer: LenientCertificate, *, below: tuple[LenientCertificate, ...], search: _Search
) -> None:
    _check_time(issuer, at=search.at)
    _check_critical(issuer)
    constraints = issuer.read(_BASIC_CONSTRAINTS, lax.BasicConstraints)
    usage = issuer.read(_KEY_USAGE, lax.KeyUsage)
    if constraints is None or not constraints["ca"] or (usage is not None and "key_cert_sign" not in usage):
        raise PathError(issuer.name, "it is no CA", fault=PathFault.CONSTRAINT)  # K8
    room = constraints["path_len_constraint"]
    between = sum(not each.self_issued for each in below[1:])
    if room is not None and between > room:
        raise PathError(issuer.name, f"path length {room} exceeded", fault=PathFault.CONSTRAINT)  # K8
    if not search.signatures_left:
        raise PathError(issuer.name, f"more than {SIGNATURES_MAX} signatures to check")
    search.signatures_left -= 1
    if not verify_signature(below[-1], issuer=issuer):
        raise PathError(below[-1].name, f"its signature is not that of {issuer.name}")  # K9


def _check_known_bad(path: Sequence[LenientCertificate], *, known_bad: Collection[str]) -> None:
    for each in path:
        if {sha256(each.der).hexdigest(), sha256(each.spki).hexdigest()} & set(known_bad):
            raise PathError(each.name, "it is on the known-bad list", fault=PathFault.KNOWN_BAD)  # K10
