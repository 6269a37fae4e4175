"""Keys and certificates of the worked example in docs/PROTOCOL.md: fixed, published, and good for nothing else.

Every key is derived from its name, every certificate signed deterministically (RFC 6979), so that the example
comes out the same to the last bit wherever it is made.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName, OperatorRole
from standards.pki.fingerprints import certificate_der, device_id, spki_der
from tests.fakes.pki import key_usage

NOW = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
_LIFE = timedelta(days=3650)
_CA = frozenset({"key_cert_sign", "crl_sign"})
_SIGNS = frozenset({"digital_signature"})
_AGREES = frozenset({"key_agreement"})


def private_key(name: str, curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """The example's private key of this name: its scalar is SHA-256 of "openpva example: <name>"."""
    scalar = int.from_bytes(hashlib.sha256(f"openpva example: {name}".encode()).digest(), "big")
    return ec.derive_private_key(scalar, curve or ec.SECP256R1())


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A key with its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The certificate."""
        return certificate_der(self.certificate)


def certify(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    issuer: Holder | None,
    usage: frozenset[str] = _SIGNS,
    purposes: Sequence[x509.ObjectIdentifier] = (),
    more: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Holder:
    """Certify a key; without an issuer as a root, with `_CA` usage as a CA."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = key if issuer is None else issuer.key
    serial = int.from_bytes(hashlib.sha256(name.encode()).digest()[:19], "big")
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + _LIFE)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(key_usage(*usage), critical=True)
        .add_extension(x509.BasicConstraints(ca=usage is _CA, path_length=None), critical=True)
    )
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    for extension, critical in more:
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(signer, hashes.SHA256(), ecdsa_deterministic=True)
    return Holder(key=key, certificate=certificate)


def _pva(name: str, purpose: x509.ObjectIdentifier) -> Holder:
    role = OperatorRole(role="pva", id="pva.example").to_extension()
    return certify(name, private_key(name), issuer=OPERATORS_ROOT, purposes=(purpose,), more=((role, False),))


def _ek() -> Holder:
    tpm = x509.Name(
        [
            x509.NameAttribute(oids.TPM_MANUFACTURER, "id:45584D50"),
            x509.NameAttribute(oids.TPM_MODEL, "example"),
            x509.NameAttribute(oids.TPM_VERSION, "id:00010000"),
        ]
    )
    return certify(
        "EK",
        private_key("EK", ec.SECP384R1()),
        issuer=TPM_MAKER_ROOT,
        usage=_AGREES,
        purposes=(oids.EKU_TPM_EK,),
        more=((x509.SubjectAlternativeName([x509.DirectoryName(tpm)]), False),),
    )


def _platform_credential() -> Holder:
    """The PfC over the AK, issued to the example's device."""
    module = HardwareModuleName(hw_type=oids.hw_type_of_model(1), serial=DEVICE_ID)
    level = x509.PolicyInformation(oids.POLICY_TRE_LEVELS[2], None)
    return certify(
        "PfC",
        private_key("AK"),
        issuer=ISSUING_CA,
        purposes=(oids.EKU_TPM_AIK, oids.EKU_PLATFORM_CREDENTIAL),
        more=(
            (x509.SubjectAlternativeName([module.to_general_name()]), False),
            (x509.CertificatePolicies([level]), False),
            (STATE.to_extension(), False),
        ),
    )


OPERATORS_ROOT = certify("operators root", private_key("operators root"), issuer=None, usage=_CA)
CHALLENGER = _pva("PVA challenges", oids.EKU_CHALLENGE)
RESULT_SIGNER = _pva("PVA results", oids.EKU_ATTESTATION_RESULT)
TPM_MAKER_ROOT = certify("TPM maker root", private_key("TPM maker root"), issuer=None, usage=_CA)
EK = _ek()
DEVICE_ID = device_id(spki_der(EK.certificate))
ES_ROOT = certify("ES root", private_key("ES root"), issuer=None, usage=_CA)
ISSUING_CA = certify("issuing CA", private_key("issuing CA"), issuer=ES_ROOT, usage=_CA)
STATE = ExpectedSystemState(
    manifest_id="example/1", manifest_digest=hashlib.sha256(b"signed manifest").digest(), svn=1
)
PFC = _platform_credential()
