"""Signing keys of the lab's parties: made in the party's own folder, certified by the CA over its API.

Rule: a private key stays in its party's folder, encrypted; what travels is a certification request.
"""

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from edge.keys import (
    create_log_key,
    create_passphrase,
    create_private_key,
    read_passphrase,
    write_private_file,
)
from edge.process import system_random
from standards.merkle.checkpoint import VerifierKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key and its certificate path, leaf first, without the root."""

    key: EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]


def make_key(folder: Path, name: str) -> EllipticCurvePrivateKey:
    """An encrypted key `<name>.key` in `folder`, opened by `passphrase` beside it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    passphrase = folder / "passphrase"
    if not passphrase.exists():
        create_passphrase(passphrase, random_bytes=system_random)
    return create_private_key(folder / f"{name}.key", passphrase_file=passphrase)


def make_log_key(folder: Path, name: str) -> VerifierKey:
    """An encrypted Ed25519 key `log.key` in a new folder, and what others verify the log `name` with, in `log.vkey`."""
    folder.mkdir(mode=0o700)
    passphrase = folder / "passphrase"
    create_passphrase(passphrase, random_bytes=system_random)
    key = create_log_key(folder / "log.key", passphrase_file=passphrase)
    verifier = VerifierKey(name=name, public_key=key.public_key())
    (folder / "log.vkey").write_text(f"{verifier}\n")
    return verifier


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserIdentity:
    """A certificate with its key as browsers import it (PKCS#12), and the file with its password."""

    file: Path
    password_file: Path


def write_browser_identity(
    folder: Path, name: str, *, certificate: Path, key: EllipticCurvePrivateKey
) -> BrowserIdentity:
    """`<name>.p12` in `folder`, mode 0600 as every key file, under a new password in `password` beside it."""
    password = folder / "password"
    create_passphrase(password, random_bytes=system_random)
    data = pkcs12.serialize_key_and_certificates(
        name.encode(),
        key,
        x509.load_pem_x509_certificate(certificate.read_bytes()),
        None,
        BestAvailableEncryption(read_passphrase(password)),
    )
    write_private_file(folder / f"{name}.p12", data)
    return BrowserIdentity(file=folder / f"{name}.p12", password_file=password)


def request_for(key: EllipticCurvePrivateKey) -> x509.CertificateSigningRequest:
    """A PKCS#10 request that proves possession of `key` and asks for nothing: the profile decides."""
    return x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
