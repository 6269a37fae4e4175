"""`pva supplier`: equipment suppliers at the CA (their ES root) and at the PVA (their recognition)."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.serialization import Encoding

from cli.agreements import agreed, suspension_rows
from cli.answers import Answer
from cli.failures import refused
from cli.files import file_in, out_option, read_certificate, write_file
from cli.invocation import Invocation, Section, algorithm_option, pass_invocation
from clients.ca import EsRoot
from clients.pva_suppliers import SupplierEntry
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
@click.option("--ocsp-url", help="Where the status of its platform credentials is answered.")
@click.option(
    "--crl",
    "crls",
    multiple=True,
    help="In its place, for each issuing CA: FILE=URL, its certificate (PEM) and where its CRL lies; repeat it.",
)
@click.option("--tre-level-min", type=int, help="The least TRE level that counts.")
@pass_invocation
def recognise(
    invocation: Invocation,
    /,
    *,
    name: str,
    root: Path,
    models: Sequence[str],
    crls: Sequence[str],
    **more: Any,
) -> None:
    """Let the PVA trust a supplier's root for these models, and for no others (admin).

    It counts once another administrator has proposed the very same, or approved it (pva proposal approve). Again with other
    models or another address, it replaces those.
    """
    if (more["ocsp_url"] is None) == (not crls):
        raise click.UsageError("expected --ocsp-url, or --crl for each issuing CA")
    made = invocation.pva_suppliers().recognise(
        supplier=name,
        root_pem=_pem(root),
        models=_hw_types(invocation, name, models),
        ocsp_url=more["ocsp_url"],
        crls=tuple(_crl(each) for each in crls),
        tre_level_min=more["tre_level_min"],
    )
    done = "the supplier imports his manifests: pva manifest import FILE"
    invocation.answer(agreed(made, done="recognised", next_step=done))


def _pem(path: Path) -> str:
    return read_certificate(path).public_bytes(Encoding.PEM).decode()


def _crl(text: str) -> tuple[str, str]:
    file, equals, url = text.partition("=")
    if not equals:
        raise click.UsageError(f"--crl {text}: expected FILE=URL")
    return _pem(Path(file)), url


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
    recognised = {each.supplier: each for each in invocation.pva_suppliers().suppliers()}
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
    """Show a supplier: its root, who recognised it for what, its accreditation, and what of it is suspended.

    The root's certificate is the CA's, or that which the PVA recognises where the CA knows none.
    """
    root = next((each for each in invocation.ca().es_roots() if each.supplier == name), None)
    entry = next((each for each in invocation.pva_suppliers().suppliers() if each.supplier == name), None)
    if root is not None:
        certificate = root.certificate
    elif entry is not None:
        certificate = entry.listed.root
    else:
        raise refused(
            "no-such-supplier",
            subject=name,
            reason="neither CA nor PVA knows a supplier of this name",
            remedy="pva supplier list shows all; pva supplier open NAME opens one",
        )
    pem = certificate.public_bytes(Encoding.PEM)
    if out is not None:
        write_file(out, pem)
    members = {
        **(_root(root) if root is not None else {"supplier": name}),
        **_recognition(entry, at_ca=root),
        "suspensions": suspension_rows(invocation, supplier=name, at_pva=entry is not None),
        "file": None if out is None else str(out),
    }
    invocation.answer(
        Answer(outcome="found", members=members, pem={} if out else {"certificate": pem.decode()})
    )


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


def _recognition(entry: SupplierEntry | None, *, at_ca: EsRoot | None) -> dict[str, Any]:
    """What the PVA says of a supplier: nothing but that, where it does not recognise it."""
    at_root = None if at_ca is None else certificate_sha256(at_ca.certificate)
    standing = _standing(at_root, None if entry is None else entry.root_sha256)
    if entry is None:
        return {"recognised": standing}
    told, held = entry.listed, entry.listed.accreditation
    return {
        "recognised": standing,
        "recognised_by": entry.recognised_by,
        "recognised_at": entry.recognised_at,
        "trust_list": entry.source or None,
        "listed_until": entry.listed_until,
        "models": [f"{name}={hw_type}" for name, hw_type in told.models.items()],
        "tre_level_min": told.tre_level_min,
        "accreditation": None if held is None else f"{held.scheme}, certificate {held.certificate}",
        "accredited": None
        if held is None
        else f"{held.valid_from:%Y-%m-%dT%H:%M:%SZ} to {held.valid_to:%Y-%m-%dT%H:%M:%SZ}",
        "robustness": None
        if held is None or held.robustness is None
        else f"declared {held.robustness.declared_at:%Y-%m-%d}, SHA-256 {held.robustness.document_sha256.hex()}",
        "status_from": told.ocsp_url or "CRLs",
        "crls": [
            {"url": each.url, "state": each.state, "until": each.next_update, "fault": each.fault}
            for each in entry.crls
        ],
    }


def _row(name: str, root: EsRoot | None, entry: SupplierEntry | None) -> dict[str, Any]:
    at_ca = None if root is None else certificate_sha256(root.certificate)
    at_pva = None if entry is None else entry.root_sha256
    return {
        "supplier": name,
        "key_kept_by": None if root is None else ("CA" if root.hosted else "supplier"),
        "recognised": _standing(at_ca, at_pva),
        "models": [] if entry is None else list(entry.listed.models),
    }


def _standing(at_ca: str | None, at_pva: str | None) -> str:
    if at_pva is None:
        return "no"
    return "yes" if at_ca in (None, at_pva) else "another root"
