"""The last look at a certificate or CRL before a CA's key signs it: a second reading of its encoding.

The one rule: this file knows nothing of how the builder works; it decodes what was built and compares it with
the profile and with RFC 5280. A fault here is a defect of the CA and stops the signature.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from asn1crypto.crl import CertificateList
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID, ObjectIdentifier

from ca.errors import ProfileError
from ca.key_algorithms import key_fault
from ca.profiles import Profile, Variable
from standards.pki import oids
from standards.pki.crl_entries import decode_crl_entries
from standards.pki.errors import DecodeError

SERIAL_BITS_MAX = 159
NAME_CHARACTERS_MAX = 64
"""ub-common-name and ub-organization-name, RFC 5280 appendix A.1."""

FAULTS_SHOWN = 8

REMOVE_FROM_CRL = 8
_NOCHECK = ObjectIdentifier("1.3.6.1.5.5.7.48.1.5")
_WHERE_KNOWN = {Variable.REQUESTERS: oids.EXT_REQUESTERS}
"""Extensions that may be absent; they are non-critical."""


def lint_certificate(
    certificate: x509.Certificate, *, profile: Profile, issuer: x509.Certificate | None
) -> None:
    """Raise ProfileError naming every point where `certificate` is not what `profile` says."""
    faults = [
        *_field_faults(certificate, profile=profile, issuer=issuer),
        *_subject_faults(certificate, profile=profile),
        *_extension_faults(certificate, profile=profile),
        *_value_faults(certificate, profile=profile, issuer=issuer),
    ]
    if faults:
        raise ProfileError(f"{profile.kind}: not signed, because {'; '.join(faults)}")


def lint_revocation_list(der: bytes, *, issuer: x509.Certificate, scope_url: str | None) -> None:
    """Raise ProfileError unless `der` is a v2 CRL of `issuer` as RFC 5280 section 5 has it (P9, P10, P12).

    `scope_url` is the distribution point that it covers, None where it covers all certificates of its issuer.
    """
    crl = x509.load_der_x509_crl(der)
    faults = [
        *_list_faults(crl, issuer=issuer),
        *_scope_faults(crl, scope_url=scope_url),
        *_entry_faults(der, this_update=crl.last_update_utc),
    ]
    if faults:
        raise ProfileError(f"CRL not signed, because {'; '.join(faults[:FAULTS_SHOWN])}")


def _list_faults(crl: x509.CertificateRevocationList, *, issuer: x509.Certificate) -> Iterator[str]:
    if crl.issuer != issuer.subject:
        yield "its issuer is not the CA's subject"
    if crl.next_update_utc is None or crl.next_update_utc <= crl.last_update_utc:
        yield "nextUpdate does not follow thisUpdate"
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    for extension in crl.extensions:
        value = extension.value
        if isinstance(value, x509.AuthorityKeyIdentifier) and value.key_identifier != own.digest:
            yield "its authority key identifier is not the CA's"


def _scope_faults(crl: x509.CertificateRevocationList, *, scope_url: str | None) -> Iterator[str]:
    expected = [(ExtensionOID.AUTHORITY_KEY_IDENTIFIER, False), (ExtensionOID.CRL_NUMBER, False)]
    if scope_url is not None:
        expected.append((ExtensionOID.ISSUING_DISTRIBUTION_POINT, True))
    if [(each.oid, each.critical) for each in crl.extensions] != expected:
        yield "its extensions are not the authority key identifier, the CRL number and the scope that it has"
    for extension in crl.extensions:
        value = extension.value
        if isinstance(value, x509.IssuingDistributionPoint):
            named = [each.value for each in value.full_name or ()]
            partial = value.only_contains_ca_certs or value.only_contains_user_certs or value.indirect_crl
            if named != [scope_url] or partial or value.only_some_reasons or value.relative_name:
                yield "its scope is not its distribution point"


def _entry_faults(der: bytes, *, this_update: datetime) -> Iterator[str]:
    listed = CertificateList.load(der)["tbs_cert_list"]["revoked_certificates"].dump()
    if not listed:
        return
    seen: set[int] = set()
    try:
        for serial, at, code in decode_crl_entries(listed):
            if serial in seen:
                yield f"it lists the certificate {serial:x} twice"
            seen.add(serial)
            if code == REMOVE_FROM_CRL:
                yield f"the entry {serial:x} has no reason that a full CRL may give"
            if at > this_update:
                yield f"the entry {serial:x} is revoked in the future"
    except DecodeError as error:
        yield str(error)
    if not seen:
        yield "its list of revoked certificates is empty and not absent"


def _field_faults(
    certificate: x509.Certificate, *, profile: Profile, issuer: x509.Certificate | None
) -> Iterator[str]:
    if certificate.version is not x509.Version.v3:
        yield "it is not of version 3"
    if not 0 < certificate.serial_number < 1 << SERIAL_BITS_MAX:
        yield "its serial number is not one of 1 to 159 bits"
    if certificate.issuer != (certificate.subject if issuer is None else issuer.subject):
        yield "its issuer is not the subject of the issuer's certificate"
    if not list(certificate.issuer):
        yield "its issuer is empty"
    if not certificate.not_valid_before_utc < certificate.not_valid_after_utc:
        yield "notAfter does not follow notBefore"
    if issuer is not None and certificate.not_valid_after_utc > issuer.not_valid_after_utc:
        yield "it outlives its issuer"
    fault = key_fault(certificate.public_key(), allowed=profile.keys)
    if fault is not None:
        yield f"its key: {fault}"


def _subject_faults(certificate: x509.Certificate, *, profile: Profile) -> Iterator[str]:
    if (Variable.SUBJECT in profile.variables) != bool(list(certificate.subject)):
        yield "its subject is empty where it must not be, or the other way round"
    for attribute in certificate.subject:
        if attribute.oid not in {NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME}:
            yield "its subject holds more than an organisation and a common name"
        if not 1 <= len(str(attribute.value)) <= NAME_CHARACTERS_MAX:
            yield f"a name is not of 1 to {NAME_CHARACTERS_MAX} characters"


def _foreseen(profile: Profile) -> dict[ObjectIdentifier, bool]:
    """Extensions of a profile with their criticality."""
    variables = profile.variables
    empty_subject = Variable.SUBJECT not in variables
    rules = (
        (ExtensionOID.SUBJECT_KEY_IDENTIFIER, True, False),
        (ExtensionOID.KEY_USAGE, True, True),
        (ExtensionOID.BASIC_CONSTRAINTS, profile.is_ca, True),
        (ExtensionOID.AUTHORITY_KEY_IDENTIFIER, not profile.self_signed, False),
        (ExtensionOID.EXTENDED_KEY_USAGE, bool(profile.purposes), False),
        (_NOCHECK, profile.never_revoked, False),
        (ExtensionOID.CERTIFICATE_POLICIES, Variable.TRE_LEVEL in variables, False),
        (
            ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
            bool(variables & {Variable.HARDWARE_MODULE, Variable.NETWORK_NAMES}),
            empty_subject,
        ),
        (oids.EXT_EXPECTED_SYSTEM_STATE, Variable.EXPECTED_STATE in variables, False),
        (oids.EXT_OPERATOR_ROLE, Variable.OPERATOR_ROLE in variables, False),
        (ExtensionOID.CRL_DISTRIBUTION_POINTS, profile.locates_issuer, False),
        (ExtensionOID.AUTHORITY_INFORMATION_ACCESS, profile.locates_issuer or profile.locates_ocsp, False),
    )
    return {oid: critical for oid, present, critical in rules if present}


def _extension_faults(certificate: x509.Certificate, *, profile: Profile) -> Iterator[str]:
    foreseen = _foreseen(profile)
    found = {each.oid: each.critical for each in certificate.extensions}
    for oid in foreseen.keys() - found.keys():
        yield f"the extension {oid.dotted_string} is missing"
    for oid in found.keys() - foreseen.keys() - {_WHERE_KNOWN[each] for each in profile.where_known}:
        yield f"the extension {oid.dotted_string} is not foreseen"
    for oid in found.keys() & foreseen.keys():
        if found[oid] != foreseen[oid]:
            yield f"the criticality of the extension {oid.dotted_string} is wrong"
    for oid in found.keys() & set(_WHERE_KNOWN.values()):
        if found[oid]:
            yield f"the extension {oid.dotted_string} is critical"


def _value_faults(
    certificate: x509.Certificate, *, profile: Profile, issuer: x509.Certificate | None
) -> Iterator[str]:
    for extension in certificate.extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and (
            not value.ca or value.path_length != profile.path_length
        ):
            yield "its basic constraints are not the profile's"
        if isinstance(value, x509.ExtendedKeyUsage) and tuple(value) != profile.purposes:
            yield "its extended key usage is not the profile's"
        if isinstance(value, x509.KeyUsage) and _usage(value) != profile.key_usage:
            yield "its key usage is not the profile's"
        if isinstance(value, x509.AuthorityKeyIdentifier) and issuer is not None:
            own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
            if value.key_identifier != own.digest:
                yield "its authority key identifier is not its issuer's"


def _usage(usage: x509.KeyUsage) -> frozenset[str]:
    flags = {
        "digital_signature": usage.digital_signature,
        "content_commitment": usage.content_commitment,
        "key_encipherment": usage.key_encipherment,
        "data_encipherment": usage.data_encipherment,
        "key_agreement": usage.key_agreement,
        "key_cert_sign": usage.key_cert_sign,
        "crl_sign": usage.crl_sign,
    }
    return frozenset(flag for flag, value in flags.items() if value)


def in_time(certificate: x509.Certificate, *, at: datetime, margin: timedelta = timedelta(0)) -> bool:
    """Whether `certificate` is valid at the aware time `at` and for `margin` after it."""
    at = at.astimezone(UTC)
    return certificate.not_valid_before_utc <= at and at + margin <= certificate.not_valid_after_utc
