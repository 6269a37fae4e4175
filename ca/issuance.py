"""Building and signing certificates from a profile: pure, the only place that calls a certificate builder.

The one rule: what is signed was examined first. Every certificate is built once with a throw-away key, its
encoding is judged by `lint`, and only then does the CA's key sign the identical TBSCertificate.
"""

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from ca.errors import ProfileError
from ca.key_algorithms import CaPrivateKey, algorithm_of, signature_digest, throw_away_key
from ca.lint import lint_certificate
from ca.lint_content import lint_content
from ca.profiles import PROFILES, Profile, Variable
from ca.template import Issuer, Places, Template
from standards.pki import oids

SERIAL_BYTES = 20
BACKDATED = timedelta(minutes=5)
"""notBefore lies this far back, for relying parties whose clocks are a little slow."""

_USAGE_FLAGS = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def new_serial(random: bytes) -> int:
    """Serial number of 159 random bits out of 20 random bytes; positive, at most 20 octets in DER (P1).

    RFC 5280 section 4.1.2.2 forbids zero; the chance of it is 2^-159, so it is refused, not replaced.
    """
    if len(random) != SERIAL_BYTES:
        raise ProfileError(f"a serial number needs {SERIAL_BYTES} random bytes, got {len(random)}")
    serial = int.from_bytes(random, "big") >> 1
    if serial == 0:
        raise ProfileError("the random generator gave nothing but zeros")
    return serial


def name(*, organization: str | None = None, common_name: str) -> x509.Name:
    """Distinguished name of one organisation and one common name, UTF8String both."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization is not None:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def issue(template: Template, *, issuer: Issuer, serial: int, at: datetime) -> x509.Certificate:
    """Certify `template` at the aware UTC time `at`.

    NOT checked here: whether the caller may have it, and whether `serial` is unused.
    Raises ProfileError, before the CA's key is touched, for anything that the profile does not foresee.
    """
    rehearsal, builder = _rehearsal(template, issuer=issuer, serial=serial, at=at)
    certificate = builder.sign(issuer.key, signature_digest(issuer.key))
    if certificate.tbs_certificate_bytes != rehearsal.tbs_certificate_bytes:
        raise ProfileError("what was signed is not what was examined")
    return certificate


def rehearse(template: Template, *, issuer: Issuer, serial: int, at: datetime) -> x509.Certificate:
    """What `issue` would sign, examined, under a throw-away key. Raises ProfileError."""
    return _rehearsal(template, issuer=issuer, serial=serial, at=at)[0]


def _rehearsal(
    template: Template, *, issuer: Issuer, serial: int, at: datetime
) -> tuple[x509.Certificate, x509.CertificateBuilder]:
    profile = PROFILES[template.kind]
    _check_variables(template, profile)
    _check_issuer(template, profile, issuer)
    builder = _builder(template, profile=profile, issuer=issuer, serial=serial, at=at)
    rehearsal = builder.sign(rehearsal_key(issuer.key), signature_digest(issuer.key))
    lint_certificate(rehearsal, profile=profile, issuer=issuer.certificate)
    lint_content(rehearsal, template=template, profile=profile, places=issuer.places)
    return rehearsal, builder


def rehearsal_key(key: CaPrivateKey) -> CaPrivateKey:
    """A throw-away key of the same algorithm, so that what it signs has the same encoding."""
    algorithm = algorithm_of(key.public_key())
    if algorithm is None:
        raise ProfileError(f"no CA signs with a key such as {type(key).__name__}")
    return throw_away_key(algorithm)


def certificate_request(*, subject: x509.Name, key: CaPrivateKey) -> x509.CertificateSigningRequest:
    """Proof of possession of a CA's key, for a root whose key is elsewhere; it carries no extension."""
    return x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, signature_digest(key))


def _check_variables(template: Template, profile: Profile) -> None:
    given = {variable for variable in Variable if getattr(template, variable) is not None}
    if given - profile.where_known != profile.variables:
        expected = ", ".join(sorted(profile.variables))
        raise ProfileError(f"{profile.kind}: expected {expected}, got {', '.join(sorted(given))}")


def _check_issuer(template: Template, profile: Profile, issuer: Issuer) -> None:
    if issuer.kind not in profile.issuers:
        raise ProfileError(f"{profile.kind}: not issued by a CA of the kind {issuer.kind}")
    own = issuer.key.public_key()
    certified = own if issuer.certificate is None else issuer.certificate.public_key()
    if certified != own:
        raise ProfileError(f"{profile.kind}: the issuer's key is not the one in its certificate")
    if profile.self_signed != (issuer.certificate is None) or (
        profile.self_signed and template.public_key != own
    ):
        raise ProfileError(f"{profile.kind}: a root certifies its own key, and nothing else does")


def _builder(
    template: Template, *, profile: Profile, issuer: Issuer, serial: int, at: datetime
) -> x509.CertificateBuilder:
    subject = template.subject or x509.Name([])
    not_before, not_after = _validity(profile, issuer=issuer.certificate, at=at)
    builder = (
        x509.CertificateBuilder()
        .serial_number(serial)
        .subject_name(subject)
        .issuer_name(subject if issuer.certificate is None else issuer.certificate.subject)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .public_key(template.public_key)
    )
    for value, critical in (
        *_key_extensions(template, profile=profile, issuer=issuer),
        *_purpose_extensions(template, profile=profile),
        *_place_extensions(profile, issuer.places),
    ):
        builder = builder.add_extension(value, critical=critical)
    return builder


def _validity(
    profile: Profile, *, issuer: x509.Certificate | None, at: datetime
) -> tuple[datetime, datetime]:
    at = at.replace(microsecond=0)
    not_before, not_after = at - BACKDATED, at + profile.lifetime
    if issuer is not None:
        not_before = max(not_before, issuer.not_valid_before_utc)
        not_after = min(not_after, issuer.not_valid_after_utc)
    if not_before >= not_after:
        raise ProfileError(f"{profile.kind}: the issuer's own certificate ends at {not_after:%Y-%m-%d}")
    return not_before, not_after


_Extensions = list[tuple[x509.ExtensionType, bool]]


def _key_extensions(template: Template, *, profile: Profile, issuer: Issuer) -> _Extensions:
    extensions: _Extensions = [
        (x509.SubjectKeyIdentifier.from_public_key(template.public_key), False),
        (x509.KeyUsage(**{flag: flag in profile.key_usage for flag in _USAGE_FLAGS}), True),
    ]
    if profile.is_ca:
        extensions.append((x509.BasicConstraints(ca=True, path_length=profile.path_length), True))
    if issuer.certificate is not None:
        extensions.append((authority_key_identifier(issuer.certificate), False))
    return extensions


def authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """AKI that repeats the issuer's own SKI, whatever method that was made by (RFC 5280 4.2.1.1)."""
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _purpose_extensions(template: Template, *, profile: Profile) -> _Extensions:
    extensions: _Extensions = []
    if profile.purposes:
        extensions.append((x509.ExtendedKeyUsage(list(profile.purposes)), False))
    if profile.never_revoked:
        extensions.append((x509.OCSPNoCheck(), False))
    if template.tre_level is not None:
        policy = x509.PolicyInformation(oids.POLICY_TRE_LEVELS[template.tre_level], None)
        extensions.append((x509.CertificatePolicies([policy]), False))
    if template.hardware_module is not None:
        names: list[x509.GeneralName] = [template.hardware_module.to_general_name()]
        extensions.append((x509.SubjectAlternativeName(names), template.subject is None))
    if template.network_names is not None:
        extensions.append((x509.SubjectAlternativeName(list(template.network_names)), False))
    if template.expected_state is not None:
        extensions.append((template.expected_state.to_extension(), False))
    if template.operator_role is not None:
        extensions.append((template.operator_role.to_extension(), False))
    if template.requesters is not None:
        extensions.append((template.requesters.to_extension(), False))
    return extensions


def _place_extensions(profile: Profile, places: Places) -> _Extensions:
    extensions: _Extensions = []
    access: list[x509.AccessDescription] = []
    if profile.locates_ocsp:
        access.append(_access(AuthorityInformationAccessOID.OCSP, places.ocsp_url))
    if profile.locates_issuer:
        access.append(_access(AuthorityInformationAccessOID.CA_ISSUERS, places.certificate_url))
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(places.crl_url)], None, None, None)
        extensions.append((x509.CRLDistributionPoints([point]), False))
    if access:
        extensions.append((x509.AuthorityInformationAccess(access), False))
    return extensions


def _access(method: x509.ObjectIdentifier, url: str) -> x509.AccessDescription:
    return x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
