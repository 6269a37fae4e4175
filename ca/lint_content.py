"""The second half of the last look: does the certificate say what was proven, and nothing about anybody else?

The one rule: every value is read back from the encoding and compared with the template and the issuer's places;
`lint` has compared the form with the profile before.
"""

from collections.abc import Iterator

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from ca.errors import ProfileError
from ca.profiles import Profile
from ca.template import Places, Template
from standards.pki.errors import DecodeError
from standards.pki.extensions import (
    ExpectedSystemState,
    HardwareModuleName,
    OperatorRole,
    Requesters,
    tre_level,
)
from standards.pki.fingerprints import spki_der


def lint_content(
    certificate: x509.Certificate, *, template: Template, profile: Profile, places: Places
) -> None:
    """Raise ProfileError naming every value of `certificate` that is not the one that was to be certified."""
    try:
        faults = [
            *_key_faults(certificate, template=template),
            *_name_faults(certificate, template=template),
            *_statement_faults(certificate, template=template),
            *_place_faults(certificate, profile=profile, places=places),
        ]
    except (DecodeError, ValueError) as error:
        faults = [f"an extension cannot be read back: {error}"]
    if faults:
        raise ProfileError(f"{profile.kind}: not signed, because {'; '.join(faults)}")


def _key_faults(certificate: x509.Certificate, *, template: Template) -> Iterator[str]:
    if spki_der(certificate) != spki_der(template.public_key):
        yield "its key is another one than the proven"
    named = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    if named != x509.SubjectKeyIdentifier.from_public_key(template.public_key):
        yield "its subject key identifier is not that of the key"


def _name_faults(certificate: x509.Certificate, *, template: Template) -> Iterator[str]:
    if certificate.subject != (template.subject or x509.Name([])):
        yield "its subject is another one"
    if HardwareModuleName.of(certificate) != template.hardware_module:
        yield "its hardware module name is another one"
    if template.hardware_module is None and _alternative_names(certificate) != template.network_names:
        yield "its network names are others"


def _alternative_names(certificate: x509.Certificate) -> tuple[x509.GeneralName, ...] | None:
    try:
        return tuple(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return None


def _statement_faults(certificate: x509.Certificate, *, template: Template) -> Iterator[str]:
    if tre_level(certificate) != template.tre_level:
        yield "its TRE security level is another one"
    if ExpectedSystemState.of(certificate) != template.expected_state:
        yield "its expected system state is another one"
    if OperatorRole.of(certificate) != template.operator_role:
        yield "its operator role is another one"
    if Requesters.of(certificate) != template.requesters:
        yield "who had it issued is somebody else"


def _place_faults(certificate: x509.Certificate, *, profile: Profile, places: Places) -> Iterator[str]:
    access: list[tuple[x509.ObjectIdentifier, str]] = []
    points: list[str] = []
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.AuthorityInformationAccess):
            access += [(each.access_method, each.access_location.value) for each in extension.value]
        if isinstance(extension.value, x509.CRLDistributionPoints):
            points += [name.value for each in extension.value for name in each.full_name or ()]
    if points != ([places.crl_url] if profile.locates_issuer else []):
        yield "its CRL distribution point is not its issuer's"
    expected = []
    if profile.locates_ocsp:
        expected.append((AuthorityInformationAccessOID.OCSP, places.ocsp_url))
    if profile.locates_issuer:
        expected.append((AuthorityInformationAccessOID.CA_ISSUERS, places.certificate_url))
    if access != expected:
        yield "its authority information access is not its issuer's"
