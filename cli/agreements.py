"""How the commands tell of what administrators agree on, and of what is suspended where."""

from typing import Any

from cli.answers import Answer
from cli.invocation import Invocation
from clients.pva_suppliers import ProposalEntry
from clients.suspensions import SuspensionEntry


def agreed(made: ProposalEntry, *, done: str, next_step: str = "") -> Answer:
    """The answer to a proposal: `done` where it was carried out, else "waiting", with what has to come."""
    waits = made.done_at is None
    return Answer(
        outcome="waiting" if waits else done,
        members=proposal_members(made),
        next_step=f"another administrator: pva proposal approve {made.digest}" if waits else next_step,
    )


def proposal_members(made: ProposalEntry) -> dict[str, Any]:
    """A proposal as members of an answer."""
    return {
        "kind": made.kind,
        "subject": made.subject,
        "digest": made.digest,
        "approved_by": list(made.approvals),
        "done_at": made.done_at,
    }


def suspension_rows(
    invocation: Invocation, *, supplier: str | None, at_pva: bool = True
) -> list[dict[str, Any]]:
    """What is suspended now, at the CA and at the PVA; of one supplier or of all."""
    found = [("CA", each) for each in invocation.ca_suspensions().suspensions()]
    if at_pva:
        found += [("PVA", each) for each in invocation.pva_suppliers().suspensions()]
    return [
        suspension_row(place, each)
        for place, each in found
        if each.lifted_at is None and supplier in (None, each.supplier)
    ]


def suspension_row(place: str, entry: SuspensionEntry) -> dict[str, Any]:
    """A suspension as a row of a table."""
    part = f"model {entry.model}" if entry.model else f"batch {entry.batch}" if entry.batch else "all"
    return {
        "at": place,
        "supplier": entry.supplier,
        "part": part,
        "since": entry.suspended_at,
        "reason": entry.reason,
        "by": entry.suspended_by,
        "lifting_approved_by": ", ".join(entry.approvals) or "nobody",
        "id": entry.id,
    }
