"""`pva key`: private keys that never leave the machine of their holder, and requests to have them certified."""

from pathlib import Path
from typing import Final

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cli.answers import Answer
from cli.files import file_in, out_option, write_file
from cli.invocation import Invocation, Section, pass_invocation
from edge.keys import create_passphrase, create_private_key, load_private_key
from standards.pki.fingerprints import spki_sha256

_CURVES: Final = {"p256": ec.SECP256R1, "p384": ec.SECP384R1}
_NEXT: Final = "pva certificate supplier|operator|tls ... --csr "


@click.group(cls=Section)
def key() -> None:
    """Private keys in encrypted files, and requests to certify them."""


@key.command("create")
@click.argument("path", type=file_in, metavar="KEY_FILE")
@click.option(
    "--passphrase-file",
    type=file_in,
    required=True,
    help="File whose first line encrypts the key; made with a random one if there is none.",
)
@out_option("Write the request (PEM) to this file.", "--csr-out", required=True)
@click.option("--curve", type=click.Choice(list(_CURVES)), default="p256", show_default=True)
@pass_invocation
def create(invocation: Invocation, *, path: Path, passphrase_file: Path, csr_out: Path, curve: str) -> None:
    """Make an EC key (encrypted PKCS#8) and a request to certify it.

    Keys for signing manifests, batches, challenges and results are p256. The folder must be yours alone (0700).
    """
    made_passphrase = not passphrase_file.exists()
    if made_passphrase:
        create_passphrase(passphrase_file, random_bytes=invocation.random_bytes)
    made = create_private_key(path, passphrase_file=passphrase_file, curve=_CURVES[curve]())
    write_file(csr_out, _request(made))
    members = {
        "key": str(path),
        "passphrase_file": str(passphrase_file) + (" (new)" if made_passphrase else ""),
        "csr": str(csr_out),
        "spki_sha256": spki_sha256(made.public_key()),
    }
    invocation.answer(Answer(outcome="created", members=members, next_step=f"{_NEXT}{csr_out}"))


@key.command("request")
@click.argument("path", type=file_in, metavar="KEY_FILE")
@click.option("--passphrase-file", type=file_in, required=True, help="File whose first line opens the key.")
@out_option("Write the request (PEM) to this file.", "--csr-out", required=True)
@pass_invocation
def request(invocation: Invocation, *, path: Path, passphrase_file: Path, csr_out: Path) -> None:
    """Make a new request for a key that exists."""
    found = load_private_key(path, passphrase_file=passphrase_file)
    write_file(csr_out, _request(found))
    members = {"csr": str(csr_out), "spki_sha256": spki_sha256(found.public_key())}
    invocation.answer(Answer(outcome="requested", members=members, next_step=f"{_NEXT}{csr_out}"))


def _request(private: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS#10 that proves possession and asks for nothing: the CA's profile says what the certificate holds."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM)
