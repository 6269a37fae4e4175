"""`pva certificate`: certificates for keys that their holders keep; a CSR goes in, a certificate comes out."""

import ipaddress
from collections.abc import Sequence
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cli.answers import Answer
from cli.commands.est import key_waits
from cli.commands.naming import REASONS, Issuer, Serial
from cli.files import file_in, out_option, read_certificates, read_csr, write_file
from cli.invocation import Invocation, Section, pass_invocation
from standards.pki.fingerprints import certificate_sha256, spki_sha256

_csr = click.option("--csr", type=file_in, required=True, help="The request (PEM): pva key create makes one.")
_out = out_option("Write the certificate (PEM) to this file.")


@click.group(cls=Section)
def certificate() -> None:
    """Certificates for the keys of suppliers, services and people."""


@certificate.command("supplier")
@click.argument("supplier")
@click.option(
    "--purpose",
    type=click.Choice(["manifest-signing", "batch-signing"]),
    required=True,
    help="What it may sign.",
)
@_csr
@_out
@pass_invocation
def for_supplier(invocation: Invocation, *, supplier: str, purpose: str, csr: Path, out: Path | None) -> None:
    """Certify a supplier's signing key under its hosted root (admin, the supplier)."""
    made = invocation.ca().certify_supplier(supplier, purpose=purpose, csr=read_csr(csr))
    what = "manifest sign DESCRIPTION" if purpose == "manifest-signing" else "batch sign LIST"
    step = f"pva {what} --key KEY --passphrase-file FILE --certificate {out or 'FILE'} --out FILE"
    invocation.answer(_certified(made, out=out, next_step=step))


@certificate.command("operator")
@click.argument("role")
@click.argument("service")
@click.option(
    "--purpose",
    type=click.Choice(
        [
            "challenge",
            "attestation-result",
            "state-approval",
            "subscription",
            "result-encryption",
            "delivery",
            "discovery",
            "connectivity",
            "trust-list",
        ]
    ),
    required=True,
    help="What the service signs with it.",
)
@_csr
@_out
@pass_invocation
def for_operator(
    invocation: Invocation, *, role: str, service: str, purpose: str, csr: Path, out: Path | None
) -> None:
    """Certify a network service's signing key under the operators' root (admin).

    ROLE is its role, such as pva; SERVICE its id, which a PVA has as `issuer` in its settings. A key that signs results,
    approvals of states or trust lists waits for another administrator; then the same command gets the certificate.
    """
    made = invocation.ca().certify_operator(role, service=service, purpose=purpose, csr=read_csr(csr))
    if not isinstance(made, x509.Certificate):
        invocation.answer(key_waits(made))
        return
    invocation.answer(
        _certified(made, out=out, next_step="name it in the settings of the service, and start that")
    )


@certificate.command("issuing-ca")
@click.argument("supplier")
@click.option("--name", required=True, help="Name of the product line.")
@click.option("--tre-level", type=click.IntRange(1, 3), required=True, help="Security level of its TREs.")
@_csr
@_out
@pass_invocation
def for_issuing_ca(
    invocation: Invocation, *, supplier: str, name: str, tre_level: int, csr: Path, out: Path | None
) -> None:
    """Certify an issuing CA whose key is elsewhere, below a root that the CA hosts (admin).

    The CA there has the root imported, and this certificate completes its pending issuing CA.
    """
    made = invocation.ca().certify_issuing_ca(supplier, name=name, tre_level=tre_level, csr=read_csr(csr))
    step = f"at the CA that has its key: pva issuing-ca complete CA_ID --certificate {out or 'FILE'}"
    invocation.answer(_certified(made, out=out, next_step=step))


@certificate.command("tls")
@click.argument("name")
@click.option("--kind", type=click.Choice(["server", "client"]), required=True, help="Listener, or person.")
@_csr
@click.option("--host", "hosts", multiple=True, help="DNS name or IP address of a server; repeat it.")
@_out
@pass_invocation
def for_tls(
    invocation: Invocation, *, name: str, kind: str, csr: Path, hosts: Sequence[str], out: Path | None
) -> None:
    """Certify the TLS key of a service or a person (admin)."""
    addresses = [each for each in hosts if _is_address(each)]
    made = invocation.ca().certify_tls(
        kind,
        name=name,
        csr=read_csr(csr),
        dns=[each for each in hosts if each not in addresses],
        ip=addresses,
    )
    step = "name it in the settings of the listener, and start that"
    if kind == "client":
        step = "give it a role: a row with these two digests, role, tenant and name in the services' principals files"
    issuer = _issuer_of(made, anchors=read_certificates(invocation.settings().tls_root))
    invocation.answer(_certified(made, out=out, next_step=step, issuer=issuer))


@certificate.command("revoke")
@click.argument("serial", type=Serial(), metavar="CERTIFICATE")
@click.option("--issuer", type=Issuer(), required=True, help="The CA that issued it.")
@click.option("--reason", type=click.Choice(REASONS), required=True)
@pass_invocation
def revoke(invocation: Invocation, *, serial: int, issuer: str, reason: str) -> None:
    """Revoke a certificate that is no platform credential (admin, the supplier whose it is).

    CERTIFICATE is its PEM file or its serial number in hexadecimal.
    """
    made = invocation.ca().revoke_certificate(issuer, serial, reason=reason)
    members = {
        "serial": f"{made.serial:040x}",
        "issuer": made.issuer,
        "kind": made.kind,
        "status": made.status,
    }
    invocation.answer(Answer(outcome="revoked", members={**members, "reason": made.reason}))


def _certified(
    made: x509.Certificate, *, out: Path | None, next_step: str, issuer: x509.Certificate | None = None
) -> Answer:
    pem = made.public_bytes(Encoding.PEM)
    if out is not None:
        write_file(out, pem)
    members = {
        "subject": made.subject.rfc4514_string(),
        "serial": f"{made.serial_number:040x}",
        "not_after": f"{made.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "spki_sha256": spki_sha256(made),
        "issuer_sha256": None if issuer is None else certificate_sha256(issuer),
        "file": None if out is None else str(out),
    }
    return Answer(
        outcome="certified",
        members=members,
        pem={} if out else {"certificate": pem.decode()},
        next_step=next_step,
    )


def _issuer_of(made: x509.Certificate, *, anchors: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """The one of the anchors that issued it, by name: a hint for people, nothing is decided by it."""
    return next((each for each in anchors if each.subject == made.issuer), None)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
