"""`pva station`: enrolment of devices at a station that has no network."""

from pathlib import Path

import click

from cli.answers import Answer
from cli.failures import EXIT_FAILED
from cli.invocation import Invocation, Section, pass_invocation
from cli.station_folder import exchange, parts_in, refusals_in, take_up_refused
from edge.exchange_folder import ExchangeFolder
from messages.station import Part


@click.group(cls=Section)
def station() -> None:
    """Devices that enrol at a station without a network, by files in a folder."""


@station.command("exchange")
@click.argument("path", type=click.Path(path_type=Path, file_okay=False, exists=True), metavar="FOLDER")
@click.option("--again", is_flag=True, help="Take up those that were refused before, from their request.")
@pass_invocation
def exchange_folder(invocation: Invocation, *, path: Path, again: bool) -> None:
    """Carry what waits in a station's folder to the CA, and its answers back (the supplier).

    Run it again after it was cut short: it goes on there. It ends with 1 while a device stands refused.
    """
    folder = ExchangeFolder(path)
    desk = invocation.ca_stations()
    if again:
        take_up_refused(folder)
    done = exchange(folder, desk=desk)
    parts = parts_in(folder)
    refusals = [
        {"device_id": device_id, "code": each.code, "reason": each.reason, "remedy": each.remedy}
        for device_id, each in refusals_in(folder, parts)
    ]
    held = [those for those in parts.values() if those & {Part.RESULT, Part.INSTALLED}]
    members = {
        "sent": done.sent,
        "challenges": done.challenges,
        "results": done.results,
        "refused": done.refused,
        "devices": len(parts),
        "issued": len(held),
        "installed": sum(Part.INSTALLED in those for those in held),
        "refusals": refusals,
    }
    invocation.answer(
        Answer(
            outcome="refused" if refusals else "exchanged",
            members=members,
            next_step=_next_step(done.challenges + done.results, refusals=bool(refusals)),
            exit_code=EXIT_FAILED if refusals else 0,
        )
    )


def _next_step(answered: int, *, refusals: bool) -> str:
    if refusals:
        return "do what the remedies say, then run this with --again"
    if answered:
        return "take the folder to the devices: m2me enroll --station FOLDER on each"
    return ""
