"""`pva issuing-ca`: the CA of a product line, below its supplier's ES root."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cli.answers import Answer
from cli.failures import refused
from cli.files import file_in, out_option, read_certificate, write_file
from cli.invocation import Invocation, Section, algorithm_option, pass_invocation
from clients.ca import IssuingCa
from standards.pki.fingerprints import certificate_sha256


@click.group(cls=Section)
def issuing_ca() -> None:
    """Issuing CAs: one a product line, below its supplier's ES root."""


@issuing_ca.command("create")
@click.argument("supplier")
@click.option("--name", required=True, help="Name of the product line.")
@click.option("--model", "models", multiple=True, required=True, help="A model of the line; repeat it.")
@click.option(
    "--tre-level",
    type=click.IntRange(1, 3),
    required=True,
    help="Security level of the TRE that its devices have; it stands in every platform credential.",
)
@algorithm_option
@pass_invocation
def create(
    invocation: Invocation,
    *,
    supplier: str,
    name: str,
    models: Sequence[str],
    tre_level: int,
    algorithm: str,
) -> None:
    """Make the issuing CA of a product line (admin).

    Below an imported root it is pending, and has a CSR for the supplier to sign.
    """
    made = invocation.ca().create_issuing_ca(
        supplier, name=name, models=list(models), tre_level=tre_level, algorithm=algorithm
    )
    invocation.answer(_described(made, outcome="created"))


@issuing_ca.command("complete")
@click.argument("ca_id")
@click.option("--certificate", type=file_in, required=True, help="What the supplier's root signed (PEM).")
@pass_invocation
def complete(invocation: Invocation, *, ca_id: str, certificate: Path) -> None:
    """Hand in the certificate of a pending issuing CA (admin)."""
    made = invocation.ca().complete_issuing_ca(ca_id, read_certificate(certificate))
    invocation.answer(_described(made, outcome="completed"))


@issuing_ca.command("divide")
@click.argument("ca_id")
@click.option("--lists", type=click.IntRange(2, 256), required=True, help="Number of CRLs; it never shrinks.")
@pass_invocation
def divide(invocation: Invocation, *, ca_id: str, lists: int) -> None:
    """Spread the certificates that an issuing CA signs from now on over several CRLs (admin)."""
    invocation.answer(_described(invocation.ca().divide_crl(ca_id, count=lists), outcome="divided"))


@issuing_ca.command("rollover")
@click.argument("ca_id")
@algorithm_option
@pass_invocation
def rollover(invocation: Invocation, *, ca_id: str, algorithm: str) -> None:
    """Give an issuing CA below a root that the CA hosts its next key; its models move to it (admin)."""
    made = invocation.ca().roll_issuing_ca(ca_id, algorithm=algorithm)
    invocation.answer(_described(made, outcome="rolled over"))


@issuing_ca.command("list")
@pass_invocation
def list_all(invocation: Invocation) -> None:
    """List the issuing CAs; a supplier sees his own."""
    found = invocation.ca().issuing_cas()
    rows = [
        {
            "supplier": each.supplier,
            "name": each.name,
            "models": list(each.models),
            "tre_level": each.tre_level,
            "state": each.state,
            "ca_id": each.ca_id,
        }
        for each in found
    ]
    outcome = f"{len(rows)} issuing CAs" if len(rows) != 1 else "1 issuing CA"
    invocation.answer(Answer(outcome=outcome, members={"issuing_cas": rows}))


@issuing_ca.command("show")
@click.argument("ca_id")
@out_option("Write the CSR of a pending one (PEM) to this file.", "--csr-out")
@out_option("Write its certificate (PEM) to this file.", "--certificate-out")
@pass_invocation
def show(invocation: Invocation, *, ca_id: str, csr_out: Path | None, certificate_out: Path | None) -> None:
    """Show an issuing CA, with its certificate, or its CSR while it is pending."""
    found = next((each for each in invocation.ca().issuing_cas() if each.ca_id == ca_id), None)
    if found is None:
        raise refused(
            "no-such-ca",
            subject=ca_id,
            reason="there is no issuing CA of this id, or it belongs to another supplier",
            remedy="pva issuing-ca list shows their ids",
        )
    _write(csr_out, found.csr, subject=ca_id, what="CSR: it is complete")
    _write(certificate_out, found.certificate, subject=ca_id, what="certificate: it is pending")
    invocation.answer(_described(found, outcome="found"))


def _write(
    path: Path | None,
    thing: x509.Certificate | x509.CertificateSigningRequest | None,
    *,
    subject: str,
    what: str,
) -> None:
    if path is None:
        return
    if thing is None:
        raise refused(
            "nothing-to-write", subject=subject, reason=f"it has no {what}", remedy="leave the option away"
        )
    write_file(path, thing.public_bytes(Encoding.PEM))


def _described(found: IssuingCa, *, outcome: str) -> Answer:
    members: dict[str, Any] = {
        "ca_id": found.ca_id,
        "supplier": found.supplier,
        "name": found.name,
        "models": list(found.models),
        "hw_types": [f"{name}={hw_type}" for name, hw_type in found.hw_types.items()],
        "tre_level": found.tre_level,
        "state": found.state,
        "sha256": None if found.certificate is None else certificate_sha256(found.certificate),
        "crls": found.crl_partitions,
        "crl_url": found.crl_url,
        "ocsp_url": found.ocsp_url,
    }
    if found.certificate is None:
        pem = {} if found.csr is None else {"csr": found.csr.public_bytes(Encoding.PEM).decode()}
        step = f"the supplier's root signs the CSR, then: pva issuing-ca complete {found.ca_id} --certificate FILE"
        return Answer(outcome=outcome, members=members, pem=pem, next_step=step)
    pem = {"certificate": found.certificate.public_bytes(Encoding.PEM).decode()}
    step = (
        f"pva supplier recognise {shlex.quote(found.supplier)} --root FILE "
        + " ".join(f"--model {shlex.quote(each)}" for each in found.models)
        + f" --ocsp-url {found.ocsp_url}"
    )
    return Answer(
        outcome=outcome,
        members=members,
        pem=pem,
        next_step=step if outcome in {"created", "completed"} else "",
    )
