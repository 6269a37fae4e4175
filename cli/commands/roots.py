"""`pva root`: the roots of a CA, and their next keys."""

from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cli.answers import Answer
from cli.files import out_option, write_file
from cli.invocation import Invocation, Section, algorithm_option, pass_invocation
from clients.ca import Root
from standards.pki.fingerprints import certificate_sha256


@click.group(cls=Section)
def root() -> None:
    """Roots: suppliers' (ES), the operators' and the TLS root, with every generation of their keys."""


@root.command("list")
@pass_invocation
def list_all(invocation: Invocation) -> None:
    """List the roots, oldest key first."""
    rows = [_row(each) for each in invocation.ca().roots()]
    invocation.answer(Answer(outcome=f"{len(rows)} roots", members={"roots": rows}))


@root.command("rollover")
@click.argument("ca_id")
@algorithm_option
@out_option("Write the new root (PEM) to this file.")
@out_option("Write the new key, certified by the old one (PEM), to this file.", "--new-with-old")
@out_option("Write the old key, certified by the new one (PEM), to this file.", "--old-with-new")
@pass_invocation
def rollover(
    invocation: Invocation,
    *,
    ca_id: str,
    algorithm: str,
    out: Path | None,
    new_with_old: Path | None,
    old_with_new: Path | None,
) -> None:
    """Give an ES root that the CA hosts, or the operators' root, its next key (admin).

    Certificates of the old key stay as they are. Whoever holds one of the two roots accepts what the other signed
    when the right one of the two cross-certificates is sent along.
    """
    before, after = invocation.ca().roll_root(ca_id, algorithm=algorithm)
    for path, certificate in (
        (out, after.certificate),
        (new_with_old, after.by_predecessor),
        (old_with_new, before.by_successor),
    ):
        if path is not None and certificate is not None:
            write_file(path, certificate.public_bytes(Encoding.PEM))
    members = {"before": before.ca_id, **_row(after)}
    pem = {"certificate": _pem(after.certificate)}
    step = "append the cross-certificate to the certificate files of whoever is certified from now on"
    invocation.answer(Answer(outcome="rolled over", members=members, pem=pem, next_step=step))


def _row(found: Root) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "supplier": found.supplier,
        "state": found.state,
        "hosted": found.hosted,
        "ca_id": found.ca_id,
        "sha256": certificate_sha256(found.certificate),
    }


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()
