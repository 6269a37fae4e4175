"""`pva supplier`: suspending a supplier, a model or a batch, and lifting that.

Rule: a suspension is at the CA, which holds every platform credential in it, and at the PVA, which refuses supplier or model
whatever a responder says; each is lifted by its own id, by two administrators.
"""

from typing import Any, Final

import click

from cli.agreements import agreed, suspension_row, suspension_rows
from cli.answers import Answer
from cli.failures import refused
from cli.invocation import Command, Invocation, pass_invocation
from clients.suspensions import SuspensionEntry


@click.command("suspend", cls=Command)
@click.argument("name")
@click.option("--model", help="Only this model of the supplier.")
@click.option("--batch", help="Only this batch of the supplier; the PVA hears of it from the CA's responder.")
@click.option("--reason", required=True, help="Why; it is shown with every refusal.")
@pass_invocation
def suspend(invocation: Invocation, *, name: str, model: str | None, batch: str | None, reason: str) -> None:
    """Suspend a supplier, or one of its models or batches, at once (admin; the CA's part: the supplier its own).

    Where the CA has the supplier, responders answer certificateHold for every credential in it; where the PVA recognises it,
    the next validation refuses supplier or model. Lifting takes two administrators: pva supplier lift ID.
    """
    if model is not None and batch is not None:
        raise click.UsageError("expected --model or --batch, or neither")
    rows = []
    if any(each.supplier == name for each in invocation.ca().es_roots()):
        made = invocation.ca_suspensions().suspend(name, model=model, batch=batch, reason=reason)
        rows.append(suspension_row("CA", made))
    recognised = any(each.supplier == name for each in invocation.pva_suppliers().suppliers())
    if batch is None and recognised and invocation.settings().pva_url is not None:
        rows.append(suspension_row("PVA", _at_pva(invocation, name, model=model, reason=reason)))
    if not rows:
        raise refused(
            "no-such-supplier",
            subject=name,
            reason="neither the CA has it, nor does the PVA recognise it, for this scope",
            remedy="pva supplier list shows all",
        )
    step = "two administrators lift each by its id: pva supplier lift ID"
    invocation.answer(Answer(outcome="suspended", members={"suspensions": rows}, next_step=step))


@click.command("suspensions", cls=Command)
@pass_invocation
def suspensions(invocation: Invocation) -> None:
    """List what is suspended now, at the CA and at the PVA."""
    rows = suspension_rows(invocation, supplier=None)
    invocation.answer(Answer(outcome=f"{len(rows)} suspended", members={"suspensions": rows}))


@click.command("lift", cls=Command)
@click.argument("suspension_id", metavar="ID")
@pass_invocation
def lift(invocation: Invocation, *, suspension_id: str) -> None:
    """Approve that a suspension be lifted; it is, once another administrator has approved the same id within 24 hours."""
    if any(each.id == suspension_id for each in invocation.ca_suspensions().suspensions()):
        made = invocation.ca_suspensions().lift(suspension_id)
        waits = made.lifted_at is None
        members: dict[str, Any] = suspension_row("CA", made)
        step = f"another administrator: pva supplier lift {suspension_id}" if waits else ""
        invocation.answer(Answer(outcome="waiting" if waits else "lifted", members=members, next_step=step))
    invocation.answer(agreed(invocation.pva_suppliers().lift(suspension_id), done="lifted"))


COMMANDS: Final = (suspend, suspensions, lift)


def _at_pva(invocation: Invocation, name: str, *, model: str | None, reason: str) -> SuspensionEntry:
    return invocation.pva_suppliers().suspend(name, model=model, reason=reason, key=invocation.new_key())
