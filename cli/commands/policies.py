"""`pva policy`: policies of operators and suppliers, from a file to being in force."""

from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from cli.answers import Answer
from cli.commands.naming import Sha256
from cli.failures import EXIT_FAILED, refused
from cli.files import file_in, read_file
from cli.invocation import Invocation, Section, pass_invocation
from clients.pva_policies import CheckedPolicy, PolicyEntry, PolicyTrial

POLICY_BYTES_MAX: Final = 16_384
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_DATE: Final = "%Y-%m-%d"


@click.group(cls=Section)
def policy() -> None:
    """Policies (Cedar) that deny more than the PVA's own: an SHO's for its requests, a supplier's for its devices."""


@policy.command("check")
@click.argument("path", type=file_in, metavar="FILE")
@pass_invocation
def check(invocation: Invocation, *, path: Path) -> None:
    """Read a policy and say what is wrong with it, by line; nothing is stored.

    Ends with 1 where it has faults.
    """
    found = invocation.pva().check_policy(_text(path))
    faults = [{"line": each.line, "message": each.message, "remedy": each.remedy} for each in found.faults]
    invocation.answer(
        Answer(
            outcome="faulty" if faults else "good",
            members={"faults": faults} if faults else _good(found),
            next_step=""
            if faults
            else f"see what it would have changed: pva policy dry-run {path} --since TIME",
            exit_code=EXIT_FAILED if faults else 0,
        )
    )


@policy.command("dry-run")
@click.argument("path", type=file_in, metavar="FILE")
@click.option(
    "--since",
    type=click.DateTime([_TIME, _DATE]),
    required=True,
    help="Results that were issued since then (UTC).",
)
@pass_invocation
def dry_run(invocation: Invocation, *, path: Path, since: datetime) -> None:
    """Show which past verdicts a policy would have changed, and why; nothing is stored.

    A supplier is told how many, not which: they are requests of operators.
    """
    trial = invocation.pva().try_policy(_text(path), since=f"{since:{_TIME}}")
    step = f"to have it judge: pva policy add {path}; then: pva policy activate {trial.digest}"
    outcome = f"{trial.changed} of {trial.judged} verdicts would have changed"
    invocation.answer(Answer(outcome=outcome, members=_trial(trial), next_step=step))


@policy.command("add")
@click.argument("path", type=file_in, metavar="FILE")
@pass_invocation
def add(invocation: Invocation, *, path: Path) -> None:
    """Store a policy as a draft; it judges nothing before it is activated."""
    added = invocation.pva().add_policy(_text(path), key=invocation.new_key())
    step = f"to have it judge: pva policy activate {added.digest}"
    invocation.answer(Answer(outcome=added.state, members=_entry(added), next_step=step))


@policy.command("activate")
@click.argument("digest", type=Sha256())
@pass_invocation
def activate(invocation: Invocation, *, digest: str) -> None:
    """Put a policy in force, for every validation from now on."""
    changed = invocation.pva().activate_policy(digest)
    invocation.answer(Answer(outcome=changed.state, members=_entry(changed)))


@policy.command("retire")
@click.argument("digest", type=Sha256())
@pass_invocation
def retire(invocation: Invocation, *, digest: str) -> None:
    """Take a policy out of force; it stays on record."""
    changed = invocation.pva().retire_policy(digest)
    invocation.answer(Answer(outcome=changed.state, members=_entry(changed)))


@policy.command("list")
@pass_invocation
def list_all(invocation: Invocation) -> None:
    """List your policies (an auditor: everybody's)."""
    found = invocation.pva().policies()
    rows = [{name: value for name, value in _entry(each).items() if name != "statements"} for each in found]
    outcome = f"{len(rows)} policies" if len(rows) != 1 else "1 policy"
    invocation.answer(Answer(outcome=outcome, members={"policies": rows}))


@policy.command("show")
@click.argument("digest", type=Sha256())
@pass_invocation
def show(invocation: Invocation, *, digest: str) -> None:
    """Show a policy with its text."""
    entry, text = invocation.pva().policy(digest)
    invocation.answer(Answer(outcome=entry.state, members=_entry(entry), text=text, data={"text": text}))


def _text(path: Path) -> str:
    data = read_file(path, bytes_max=POLICY_BYTES_MAX)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        reason = f"expected UTF-8, byte {error.start} is none"
        raise refused("policy", subject=str(path), reason=reason, remedy="save the file as UTF-8") from None


def _good(found: CheckedPolicy) -> dict[str, Any]:
    return {
        "name": found.name,
        "digest": found.digest,
        "statements": [
            {"id": each.id, "line": each.line, "reason": each.reason} for each in found.statements
        ],
    }


def _entry(entry: PolicyEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "state": entry.state,
        "owner": f"{entry.role} {entry.owner}",
        "changed_at": entry.changed_at,
        "changed_by": entry.changed_by,
        "digest": entry.digest,
        "statements": [
            {"id": each.id, "line": each.line, "reason": each.reason} for each in entry.statements
        ],
    }


def _trial(trial: PolicyTrial) -> dict[str, Any]:
    changes = [
        {
            "result_id": each.result_id,
            "issued_at": each.issued_at,
            "device_id": each.device_id,
            "denied_by": list(each.denied_by),
            "reasons": list(each.reasons),
        }
        for each in trial.changes
    ]
    return {
        "digest": trial.digest,
        "judged": trial.judged,
        "without_facts": trial.without_facts,
        "denied": trial.denied,
        "complete": trial.complete,
        "by_statement": [{"statement": name, "denied": count} for name, count in trial.by_statement.items()],
        "changes": changes,
    }
