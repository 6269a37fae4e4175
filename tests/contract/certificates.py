"""A small TLS hierarchy on disk for tests of listeners: root, server, clients, a foreign root."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.http_client import ClientTls
from edge.keys import create_passphrase, write_private_key
from edge.principals import certificate_digests
from edge.process import system_clock, system_random
from standards.pki.extensions import AT_A_CEREMONY, Requesters
from tests.fakes.pki import key_usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A root with its key."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


class Certificates:
    """Writes roots, certificates and keys below `folder` and says how a client uses them."""

    def __init__(self, folder: Path) -> None:
        """Make the root, the passphrase and the server's certificate."""
        self.folder = folder
        self.now: datetime = system_clock()
        self.passphrase = folder / "keys" / "passphrase"
        create_passphrase(self.passphrase, random_bytes=system_random)
        self.root = self.authority("TLS root")
        self.foreign = self.authority("foreign root")
        (folder / "anchors.pem").write_bytes(self.root.certificate.public_bytes(Encoding.PEM))
        self.issue("server", ExtendedKeyUsageOID.SERVER_AUTH, self.root)

    def authority(self, name: str) -> Authority:
        """A self-signed root."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, key, self.now)
        usage = key_usage("key_cert_sign", "crl_sign")
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        return Authority(key=key, certificate=certificate)

    def issue(
        self,
        name: str,
        purpose: x509.ObjectIdentifier,
        authority: Authority,
        *,
        requesters: Requesters | None = None,
    ) -> x509.Certificate:
        """Certificate `name`.pem and key keys/`name`.key, issued by `authority`."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
        builder = _builder(subject, authority.certificate.subject, key, self.now)
        if requesters is not None:
            builder = builder.add_extension(requesters.to_extension(), critical=False)
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(issuer_key, critical=False)
            .sign(authority.key, hashes.SHA256())
        )
        (self.folder / "keys" / f"{name}.key").unlink(missing_ok=True)
        (self.folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        write_private_key(self.folder / "keys" / f"{name}.key", key, passphrase_file=self.passphrase)
        return certificate

    def client(
        self,
        name: str,
        authority: Authority | None = None,
        *,
        requesters: Requesters | None = AT_A_CEREMONY,
    ) -> x509.Certificate:
        """A new client certificate; of the listener's root and of a ceremony unless told otherwise."""
        purpose = ExtendedKeyUsageOID.CLIENT_AUTH
        return self.issue(name, purpose, authority or self.root, requesters=requesters)

    def certificate(self, name: str) -> x509.Certificate:
        """The certificate that was issued last under this name."""
        return x509.load_pem_x509_certificate((self.folder / f"{name}.pem").read_bytes())

    def register(
        self,
        rows: dict[str, tuple[str, x509.Certificate]],
        *,
        tenants: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Write principals.json: name -> (role, certificate); the tenant is "t" where `tenants` names no other."""
        principals = []
        for name, (role, certificate) in rows.items():
            issuer, spki = certificate_digests(certificate, self.root.certificate)
            principals.append(
                {
                    "role": role,
                    "tenant": tenants.get(name, "t"),
                    "name": name,
                    "issuer_sha256": issuer,
                    "spki_sha256": spki,
                }
            )
        (self.folder / "principals.json").write_text(json.dumps({"principals": principals}))

    def crl(
        self,
        *revoked: x509.Certificate,
        number: int = 1,
        life: timedelta = timedelta(hours=1),
        authority: Authority | None = None,
    ) -> bytes:
        """DER list of the root, or of `authority`, that names `revoked` and ends after `life` from now on."""
        issuer = authority or self.root
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.certificate.subject)
            .last_update(self.now - timedelta(minutes=1))
            .next_update(self.now + life)
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        for certificate in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(self.now).build())
        return builder.sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.DER)

    def tls(self, name: str | None = None) -> ClientTls:
        """How a client trusts the server, and proves itself as `name`."""
        if name is None:
            return ClientTls(anchors=self.folder / "anchors.pem")
        return ClientTls(
            anchors=self.folder / "anchors.pem",
            certificate=self.folder / f"{name}.pem",
            key=self.folder / "keys" / f"{name}.key",
            passphrase_file=self.passphrase,
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
    )
