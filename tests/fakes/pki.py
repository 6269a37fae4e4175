"""A small certificate hierarchy that signs for real, at a fixed time, with everything open to be wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
_USAGES = (
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


def key_usage(*names: str) -> x509.KeyUsage:
    """Key usage with these bits, by the library's names, and no other."""
    assert set(names) <= set(_USAGES)
    return x509.KeyUsage(**{each: each in names for each in _USAGES})


ISSUER_USAGE = key_usage("digital_signature", "key_cert_sign", "crl_sign")
LEAF_USAGE = key_usage("digital_signature")
Extensions = Sequence[tuple[x509.ExtensionType, bool]]
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def p256() -> ec.EllipticCurvePrivateKey:
    """A fresh signing key."""
    return ec.generate_private_key(ec.SECP256R1())


def common_name(name: str) -> x509.Name:
    """A Name of one CN; the empty Name for the empty string."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])


@dataclass(frozen=True, kw_only=True)
class Validity:
    """Dates of a certificate relative to NOW."""

    before: timedelta = timedelta(days=1)
    after: timedelta = timedelta(days=30)


DEFAULT_VALIDITY = Validity()
EXPIRED = Validity(before=timedelta(days=30), after=-timedelta(days=1))


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A CA with its key and certificate."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def root(
        cls,
        name: str = "root",
        *,
        path_length: int | None = None,
        validity: Validity = DEFAULT_VALIDITY,
        extensions: Extensions | None = None,
    ) -> "Authority":
        """A self-signed anchor."""
        key = p256()
        wanted = issuer_extensions(path_length) if extensions is None else extensions
        builder = _builder(common_name(name), key.public_key(), common_name(name), validity=validity)
        return cls(certificate=_sign(builder, wanted, key.public_key(), key), key=key)

    def subordinate(
        self,
        name: str = "issuing CA",
        *,
        path_length: int | None = None,
        validity: Validity = DEFAULT_VALIDITY,
        extensions: Extensions | None = None,
    ) -> "Authority":
        """A CA under this one; `extensions` replace the usual ones."""
        key = p256()
        wanted = issuer_extensions(path_length) if extensions is None else extensions
        certificate = self.issue(name, key=key.public_key(), validity=validity, extensions=wanted)
        return Authority(certificate=certificate, key=key)

    def issue(
        self,
        name: str,
        *,
        key: PublicKey,
        eku: x509.ObjectIdentifier | None = None,
        extensions: Extensions = (),
        validity: Validity = DEFAULT_VALIDITY,
        serial: int | None = None,
    ) -> x509.Certificate:
        """A certificate with SKI, AKI, the EKU and `extensions`."""
        builder = _builder(common_name(name), key, self.certificate.subject, validity=validity, serial=serial)
        wanted = list(extensions)
        if eku is not None:
            wanted.append((x509.ExtendedKeyUsage([eku]), False))
        return _sign(builder, wanted, self.key.public_key(), self.key)


def issuer_extensions(path_length: int | None = None) -> Extensions:
    """What makes a CA a CA."""
    return [(x509.BasicConstraints(ca=True, path_length=path_length), True), (ISSUER_USAGE, True)]


def _builder(
    subject: x509.Name,
    key: PublicKey,
    issuer: x509.Name,
    *,
    validity: Validity,
    serial: int | None = None,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(NOW - validity.before)
        .not_valid_after(NOW + validity.after)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _sign(
    builder: x509.CertificateBuilder,
    extensions: Extensions,
    issuer_key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, hashes.SHA256())
