"""`pva update`: a supplier announces an update to its devices, to some first, and holds it where it goes wrong."""

from collections.abc import Callable
from typing import Any

import click

from cli.answers import Answer
from cli.commands.naming import Sha256
from cli.failures import refused
from cli.invocation import Invocation, Section, pass_invocation
from clients.pva import UpdateEntry

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_share = click.IntRange(min=0, max=100)


@click.group(cls=Section)
def update() -> None:
    """Updates of devices: which release, to how many, and whether it is held."""


@update.command("announce")
@click.argument("manifest_digest", type=Sha256())
@click.option("--share", type=_share, default=100, show_default=True, help="Percent of the devices.")
@pass_invocation
def announce(invocation: Invocation, *, manifest_digest: str, share: int) -> None:
    """Announce the update to an approved manifest (its supplier, admin)."""
    made = invocation.pva().announce_update(
        bytes.fromhex(manifest_digest), share_percent=share, key=invocation.new_key()
    )
    step = f"devices in the share fetch approvals: m2me prepare-update --manifest {manifest_digest}"
    invocation.answer(Answer(outcome="announced", members=_entry(made), next_step=step))


@update.command("show")
@click.argument("manifest_digest", type=Sha256(), required=False)
@pass_invocation
def show(invocation: Invocation, *, manifest_digest: str | None) -> None:
    """Show announced updates, or one of them; a supplier sees his own."""
    found = invocation.pva().updates()
    if manifest_digest is None:
        outcome = f"{len(found)} updates" if len(found) != 1 else "1 update"
        invocation.answer(Answer(outcome=outcome, members={"updates": [_entry(each) for each in found]}))
        return
    for each in found:
        if each.manifest_digest == manifest_digest:
            invocation.answer(Answer(outcome="found", members=_entry(each)))
            return
    raise refused(
        "no-such-update",
        subject=manifest_digest,
        reason="no update to this manifest is announced, or it belongs to another supplier",
        remedy="pva update show lists them; pva update announce DIGEST announces one",
    )


@update.command("widen")
@click.argument("manifest_digest", type=Sha256())
@click.option("--share", type=_share, required=True, help="Percent of the devices, not less than before.")
@pass_invocation
def widen(invocation: Invocation, *, manifest_digest: str, share: int) -> None:
    """Announce an update to more devices (its supplier, admin)."""
    made = invocation.pva().widen_update(bytes.fromhex(manifest_digest), share_percent=share)
    invocation.answer(Answer(outcome="widened", members=_entry(made)))


@update.command("pause")
@click.argument("manifest_digest", type=Sha256())
@pass_invocation
def pause(invocation: Invocation, *, manifest_digest: str) -> None:
    """Hold an update: no device is given approvals or credentials for it; what was given stays (its supplier, admin)."""
    _change(invocation, manifest_digest, invocation.pva().pause_update, outcome="paused")


@update.command("resume")
@click.argument("manifest_digest", type=Sha256())
@pass_invocation
def resume(invocation: Invocation, *, manifest_digest: str) -> None:
    """Go on with an update that was held (its supplier, admin)."""
    _change(invocation, manifest_digest, invocation.pva().resume_update, outcome="resumed")


def _change(
    invocation: Invocation, manifest_digest: str, change: Callable[[bytes], UpdateEntry], *, outcome: str
) -> None:
    made = change(bytes.fromhex(manifest_digest))
    invocation.answer(Answer(outcome=outcome, members=_entry(made)))


def _entry(entry: UpdateEntry) -> dict[str, Any]:
    return {
        "manifest_digest": entry.manifest_digest,
        "supplier": entry.supplier,
        "share_percent": entry.share_percent,
        "state": entry.state,
        "announced_at": f"{entry.announced_at:{_TIME}}",
    }
