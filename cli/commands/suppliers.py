"""`pva supplier`: equipment suppliers at the CA (their ES root) and at the PVA (their recognition)."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.serialization import Encoding

from cli.answers import Answer
from cli.failures import refused
from cli.files import file_in, out_option, read_certificate, write_file
from cli.invocation import Invocation, Section, algorithm_option, pass_invocation
from clients.ca import EsRoot
from clients.pva import SupplierEntry
from standards.pki.fingerprints import certificate_sha256


@click.group(cls=Section)
def supplier() -> None:
    """Equipment suppliers: their roots, and which of them the PVA recognises."""


@supplier.command("open")
@click.argument("name")
@out_option("Write the new root's certificate (PEM) to this file.")
@algorithm_option
@pass_invocation
def open_hosted(invocation: Invocation, *, name: str, algorithm: str, out: Path | None) -> None:
    """Open an ES root whose key the CA keeps (admin).

    NAME is the supplier's name, as batches and manifests will carry it.
    """
    root = invocation.ca().create_es_root(name, algorithm=algorithm)
    invocation.answer(_opened(root, outcome="opened", out=out))


@supplier.command("import")
@click.argument("name")
@click.option("--root", type=file_in, required=True, help="The supplier's own root certificate (PEM).")
@pass_invocation
def import_root(invocation: Invocation, *, name: str, root: Path) -> None:
    """Record the ES root whose key the supplier keeps (admin)."""
    made = invocation.ca().import_es_root(name, read_certificate(root))
    invocation.answer(_opened(made, outcome="imported", out=None))


@supplier.command("recognise")
@click.argument("name")
@click.option("--root", type=file_in, required=True, help="Its ES root (PEM); compare the fingerprint first.")
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    help="A model it may vouch for, as NAME, or as NAME=OID where this CA does not know its hwType; repeat it.",
)
@click.option("--ocsp-url", required=True, help="Where the status of its platform credentials is answered.")
@pass_invocation
def recognise(invocation: Invocation, *, name: str, root: Path, models: Sequence[str], ocsp_url: str) -> None:
    """Let the PVA trust a supplier's root for these models, and for no others (admin).

    Again with other models or another address, it replaces those.
    """
    root_pem = read_certificate(root).public_bytes(Encoding.PEM).decode()
    made = invocation.pva().recognise_supplier(
        supplier=name, root_pem=root_pem, models=_hw_types(invocation, name, models), ocsp_url=ocsp_url
    )
    invocation.answer(
        Answer(
            outcome="recognised",
            members=_recognition(made),
            next_step="the supplier imports his manifests: pva manifest import FILE",
        )
    )


def _hw_types(invocation: Invocation, supplier_name: str, models: Sequence[str]) -> dict[str, str]:
    """The hwType of each model: as given, or as this CA allotted it to a line of the supplier."""
    given = {name: oid for name, _, oid in (each.rpartition("=") for each in models) if name}
    named = [each for each in models if "=" not in each]
    if not named:
        return given
    lines = [each for each in invocation.ca().issuing_cas() if each.supplier == supplier_name]
    allotted = {model: hw_type for line in lines for model, hw_type in line.hw_types.items()}
    unknown = sorted(set(named) - set(allotted))
    if unknown:
        raise refused(
            "model-unknown",
            subject=f"model {unknown[0]!r} of {supplier_name}",
            reason="this CA has no issuing CA for it, so its hwType is not known here",
            remedy=f"ask the supplier for the hwType in its platform credentials: --model {unknown[0]}=OID",
        )
    return given | {model: allotted[model] for model in named}


@supplier.command("list")
@pass_invocation
def list_suppliers(invocation: Invocation) -> None:
    """List all suppliers that CA or PVA know."""
    roots = {each.supplier: each for each in invocation.ca().es_roots()}
    recognised = {each.supplier: each for each in invocation.pva().suppliers()}
    rows = [_row(name, roots.get(name), recognised.get(name)) for name in sorted({*roots, *recognised})]
    invocation.answer(
        Answer(
            outcome=f"{len(rows)} suppliers" if len(rows) != 1 else "1 supplier",
            members={"suppliers": rows},
            next_step="pva supplier show NAME has the fingerprint"
            if rows
            else "pva supplier open NAME, or pva supplier import NAME --root FILE",
        )
    )


@supplier.command("show")
@click.argument("name")
@out_option("Write the root's certificate (PEM) to this file.")
@pass_invocation
def show(invocation: Invocation, *, name: str, out: Path | None) -> None:
    """Show a supplier's root as the CA has it, with its fingerprint and certificate."""
    root = next((each for each in invocation.ca().es_roots() if each.supplier == name), None)
    if root is None:
        raise refused(
            "no-such-supplier",
            subject=name,
            reason="the CA knows no supplier of this name",
            remedy="pva supplier list shows all; pva supplier open NAME opens one",
        )
    pem = _write(root, out=out)
    members = {**_root(root), "file": None if out is None else str(out)}
    invocation.answer(Answer(outcome="found", members=members, pem={} if out else {"certificate": pem}))


def _opened(root: EsRoot, *, outcome: str, out: Path | None) -> Answer:
    pem = _write(root, out=out)
    return Answer(
        outcome=outcome,
        members={**_root(root), "file": None if out is None else str(out)},
        pem={} if out else {"certificate": pem},
        next_step=f"pva issuing-ca create {shlex.quote(root.supplier)} --name LINE --model MODEL --tre-level LEVEL",
    )


def _write(root: EsRoot, *, out: Path | None) -> str:
    pem = root.certificate.public_bytes(Encoding.PEM)
    if out is not None:
        write_file(out, pem)
    return pem.decode()


def _root(root: EsRoot) -> dict[str, Any]:
    return {
        "supplier": root.supplier,
        "key_kept_by": "CA" if root.hosted else "supplier",
        "ca_id": root.ca_id,
        "sha256": certificate_sha256(root.certificate),
        "not_after": f"{root.certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
    }


def _recognition(entry: SupplierEntry) -> dict[str, Any]:
    return {
        "supplier": entry.supplier,
        "sha256": entry.root_sha256,
        "models": dict(entry.models),
        "ocsp_url": entry.ocsp_url,
    }


def _row(name: str, root: EsRoot | None, entry: SupplierEntry | None) -> dict[str, Any]:
    at_ca = None if root is None else certificate_sha256(root.certificate)
    at_pva = None if entry is None else entry.root_sha256
    return {
        "supplier": name,
        "key_kept_by": None if root is None else ("CA" if root.hosted else "supplier"),
        "recognised": _standing(at_ca, at_pva),
        "models": [] if entry is None else list(entry.models),
    }


def _standing(at_ca: str | None, at_pva: str | None) -> str:
    if at_pva is None:
        return "no"
    return "yes" if at_ca in (None, at_pva) else "another root"
