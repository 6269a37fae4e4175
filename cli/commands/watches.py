"""`pva watch`: a home operator has its devices validated again and again."""

from collections.abc import Sequence
from typing import Any

import click

from cli.answers import Answer
from cli.commands.naming import Sha256
from cli.invocation import Invocation, Section, pass_invocation
from clients.pva import WatchEntry


@click.group(cls=Section)
def watch() -> None:
    """Devices that the PVA validates again and again, as the home operator who asks for it."""


@watch.command("add")
@click.argument("device_id", type=Sha256())
@click.option("--interval-s", type=click.IntRange(min=1), required=True, help="How often, in seconds.")
@click.option(
    "--grace-s", type=click.IntRange(min=1), required=True, help="How late an answer may come, in seconds."
)
@click.option(
    "--audience", multiple=True, required=True, help="Who is told of changes, you among them; repeat it."
)
@pass_invocation
def add(
    invocation: Invocation, *, device_id: str, interval_s: int, grace_s: int, audience: Sequence[str]
) -> None:
    """Have a device watched that you have a passing result of (sho)."""
    made = invocation.pva().add_watch(
        device_id=device_id,
        interval_s=interval_s,
        grace_s=grace_s,
        audience=audience,
        key=invocation.new_key(),
    )
    step = "the device answers while its agent looks: m2me watch"
    invocation.answer(Answer(outcome="watched", members=_described(made), next_step=step))


@watch.command("list")
@pass_invocation
def list_watches(invocation: Invocation) -> None:
    """List your watches with what is known of each device (sho)."""
    found = invocation.pva().watches()
    invocation.answer(Answer(outcome="listed", members={"watches": [_described(each) for each in found]}))


@watch.command("remove")
@click.argument("watch_id")
@pass_invocation
def remove(invocation: Invocation, *, watch_id: str) -> None:
    """End one of your watches (sho)."""
    invocation.pva().end_watch(watch_id)
    invocation.answer(Answer(outcome="ended", members={"watch_id": watch_id}))


def _described(entry: WatchEntry) -> dict[str, Any]:
    return {
        "watch_id": entry.watch_id,
        "device_id": entry.device_id,
        "state": entry.state,
        "interval_s": entry.interval_s,
        "grace_s": entry.grace_s,
        "audience": list(entry.audience),
        "due_at": f"{entry.due_at:%Y-%m-%dT%H:%M:%SZ}",
        "deadline": f"{entry.deadline:%Y-%m-%dT%H:%M:%SZ}",
    }
