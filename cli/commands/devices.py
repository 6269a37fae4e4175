"""`pva device`: devices at the CA."""

import click

from cli.answers import Answer
from cli.commands.naming import Sha256
from cli.invocation import Invocation, Section, pass_invocation


@click.group(cls=Section)
def device() -> None:
    """Devices at the CA."""


@device.command("reopen")
@click.argument("device_id", type=Sha256())
@pass_invocation
def reopen(invocation: Invocation, *, device_id: str) -> None:
    """Let an enrolled device enrol once more, as after TPM2_Clear (its supplier)."""
    invocation.ca().reopen_device(device_id)
    step = "the device enrols again: m2me enroll; its old platform credential is superseded then"
    invocation.answer(Answer(outcome="reopened", members={"device_id": device_id}, next_step=step))
