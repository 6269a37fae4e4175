"""`pva manifest`: what administrators decide about manifests, and what they look at before they do.

Rule: a decision names the digest of the signed form, so that what two people approve is one and the same file; `check` and
`diff` change nothing.
"""

from pathlib import Path
from typing import Any, Final

import click

from cli.answers import Answer
from cli.commands.manifests import entry_members
from cli.failures import refused
from cli.files import file_in, read_file
from cli.invocation import Command, Invocation, pass_invocation
from clients.pva import ManifestEntry
from standards.rats.corim import MANIFEST_BYTES_MAX, Manifest, read_unverified
from standards.rats.errors import RatsError
from standards.rats.manifest_difference import differences

_WAITING: Final = "waiting"


@click.command("check", cls=Command)
@click.argument("path", type=file_in, metavar="FILE")
@pass_invocation
def check(invocation: Invocation, *, path: Path) -> None:
    """Have the PVA check a signed manifest as `import` would; nothing is stored."""
    checked = invocation.pva().check_manifest(read_file(path, bytes_max=MANIFEST_BYTES_MAX))
    step = f"pva manifest import {path}"
    invocation.answer(Answer(outcome="acceptable", members=entry_members(checked), next_step=step))


@click.command("waiting", cls=Command)
@pass_invocation
def waiting(invocation: Invocation) -> None:
    """List the manifests that wait for administrators' approvals; nobody is judged by them yet."""
    found = [each for each in invocation.pva().manifests() if each.standing == _WAITING]
    rows = [
        {
            "id": each.id,
            "supplier": each.supplier,
            "svn": each.svn,
            "digest": each.digest,
            "approved_by": ", ".join(each.approvals) or "nobody",
        }
        for each in found
    ]
    step = "pva manifest approve DIGEST" if rows else ""
    invocation.answer(Answer(outcome=f"{len(rows)} waiting", members={"manifests": rows}, next_step=step))


@click.command("approve", cls=Command)
@click.argument("digest")
@pass_invocation
def approve(invocation: Invocation, *, digest: str) -> None:
    """Approve a manifest by its digest; it counts once another administrator has approved the same one, too.

    Both approve within 24 hours, each with a certificate and key of his own.
    """
    _answer_decision(invocation, invocation.pva().approve_manifest(digest))


@click.command("retire", cls=Command)
@click.argument("digest")
@click.option("--reason", required=True, help="Why; it stands in the audit record.")
@pass_invocation
def retire(invocation: Invocation, *, digest: str, reason: str) -> None:
    """Withdraw a manifest: no device is affirmed by it from now on, and nothing brings it back."""
    _answer_decision(invocation, invocation.pva().retire_manifest(digest, reason=reason))


@click.command("diff", cls=Command)
@click.argument("old")
@click.argument("new")
@pass_invocation
def diff(invocation: Invocation, *, old: str, new: str) -> None:
    """Show what differs between two signed manifests, each a file or the digest of one that the PVA has.

    Signatures are not checked here: pva manifest verify does that for a file, the PVA for what it has.
    """
    found = differences(_manifest(invocation, old), _manifest(invocation, new))
    rows = [
        {"kind": each.kind, "name": each.name, "old": each.old or "-", "new": each.new or "-"}
        for each in found
    ]
    count = f"{len(rows)} difference{'s' if len(rows) != 1 else ''}"
    invocation.answer(Answer(outcome=count, members={"differences": rows}))


COMMANDS: Final = (check, waiting, approve, retire, diff)


def _answer_decision(invocation: Invocation, entry: ManifestEntry) -> None:
    step = "another administrator: pva manifest approve " + entry.digest if entry.standing == _WAITING else ""
    members: dict[str, Any] = {**entry_members(entry), "approved_by": list(entry.approvals)}
    invocation.answer(Answer(outcome=entry.standing, members=members, next_step=step))


def _manifest(invocation: Invocation, name: str) -> Manifest:
    path = Path(name)
    local = path.exists()
    data = read_file(path, bytes_max=MANIFEST_BYTES_MAX) if local else invocation.pva().signed_manifest(name)
    try:
        return read_unverified(data)
    except RatsError as error:
        remedy = "name a signed manifest (a file), or the digest of one that the PVA has"
        raise refused("manifest", subject=name, reason=str(error), remedy=remedy) from None
