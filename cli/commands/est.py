"""`pva est`: keys of services and people that renew their certificates themselves (RFC 7030)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from cli.answers import Answer
from cli.commands.naming import Sha256
from cli.files import file_in, read_csr
from cli.invocation import Invocation, Section, pass_invocation
from standards.pki.fingerprints import spki_sha256


@click.group(cls=Section)
def est() -> None:
    """Certificates over EST: which keys wait for approval, and what each key gets."""


@est.command("list")
@pass_invocation
def list_all(invocation: Invocation) -> None:
    """List the keys that asked or were registered, and what waits for a second administrator (admin)."""
    rows = [_known(each) for each in invocation.ca().est_enrollments()]
    waiting = [key_members(each) for each in invocation.ca_keys().waiting()]
    step = "compare the key with its holder, then: pva est approve DIGEST" if waiting else ""
    members = {"enrollments": rows, "waiting": waiting}
    invocation.answer(Answer(outcome=f"{len(rows)} keys", members=members, next_step=step))


@est.command("register")
@click.argument("name")
@click.option("--label", required=True, help="Kind of certificate: tls-client, tls-server, challenge ...")
@click.option("--csr", type=file_in, help="A request with the key (PEM); its digest is registered.")
@click.option("--key-sha256", help="The key's digest (SPKI, SHA-256), in place of a request.")
@click.option("--role", default="", help="Of an operator's service: its role.")
@click.option("--dns", multiple=True, help="Of a server: a DNS name; repeat it.")
@click.option("--ip", multiple=True, help="Of a server: an IP address; repeat it.")
@pass_invocation
def register(
    invocation: Invocation,
    /,
    *,
    name: str,
    csr: Path | None,
    key_sha256: str | None,
    dns: Sequence[str],
    ip: Sequence[str],
    **registration: str,
) -> None:
    """Register a key before it asks, or approve one that waits (admin).

    NAME is the holder of a TLS certificate, or the id of a service. What signs results, approvals of states or trust lists
    is registered when another administrator has approved it, too.
    """
    if (csr is None) == (key_sha256 is None):
        raise click.UsageError("give either --csr or --key-sha256")
    digest = key_sha256 if csr is None else spki_sha256(read_csr(csr))
    body = {**registration, "name": name, "spki_sha256": digest, "dns": list(dns), "ip": list(ip)}
    invocation.answer(_registered(invocation.ca().register_est_key(body)))


@est.command("approve")
@click.argument("digest", type=Sha256())
@pass_invocation
def approve(invocation: Invocation, *, digest: str) -> None:
    """Approve the registration of a key that signs results, approvals of states or trust lists (admin).

    DIGEST is over the key, its purpose, role and id; both administrators within 24 hours, each with a key of his own.
    """
    invocation.answer(_registered(invocation.ca_keys().approve(digest)))


@est.command("withdraw")
@click.argument("digest", type=Sha256())
@pass_invocation
def withdraw(invocation: Invocation, *, digest: str) -> None:
    """Take back a registration that waits, one's own or another's (admin)."""
    invocation.ca_keys().withdraw(digest)
    invocation.answer(Answer(outcome="withdrawn", members={"digest": digest}))


def key_waits(made: Mapping[str, Any]) -> Answer:
    """The answer where another administrator has to approve."""
    step = f"another administrator: pva est approve {made['digest']}"
    return Answer(outcome="waiting", members=key_members(made), next_step=step)


def key_members(made: Mapping[str, Any]) -> dict[str, Any]:
    """A registration that takes two administrators, as members of an answer."""
    known = {name: made[name] for name in ("label", "role", "name", "spki_sha256", "digest")}
    return {**known, "approved_by": ", ".join(each["by"] for each in made["approvals"] or ())}


def _registered(made: Mapping[str, Any]) -> Answer:
    if made["state"] == "waiting":
        return key_waits(made)
    step = "its holder asks for it over EST, or: pva certificate operator" if made["digest"] else ""
    return Answer(outcome="registered", members=_known(made), next_step=step)


def _known(made: Mapping[str, Any]) -> dict[str, Any]:
    of_two = ("digest", "approvals")
    members = {name: value for name, value in made.items() if name not in of_two}
    return {**members, "since": made["since"].isoformat()}
