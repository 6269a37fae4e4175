"""`pva proposal`: what one administrator of the PVA proposed, and another is to approve."""

from typing import Final

import click

from cli.agreements import agreed, proposal_members
from cli.answers import Answer
from cli.invocation import Invocation, Section, pass_invocation

_DONE: Final = {"recognition": "recognised", "trust-list": "imported", "lifting": "lifted"}


@click.group(cls=Section)
def proposal() -> None:
    """Recognitions, trust lists and liftings that wait for another administrator of the PVA."""


@proposal.command("list")
@pass_invocation
def list_proposals(invocation: Invocation) -> None:
    """List what waits for approvals; what waited for more than a day begins anew with the next one."""
    waiting = [each for each in invocation.pva_suppliers().proposals() if each.done_at is None]
    rows = [
        {**proposal_members(each), "approved_by": ", ".join(each.approvals) or "nobody"} for each in waiting
    ]
    step = "look at what it says, then: pva proposal approve DIGEST" if rows else ""
    invocation.answer(Answer(outcome=f"{len(rows)} waiting", members={"proposals": rows}, next_step=step))


@proposal.command("approve")
@click.argument("digest")
@pass_invocation
def approve(invocation: Invocation, *, digest: str) -> None:
    """Approve what another administrator proposed, by its digest; both within 24 hours, each with a key of his own."""
    made = invocation.pva_suppliers().approve(digest)
    invocation.answer(agreed(made, done=_DONE.get(made.kind, "done")))


@proposal.command("withdraw")
@click.argument("digest")
@pass_invocation
def withdraw(invocation: Invocation, *, digest: str) -> None:
    """Take back a proposal that waits, one's own or another's (admin)."""
    invocation.pva_suppliers().withdraw(digest)
    invocation.answer(Answer(outcome="withdrawn", members={"digest": digest}))
