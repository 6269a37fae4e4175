"""`pva est`: keys of services and people that renew their certificates themselves (RFC 7030)."""

from collections.abc import Sequence
from pathlib import Path

import click

from cli.answers import Answer
from cli.files import file_in, read_csr
from cli.invocation import Invocation, Section, pass_invocation
from standards.pki.fingerprints import spki_sha256


@click.group(cls=Section)
def est() -> None:
    """Certificates over EST: which keys wait for approval, and what each key gets."""


@est.command("list")
@pass_invocation
def list_all(invocation: Invocation) -> None:
    """List the keys that asked or were registered (admin)."""
    rows = [{**each, "since": each["since"].isoformat()} for each in invocation.ca().est_enrollments()]
    invocation.answer(Answer(outcome=f"{len(rows)} keys", members={"enrollments": rows}))


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

    NAME is the holder of a TLS certificate, or the id of a service.
    """
    if (csr is None) == (key_sha256 is None):
        raise click.UsageError("give either --csr or --key-sha256")
    digest = key_sha256 if csr is None else spki_sha256(read_csr(csr))
    body = {**registration, "name": name, "spki_sha256": digest, "dns": list(dns), "ip": list(ip)}
    made = invocation.ca().register_est_key(body)
    made["since"] = made["since"].isoformat()
    invocation.answer(Answer(outcome="registered", members=made))
