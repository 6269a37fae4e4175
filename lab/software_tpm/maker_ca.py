"""A TPM maker of the laboratory: root, intermediate, EK certificates (TCG EK Credential Profile for TPM Family 2.0).

Only a lab profile recognises its root. The keys lie unencrypted in the CA's directory, mode 0600, as those of
`swtpm_localca` do.
"""

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from asn1crypto import core
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from ca.tpm_makers import LAB_ORGANIZATION
from edge.process import RandomBytes
from lab.software_tpm.errors import StateError
from standards.pki import oids

TPM_MANUFACTURER = "id:50564100"
TPM_MODEL = "software-tpm"
TPM_VERSION = "id:20260001"
TPM_SPECIFICATION = ("2.0", 0, 159)
"""Family, level and revision of the TPM 2.0 Library."""
_SUBJECT_DIRECTORY_ATTRIBUTES = x509.ObjectIdentifier("2.5.29.9")
_TPM_SPECIFICATION_OID = "2.23.133.2.16"
_ROOT_NAME, _INTERMEDIATE_NAME = "Laboratory TPM maker root", "Laboratory TPM maker intermediate"
_ROOT_FILE, _INTERMEDIATE_FILE = "root.pem", "intermediate.pem"
_ROOT_KEY_FILE, _INTERMEDIATE_KEY_FILE = "root.key", "intermediate.key"
_CA_LIFE = timedelta(days=3652)
_BACKDATED = timedelta(hours=1)
_SERIAL_BYTES = 20
_UNLIMITED = datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001 x509 takes naive UTC for the profile's "no end"

EkPublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True, kw_only=True)
class MakerCa:
    """The intermediate that issues, and both certificates; files `root.pem` and `intermediate.pem`."""

    directory: Path
    root: x509.Certificate
    intermediate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def root_file(self) -> Path:
        """What an operator of a laboratory configures as a TPM maker's root."""
        return self.directory / _ROOT_FILE

    @property
    def intermediate_file(self) -> Path:
        """What helps to build the path."""
        return self.directory / _INTERMEDIATE_FILE

    @classmethod
    def open(cls, directory: Path, *, random_bytes: RandomBytes, at: datetime) -> "MakerCa":
        """The CA in `directory`, made on first use; StateError if it is there in part only."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = (_ROOT_FILE, _INTERMEDIATE_FILE, _INTERMEDIATE_KEY_FILE)
        present = [name for name in names if (directory / name).exists()]
        if not present:
            _make(directory, random_bytes=random_bytes, at=at)
        elif len(present) != len(names):
            raise StateError(
                directory,
                reason=f"of the TPM maker's CA only {present} is there",
                remedy="name another directory",
            )
        try:
            return cls(
                directory=directory,
                root=x509.load_pem_x509_certificate((directory / _ROOT_FILE).read_bytes()),
                intermediate=x509.load_pem_x509_certificate((directory / _INTERMEDIATE_FILE).read_bytes()),
                key=_load_key(directory / _INTERMEDIATE_KEY_FILE),
            )
        except ValueError as error:
            raise StateError(
                directory, reason="a file of the TPM maker's CA is damaged", remedy="name another directory"
            ) from error

    def certify_ek(self, key: EkPublicKey, *, random_bytes: RandomBytes, at: datetime) -> bytes:
        """DER of an EK certificate: empty subject, so the SAN is critical."""
        agreement = isinstance(key, ec.EllipticCurvePublicKey)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.intermediate.subject)
            .public_key(key)
            .serial_number(_serial(random_bytes))
            .not_valid_before(at - _BACKDATED)
            .not_valid_after(_UNLIMITED)
            .add_extension(x509.SubjectAlternativeName([x509.DirectoryName(_tpm_name())]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(encipherment=not agreement, agreement=agreement), critical=True)
            .add_extension(x509.ExtendedKeyUsage([oids.EKU_TPM_EK]), critical=False)
            .add_extension(_tpm_specification(), critical=False)
            .add_extension(_authority_key(self.intermediate), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _make(directory: Path, *, random_bytes: RandomBytes, at: datetime) -> None:
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root = _ca_certificate(_ROOT_NAME, root_key.public_key(), random_bytes=random_bytes, at=at, path_length=1)
    root_name = _name(_ROOT_NAME)
    root_certificate = root.issuer_name(root_name).sign(root_key, hashes.SHA256())
    intermediate = (
        _ca_certificate(_INTERMEDIATE_NAME, key.public_key(), random_bytes=random_bytes, at=at, path_length=0)
        .issuer_name(root_name)
        .add_extension(_authority_key(root_certificate), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    _write(directory / _ROOT_KEY_FILE, _key_pem(root_key), mode=0o600)
    _write(directory / _INTERMEDIATE_KEY_FILE, _key_pem(key), mode=0o600)
    _write(directory / _INTERMEDIATE_FILE, intermediate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    _write(directory / _ROOT_FILE, root_certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _ca_certificate(
    name: str, key: ec.EllipticCurvePublicKey, *, random_bytes: RandomBytes, at: datetime, path_length: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key)
        .serial_number(_serial(random_bytes))
        .not_valid_before(at - _BACKDATED)
        .not_valid_after(at + _CA_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _tpm_name() -> x509.Name:
    """TPM manufacturer, model and version, each an RDN of its own."""
    attributes = {
        oids.TPM_MANUFACTURER: TPM_MANUFACTURER,
        oids.TPM_MODEL: TPM_MODEL,
        oids.TPM_VERSION: TPM_VERSION,
    }
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes.items()])


def _tpm_specification() -> x509.UnrecognizedExtension:
    """SubjectDirectoryAttributes with the TPM specification that this TPM follows."""
    family, level, revision = TPM_SPECIFICATION
    specification = _der_sequence(
        core.UTF8String(family).dump() + core.Integer(level).dump() + core.Integer(revision).dump()
    )
    values = core.SetOf(spec=core.Sequence, contents=specification).dump()
    attribute = _der_sequence(core.ObjectIdentifier(_TPM_SPECIFICATION_OID).dump() + values)
    return x509.UnrecognizedExtension(_SUBJECT_DIRECTORY_ATTRIBUTES, _der_sequence(attribute))


def _der_sequence(contents: bytes) -> bytes:
    return bytes(core.Sequence(contents=contents).dump())


def _key_usage(
    *, encipherment: bool = False, agreement: bool = False, certificates: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=encipherment,
        data_encipherment=False,
        key_agreement=agreement,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_key(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    subject_key = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key.value)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, LAB_ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _serial(random_bytes: RandomBytes) -> int:
    """Positive, at most 20 octets in DER (RFC 5280, 4.1.2.2)."""
    return int.from_bytes(random_bytes(_SERIAL_BYTES), "big") >> 1 or 1


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise StateError(path, reason="expected an EC private key", remedy="name another directory")
    return key


def _write(path: Path, data: bytes, *, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
