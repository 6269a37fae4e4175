"""A manifest that uses everything that the profile has, and a hierarchy to sign it under."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.x509.oid import NameOID

from standards.boot_log.algorithms import SHA256, SHA384
from standards.pki.oids import EKU_MANIFEST_SIGNING
from standards.rats.corim import Manifest, PlatformReference, Predecessor, ReferenceEvent
from tests.fakes.pki import LEAF_USAGE, key_usage

AT = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)

MANIFEST = Manifest(
    id="acme/gw/2026-07",
    supplier="Acme",
    models=("gw-1", "gw-2"),
    svn=7,
    version="3.1.4",
    platform=PlatformReference(
        registers={SHA256: {0: b"\x00" * 32, 8: b"\x08" * 32}, SHA384: {0: b"\x10" * 48}},
    ),
    events=(
        ReferenceEvent(pcr=4, position=0, digest={SHA256: b"\x40" * 32}, name="separator", scope="platform"),
        ReferenceEvent(
            pcr=4,
            position=1,
            digest={SHA256: b"\x41" * 32, SHA384: b"\x41" * 48},
            name="shim",
            scope="platform",
        ),
        ReferenceEvent(pcr=8, position=0, digest={SHA256: b"\x80" * 32}, name="command line", scope="tre"),
    ),
    tre_image_digest=b"\x7e" * 32,
    valid_from=datetime(2026, 7, 1, tzinfo=UTC),
    valid_to=datetime(2027, 7, 1, tzinfo=UTC),
)

SUCCESSOR = replace(
    MANIFEST,
    id="acme/gw/2026-08",
    svn=8,
    version="3.2.0",
    release_name="autumn",
    line_name=MANIFEST.id,
    valid_from=datetime(2026, 8, 1, tzinfo=UTC),
    predecessor=Predecessor(id=MANIFEST.id, digest=b"\x26" * 32, until=datetime(2026, 9, 1, tzinfo=UTC)),
)


def certificate(
    name: str,
    key: EllipticCurvePrivateKey,
    *,
    issuer: tuple[str, EllipticCurvePrivateKey] | None = None,
    eku: x509.ObjectIdentifier | None = None,
) -> x509.Certificate:
    """A certificate valid around AT; without an issuer a root."""
    issuer_name, issuer_key = issuer or (name, key)

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(AT - timedelta(days=30))
        .not_valid_after(AT + timedelta(days=30))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if issuer is None:
        usage = key_usage("key_cert_sign", "crl_sign")
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        builder = builder.add_extension(constraints, critical=True).add_extension(usage, critical=True)
    else:
        builder = builder.add_extension(LEAF_USAGE, critical=True)
        if eku is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([eku]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


ROOT_KEY = generate_private_key(SECP256R1())
ROOT = certificate("Acme ES root", ROOT_KEY)
SIGNER_KEY = generate_private_key(SECP256R1())
SIGNER = certificate(
    "Acme manifests", SIGNER_KEY, issuer=("Acme ES root", ROOT_KEY), eku=EKU_MANIFEST_SIGNING
)
