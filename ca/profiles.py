"""Certificate profiles as data: the only source of what stands in a certificate (RFC 5280, D1).

The one rule: an extension is in a certificate because its profile says so. What varies from one certificate
to the next (`Variable`) is named by the profile too; an issuance that brings more or less is a defect.

Validity, criticality and key usage follow RFC 5280 section 4.2.1; id-kp-OCSPSigning and
id-pkix-ocsp-nocheck follow RFC 6960 section 4.2.2.2; tcg-kp-AIKCertificate is TCG's purpose for attestation
keys; HardwareModuleName is RFC 4108 section 5.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from cryptography import x509

from ca.key_algorithms import CA_KEYS, LEAF_KEYS, SERVICE_KEYS, TPM_KEYS, KeyAlgorithm
from standards.pki import oids

YEAR = timedelta(days=365)


class Kind(StrEnum):
    """What a certificate is for; one profile each."""

    ES_ROOT = "es-root"
    OPERATORS_ROOT = "operators-root"
    TLS_ROOT = "tls-root"
    ES_ROOT_CROSS = "es-root-cross"
    OPERATORS_ROOT_CROSS = "operators-root-cross"
    ISSUING_CA = "issuing-ca"
    PLATFORM_CREDENTIAL = "platform-credential"
    MANIFEST_SIGNING = "manifest-signing"
    BATCH_SIGNING = "batch-signing"
    CHALLENGE = "challenge"
    ATTESTATION_RESULT = "attestation-result"
    STATE_APPROVAL = "state-approval"
    SUBSCRIPTION = "subscription"
    RESULT_ENCRYPTION = "result-encryption"
    DELIVERY = "delivery"
    DISCOVERY = "discovery"
    CONNECTIVITY = "connectivity"
    TRUST_LIST = "trust-list"
    TLS_SERVER = "tls-server"
    TLS_CLIENT = "tls-client"
    OCSP_DELEGATE = "ocsp-delegate"


class Variable(StrEnum):
    """A part of a certificate that a use case must supply, and may supply only where the profile names it."""

    SUBJECT = "subject"
    TRE_LEVEL = "tre_level"
    HARDWARE_MODULE = "hardware_module"
    EXPECTED_STATE = "expected_state"
    OPERATOR_ROLE = "operator_role"
    NETWORK_NAMES = "network_names"
    REQUESTERS = "requesters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One kind of certificate.

    Attributes:
        issuers: kinds of CA that may sign it; its own kind means self-signed.
        lifetime: from issuance, cut at the issuer's own notAfter.
        path_length: pathLenConstraint of a CA certificate; None for an end entity.
        key_usage: names of `cryptography.x509.KeyUsage` flags that are set; always critical.
        purposes: extended key usages; empty means that the extension is absent.
        variables: what the use case supplies, no more and no less.
        where_known: what it supplies besides, where it knows it.
        keys: algorithms of the certified key.
        locates_issuer: CRLDP and AIA caIssuers name the issuer's places.
        locates_ocsp: AIA names the OCSP responder.
        never_revoked: id-pkix-ocsp-nocheck; the certificate must be short-lived instead.
    """

    kind: Kind
    issuers: frozenset[Kind]
    lifetime: timedelta
    path_length: int | None = None
    key_usage: frozenset[str] = frozenset({"digital_signature"})
    purposes: tuple[x509.ObjectIdentifier, ...] = ()
    variables: frozenset[Variable] = frozenset({Variable.SUBJECT})
    where_known: frozenset[Variable] = frozenset()
    keys: frozenset[KeyAlgorithm] = SERVICE_KEYS
    locates_issuer: bool = True
    locates_ocsp: bool = False
    never_revoked: bool = False

    @property
    def is_ca(self) -> bool:
        """Whether the subject may sign certificates and CRLs."""
        return self.path_length is not None

    @property
    def self_signed(self) -> bool:
        """Whether it is a trust anchor, signed with its own key."""
        return self.kind in self.issuers


def _root(kind: Kind, *, path_length: int) -> Profile:
    return Profile(
        kind=kind,
        issuers=frozenset({kind}),
        lifetime=30 * YEAR,
        path_length=path_length,
        key_usage=_CA_USAGE,
        keys=CA_KEYS,
        locates_issuer=False,
    )


def _cross(kind: Kind, *, root: Kind, path_length: int) -> Profile:
    """A root's key certified by the key before or after it, under the same name."""
    return Profile(
        kind=kind,
        issuers=frozenset({root}),
        lifetime=30 * YEAR,
        path_length=path_length,
        key_usage=_CA_USAGE,
        keys=CA_KEYS,
    )


def _end_entity(
    kind: Kind,
    *,
    issuer: Kind,
    lifetime: timedelta,
    purpose: x509.ObjectIdentifier,
    more: frozenset[Variable] = frozenset(),
    keys: frozenset[KeyAlgorithm] = SERVICE_KEYS,
) -> Profile:
    return Profile(
        kind=kind,
        issuers=frozenset({issuer}),
        lifetime=lifetime,
        purposes=(purpose,),
        variables=frozenset({Variable.SUBJECT}) | more,
        keys=keys,
    )


def _of_operator(kind: Kind, *, purpose: x509.ObjectIdentifier, usage: str = "digital_signature") -> Profile:
    """A service of an operator, under the operators' root, with its role and id."""
    return Profile(
        kind=kind,
        issuers=frozenset({Kind.OPERATORS_ROOT}),
        lifetime=YEAR,
        key_usage=frozenset({usage}),
        purposes=(purpose,),
        variables=frozenset({Variable.SUBJECT, Variable.OPERATOR_ROLE}),
    )


_CA_USAGE = frozenset({"key_cert_sign", "crl_sign"})
_NAMES = frozenset({Variable.NETWORK_NAMES})

PROFILES: dict[Kind, Profile] = {
    profile.kind: profile
    for profile in (
        # one more than there are CAs below: many verifiers count a cross-certificate, though RFC 5280 does not
        _root(Kind.ES_ROOT, path_length=2),
        _cross(Kind.ES_ROOT_CROSS, root=Kind.ES_ROOT, path_length=1),
        _root(Kind.OPERATORS_ROOT, path_length=1),
        _cross(Kind.OPERATORS_ROOT_CROSS, root=Kind.OPERATORS_ROOT, path_length=0),
        _root(Kind.TLS_ROOT, path_length=0),
        Profile(
            kind=Kind.ISSUING_CA,
            issuers=frozenset({Kind.ES_ROOT}),
            lifetime=20 * YEAR,
            path_length=0,
            key_usage=_CA_USAGE,
            variables=frozenset({Variable.SUBJECT, Variable.TRE_LEVEL}),
            keys=CA_KEYS,
        ),
        Profile(
            kind=Kind.PLATFORM_CREDENTIAL,
            issuers=frozenset({Kind.ISSUING_CA}),
            lifetime=10 * YEAR,
            purposes=(oids.EKU_TPM_AIK, oids.EKU_PLATFORM_CREDENTIAL),
            variables=frozenset({Variable.TRE_LEVEL, Variable.HARDWARE_MODULE, Variable.EXPECTED_STATE}),
            keys=TPM_KEYS,
            locates_ocsp=True,
        ),
        _end_entity(
            Kind.MANIFEST_SIGNING,
            issuer=Kind.ES_ROOT,
            lifetime=2 * YEAR,
            purpose=oids.EKU_MANIFEST_SIGNING,
        ),
        _end_entity(
            Kind.BATCH_SIGNING, issuer=Kind.ES_ROOT, lifetime=2 * YEAR, purpose=oids.EKU_BATCH_SIGNING
        ),
        _of_operator(Kind.CHALLENGE, purpose=oids.EKU_CHALLENGE),
        _of_operator(Kind.ATTESTATION_RESULT, purpose=oids.EKU_ATTESTATION_RESULT),
        _of_operator(Kind.STATE_APPROVAL, purpose=oids.EKU_STATE_APPROVAL),
        _of_operator(Kind.SUBSCRIPTION, purpose=oids.EKU_SUBSCRIPTION),
        _of_operator(Kind.RESULT_ENCRYPTION, purpose=oids.EKU_RESULT_ENCRYPTION, usage="key_agreement"),
        _of_operator(Kind.DELIVERY, purpose=oids.EKU_DELIVERY),
        _of_operator(Kind.DISCOVERY, purpose=oids.EKU_DISCOVERY),
        _of_operator(Kind.CONNECTIVITY, purpose=oids.EKU_CONNECTIVITY),
        _of_operator(Kind.TRUST_LIST, purpose=oids.EKU_TRUST_LIST),
        _end_entity(
            Kind.TLS_SERVER,
            issuer=Kind.TLS_ROOT,
            lifetime=YEAR,
            purpose=oids.EKU_SERVER_AUTH,
            more=_NAMES,
            keys=LEAF_KEYS,
        ),
        Profile(
            kind=Kind.TLS_CLIENT,
            issuers=frozenset({Kind.TLS_ROOT}),
            lifetime=YEAR,
            purposes=(oids.EKU_CLIENT_AUTH,),
            # not known of a certificate that renews one from before this was said (ADR 0046)
            where_known=frozenset({Variable.REQUESTERS}),
            keys=LEAF_KEYS,
        ),
        Profile(
            kind=Kind.OCSP_DELEGATE,
            issuers=frozenset({Kind.ISSUING_CA}),
            lifetime=timedelta(days=14),
            purposes=(oids.EKU_OCSP_SIGNING,),
            keys=LEAF_KEYS,
            locates_issuer=False,
            never_revoked=True,
        ),
    )
}

CROSS_KINDS = {
    Kind.ES_ROOT: Kind.ES_ROOT_CROSS,
    Kind.OPERATORS_ROOT: Kind.OPERATORS_ROOT_CROSS,
}
"""Roots that get a next key while both are trusted, and the kind of their cross-certificates."""

OPERATOR_ROLES: dict[Kind, frozenset[str]] = {
    Kind.CHALLENGE: frozenset({"pva"}),
    Kind.ATTESTATION_RESULT: frozenset({"pva"}),
    Kind.STATE_APPROVAL: frozenset({"pva"}),
    Kind.SUBSCRIPTION: frozenset({"sho"}),
    Kind.RESULT_ENCRYPTION: frozenset({"sho"}),
    Kind.DELIVERY: frozenset({"dpf"}),
    Kind.DISCOVERY: frozenset({"drf"}),
    Kind.CONNECTIVITY: frozenset({"ccif"}),
    Kind.TRUST_LIST: frozenset({"overseer", "pva", "sho", "dpf"}),
}
"""Which operator role may hold which purpose: only a PVA challenges a TRE, only an SHO speaks about subscriptions."""

BY_TWO = frozenset({Kind.ATTESTATION_RESULT, Kind.STATE_APPROVAL, Kind.TRUST_LIST})
"""Purposes whose keys two administrators register (D7): their holder is believed about every platform, or every supplier."""
