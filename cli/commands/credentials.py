"""`pva credential`: platform credentials (PfC), their status and their end."""

import click
from cryptography.hazmat.primitives.serialization import Encoding

from cli.answers import Answer
from cli.commands.naming import REASONS, Issuer, Serial
from cli.invocation import Invocation, Section, pass_invocation
from clients.ca import IssuedCredential

_serial = click.argument("serial", type=Serial(), metavar="CREDENTIAL")
_issuer = click.option("--issuer", type=Issuer(), required=True, help="The issuing CA.")


@click.group(cls=Section)
def credential() -> None:
    """Platform credentials of devices.

    A credential is named by its PEM file or its serial number in hexadecimal; its issuing CA by PEM file or id
    (pva issuing-ca list).
    """


@credential.command("show")
@_serial
@_issuer
@pass_invocation
def show(invocation: Invocation, *, serial: int, issuer: str) -> None:
    """Show a platform credential and its status (admin, its supplier)."""
    found = invocation.ca().platform_credential(issuer, serial)
    invocation.answer(_described(found, outcome=found.status))


@credential.command("revoke")
@_serial
@_issuer
@click.option(
    "--reason", type=click.Choice(REASONS), required=True, help="It stands in the CRL for all to read."
)
@pass_invocation
def revoke(invocation: Invocation, *, serial: int, issuer: str, reason: str) -> None:
    """Revoke a platform credential (admin, its supplier)."""
    made = invocation.ca().revoke_platform_credential(issuer, serial, reason=reason)
    invocation.answer(_described(made, outcome="revoked"))


def _described(found: IssuedCredential, *, outcome: str) -> Answer:
    revoked_at = None if found.revoked_at is None else f"{found.revoked_at:%Y-%m-%dT%H:%M:%SZ}"
    members = {
        "serial": f"{found.serial:040x}",
        "issuer": found.issuer,
        "kind": found.kind,
        "device_id": found.device_id,
        "status": found.status,
        "reason": found.reason,
        "revoked_at": revoked_at,
        "not_after": f"{found.certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "version": found.version,
    }
    pem = {"certificate": found.certificate.public_bytes(Encoding.PEM).decode()}
    return Answer(outcome=outcome, members=members, pem=pem)
