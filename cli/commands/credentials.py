"""`pva credential`: platform credentials (PfC), their status and their end."""

from dataclasses import replace
from typing import Any

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


@credential.command("release")
@_serial
@_issuer
@pass_invocation
def release(invocation: Invocation, *, serial: int, issuer: str) -> None:
    """Lift the hold of a platform credential whose device has recovered (its supplier).

    The PVA must have seen the recovery: a validation for the purpose recovery that found nothing but the hold.
    """
    made = invocation.ca().release_platform_credential(issuer, serial)
    step = "ask for a validation: what came before the recovery counts no more"
    invocation.answer(replace(_described(made, outcome="released"), next_step=step))


@credential.command("lift")
@_serial
@_issuer
@pass_invocation
def lift(invocation: Invocation, *, serial: int, issuer: str) -> None:
    """Approve that the hold which a person put on a platform credential is lifted (admin).

    Two administrators must, within a day; neither may have had the other's certificate issued.
    """
    made = invocation.ca().lift_hold(issuer, serial)
    lifted = made.credential.reason is None
    told = _described(made.credential, outcome="lifted" if lifted else "waits for another administrator")
    step = "" if lifted else "have another administrator do the same within 24 hours"
    invocation.answer(
        replace(told, members={**told.members, "approvals": list(made.approvals)}, next_step=step)
    )


def _described(found: IssuedCredential, *, outcome: str) -> Answer:
    revoked_at = None if found.revoked_at is None else f"{found.revoked_at:%Y-%m-%dT%H:%M:%SZ}"
    members: dict[str, Any] = {
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
    if found.hold is not None:
        members["hold"] = {
            "results": list(found.hold.results),
            "asked_by": found.hold.asked_by,
            "held_at": f"{found.hold.held_at:%Y-%m-%dT%H:%M:%SZ}",
            "recovery": found.hold.recovery,
        }
    pem = {"certificate": found.certificate.public_bytes(Encoding.PEM).decode()}
    return Answer(outcome=outcome, members=members, pem=pem)
