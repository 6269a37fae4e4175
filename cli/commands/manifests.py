"""`pva manifest`: reference manifests (signed CoRIM), from a supplier's description to CA and PVA."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from cli.answers import Answer
from cli.failures import REPORTED, CliError, Failure, explain, refused
from cli.files import Signer, file_in, out_option, read_certificates, read_file, signer_options, write_file
from cli.invocation import Invocation, Section, pass_invocation
from cli.manifest_description import BOOT_LOG_BYTES_MAX, ManifestDescription, manifest_of
from clients.pva import ManifestEntry
from edge.settings import load_settings
from standards.boot_log.algorithms import BANKS
from standards.boot_log.errors import BootLogError
from standards.pki.errors import PkiError
from standards.rats.corim import (
    MANIFEST_BYTES_MAX,
    Manifest,
    VerifiedManifest,
    sign_manifest,
    verify_manifest,
)
from standards.rats.errors import RatsError

SERVICES: Final = ("ca", "pva")
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


@click.group(cls=Section)
def manifest() -> None:
    """Reference manifests: what an approved device measures, signed by its supplier."""


@manifest.command("sign")
@click.argument("path", type=file_in, metavar="DESCRIPTION")
@signer_options
@out_option("Write the signed manifest to this file.", required=True)
@pass_invocation
def sign(invocation: Invocation, *, path: Path, signer: Signer, out: Path) -> None:
    """Sign a manifest with the supplier's own key; nothing is sent.

    DESCRIPTION is TOML: id, supplier, models, svn, version, and a good boot's log or the values themselves; an update
    names the signed manifest that it follows.
    """
    description = load_settings(ManifestDescription, path=path, environ={})
    source = description.boot_log
    try:
        log = None if source is None else read_file(source.file, bytes_max=BOOT_LOG_BYTES_MAX)
        before = _predecessor(description)
        made = manifest_of(description, boot_log=log, predecessor=before)
        signed = sign_manifest(made, key=signer.key, chain=signer.chain)
    except (BootLogError, RatsError, PkiError) as error:
        remedy = "correct the description, its boot log, or the pair of --key and --certificate; nothing was signed"
        raise refused("manifest", subject=str(path), reason=str(error), remedy=remedy) from None
    write_file(out, signed)
    members = {**_summary(made), "file": str(out)}
    step = f"read what you signed: pva manifest verify {out} --root FILE; then: pva manifest import {out}"
    invocation.answer(Answer(outcome="signed", members=members, next_step=step))


@manifest.command("verify")
@click.argument("path", type=file_in, metavar="FILE")
@click.option("--root", type=file_in, required=True, help="The supplier's ES root (PEM).")
@pass_invocation
def verify(invocation: Invocation, *, path: Path, root: Path) -> None:
    """Verify a signed manifest under its supplier's root, and print all that it says. Needs no network."""
    data = read_file(path, bytes_max=MANIFEST_BYTES_MAX)
    try:
        verified = verify_manifest(data, anchors=read_certificates(root), at=invocation.clock())
    except (RatsError, PkiError) as error:
        remedy = "check the root; if it is the right one, ask the supplier for the manifest again"
        raise refused("manifest-not-genuine", subject=str(path), reason=str(error), remedy=remedy) from None
    invocation.answer(Answer(outcome="genuine", members=_contents(verified)))


@manifest.command("import")
@click.argument("path", type=file_in, metavar="FILE")
@click.option(
    "--to",
    "services",
    type=click.Choice(SERVICES),
    multiple=True,
    default=SERVICES,
    show_default=True,
    help="Where to; the CA takes it from its supplier only, the PVA from an administrator, too.",
)
@pass_invocation
def import_manifest(invocation: Invocation, *, path: Path, services: Sequence[str]) -> None:
    """Hand a signed manifest to the CA (new credentials name it) and the PVA (which appraises with it)."""
    data = read_file(path, bytes_max=MANIFEST_BYTES_MAX)
    steps: dict[str, Callable[[], dict[str, Any]]] = {
        "ca": lambda: _at_ca(invocation, data),
        "pva": lambda: entry_members(invocation.pva().import_manifest(data, key=invocation.new_key())),
    }
    members: dict[str, Any] = {}
    taken: list[str] = []
    for service in SERVICES:
        if service in services:
            try:
                members |= steps[service]()
            except REPORTED as error:
                raise _half_done(explain(error), path, service=service, taken=taken) from error
            taken.append(service)
    step = (
        "two administrators: pva manifest approve " + members["digest"]
        if "pva" in taken
        else f"for the PVA to appraise with it: pva manifest import {path} --to pva"
    )
    invocation.answer(Answer(outcome="imported", members={**members, "imported_by": taken}, next_step=step))


@manifest.command("list")
@pass_invocation
def list_all(invocation: Invocation) -> None:
    """List the manifests that the PVA has, and where they stand; a supplier sees his own."""
    found = invocation.pva().manifests()
    rows = [
        {name: value for name, value in entry_members(each).items() if name != "digest"} for each in found
    ]
    outcome = f"{len(rows)} manifests" if len(rows) != 1 else "1 manifest"
    invocation.answer(Answer(outcome=outcome, members={"manifests": rows}))


@manifest.command("show")
@click.argument("manifest_id")
@pass_invocation
def show(invocation: Invocation, *, manifest_id: str) -> None:
    """Show the PVA's record of a manifest; what it says: pva manifest verify."""
    found = [each for each in invocation.pva().manifests() if each.id == manifest_id]
    if not found:
        raise refused(
            "no-such-manifest",
            subject=manifest_id,
            reason="the PVA has no manifest of this id, or it belongs to another supplier",
            remedy="pva manifest list shows their ids; pva manifest import FILE adds one",
        )
    rows = [entry_members(each) for each in found]
    members = rows[0] if len(rows) == 1 else {"manifests": rows}
    invocation.answer(Answer(outcome="found", members=members))


def _predecessor(description: ManifestDescription) -> bytes | None:
    source = description.predecessor
    return None if source is None else read_file(source.file, bytes_max=MANIFEST_BYTES_MAX)


def _at_ca(invocation: Invocation, data: bytes) -> dict[str, Any]:
    made = invocation.ca().accept_manifest(data)
    return {"id": made.manifest, "svn": made.svn, "models": list(made.models), "digest": made.digest}


def _half_done(failure: Failure, path: Path, *, service: str, taken: Sequence[str]) -> CliError:
    if not taken:
        return CliError(failure)
    return CliError(
        Failure(
            code=failure.code,
            subject=failure.subject,
            reason=f"{failure.reason} (the CA has taken the manifest already, the PVA has not)",
            remedy=f"{failure.remedy}; then: pva manifest import {path} --to {service}",
            exit_code=failure.exit_code,
        )
    )


def entry_members(entry: ManifestEntry) -> dict[str, Any]:
    """The PVA's record of a manifest, as every command shows it."""
    return {
        "id": entry.id,
        "supplier": entry.supplier,
        "svn": entry.svn,
        "models": list(entry.models),
        "release": entry.release,
        "standing": entry.standing,
        "digest": entry.digest,
    }


def _summary(made: Manifest) -> dict[str, Any]:
    image = made.tre_image_digest
    return {
        "id": made.id,
        "supplier": made.supplier,
        "models": list(made.models),
        "svn": made.svn,
        "version": made.version,
        "release": made.release,
        "tre_image": "none: the scope tre will be a warning at best" if image is None else image.hex(),
        "line": made.line,
        "predecessor": None if made.predecessor is None else made.predecessor.digest.hex(),
        "predecessor_until": None if made.predecessor is None else f"{made.predecessor.until:{_TIME}}",
        "valid_from": None if made.valid_from is None else f"{made.valid_from:{_TIME}}",
        "valid_to": None if made.valid_to is None else f"{made.valid_to:{_TIME}}",
        "pcrs": sorted({pcr for values in made.platform.registers.values() for pcr in values}),
        "event_count": len(made.events),
    }


def _contents(verified: VerifiedManifest) -> dict[str, Any]:
    made = verified.manifest
    return {
        **_summary(made),
        "digest": verified.digest.hex(),
        "signer": verified.path[0].subject.rfc4514_string(),
        "registers": [
            {"bank": BANKS[bank].name, "pcr": pcr, "value": value.hex()}
            for bank, values in made.platform.registers.items()
            for pcr, value in sorted(values.items())
        ],
        "events": [
            {
                "pcr": each.pcr,
                "position": each.position,
                "scope": each.scope,
                "digests": [f"{BANKS[bank].name}:{value.hex()}" for bank, value in each.digest.items()],
                "name": each.name,
            }
            for each in sorted(made.events, key=lambda event: (event.pcr, event.position))
        ],
    }
