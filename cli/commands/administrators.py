"""`pva administrator`: who administers a service; two of them add one, one removes one."""

from pathlib import Path
from typing import Any

import click

from cli.answers import Answer
from cli.commands.naming import Sha256
from cli.failures import refused
from cli.files import file_in, read_certificate, read_certificates
from cli.invocation import Invocation, Section, pass_invocation
from clients.administrators import AdministratorEntry
from standards.pki.fingerprints import certificate_sha256, spki_sha256
from standards.pki.paths import is_issued_by

_service = click.argument("service", metavar="ca|pva|URL")
_digest = click.argument("digest", type=Sha256())


@click.group(cls=Section)
def administrator() -> None:
    """Administrators of a service, beside its file of principals.

    SERVICE is ca or pva (by the settings), or the https URL of an operator listener.
    """


@administrator.command("list")
@_service
@pass_invocation
def list_all(invocation: Invocation, *, service: str) -> None:
    """List those in force, those who wait for a second administrator, and those who were removed."""
    rows = [_row(each) for each in invocation.administrators(service).administrators()]
    waits = sum(row["state"] == "waiting" for row in rows)
    step = f"compare the key, then: pva administrator approve {service} DIGEST" if waits else ""
    invocation.answer(Answer(outcome=f"{waits} waiting", members={"administrators": rows}, next_step=step))


@administrator.command("add")
@_service
@click.argument("name")
@click.option(
    "--certificate", type=file_in, required=True, help="His TLS client certificate (PEM), under tls_root."
)
@pass_invocation
def add(invocation: Invocation, *, service: str, name: str, certificate: Path) -> None:
    """Propose that the key of a certificate be an administrator's, or approve the same proposal (admin).

    NAME is his name at every service. He is one when another administrator has approved it within 24 hours.
    """
    leaf = read_certificate(certificate)
    anchors = read_certificates(invocation.settings().tls_root)
    issuer = next((each for each in anchors if is_issued_by(leaf, each)), None)
    if issuer is None:
        raise refused(
            "issuer-unknown",
            subject=str(certificate),
            reason="none of the certificates of tls_root issued it",
            remedy="give a client certificate of this installation's TLS root",
        )
    client = invocation.administrators(service)
    made = client.propose(name, issuer_sha256=certificate_sha256(issuer), spki_sha256=spki_sha256(leaf))
    invocation.answer(_agreed(made, service=service))


@administrator.command("approve")
@_service
@_digest
@pass_invocation
def approve(invocation: Invocation, *, service: str, digest: str) -> None:
    """Approve whom another administrator proposed, by the digest; both within 24 hours, each with a key of his own."""
    made = invocation.administrators(service).approve(digest)
    invocation.answer(_agreed(made, service=service))


@administrator.command("withdraw")
@_service
@_digest
@pass_invocation
def withdraw(invocation: Invocation, *, service: str, digest: str) -> None:
    """Take back a proposal that waits, one's own or another's (admin)."""
    invocation.administrators(service).withdraw(digest)
    invocation.answer(Answer(outcome="withdrawn", members={"digest": digest}))


@administrator.command("remove")
@_service
@click.argument("key", type=Sha256(), metavar="KEY_SHA256")
@click.option("--reason", required=True, help="Why, for the audit log.")
@pass_invocation
def remove(invocation: Invocation, *, service: str, key: str, reason: str) -> None:
    """Remove an administrator by the digest of his key, at once (admin); two are left at least."""
    made = invocation.administrators(service).remove(key, reason=reason)
    step = "where his key was taken: pva certificate revoke, which ends it at every service"
    invocation.answer(Answer(outcome="removed", members=_row(made), next_step=step))


def _agreed(made: AdministratorEntry, *, service: str) -> Answer:
    waits = made.state == "waiting"
    step = f"another administrator: pva administrator approve {service} {made.digest}" if waits else ""
    return Answer(outcome="waiting" if waits else "added", members=_row(made), next_step=step)


def _row(entry: AdministratorEntry) -> dict[str, Any]:
    """One of them as a row of a table."""
    return {
        "name": entry.name,
        "state": entry.state,
        "key_sha256": entry.spki_sha256,
        "approved_by": ", ".join(each.by for each in entry.approvals) or entry.added_by,
        "since": entry.since,
        "removed_by": entry.removed_by,
        "reason": entry.reason,
        "digest": entry.digest,
    }
