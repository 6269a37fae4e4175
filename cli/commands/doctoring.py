"""`pva doctor`: what is wrong, and the command that mends it."""

from pathlib import Path

import click

from cli.answers import Answer
from cli.examination import Complaint, examine_person, examine_services
from cli.failures import EXIT_FAILED, EXIT_UNREACHABLE, refused
from cli.files import file_in
from cli.invocation import Command, Invocation, pass_invocation
from cli.services_file import read_services_file
from edge.settings import SettingsError


@click.command("doctor", cls=Command)
@click.option("--services", type=file_in, help="Look at the services of this file (of `pva serve`), too.")
@click.option(
    "--timeout", "timeout_s", type=float, default=10.0, show_default=True, help="Seconds for a look."
)
@pass_invocation
def doctor(invocation: Invocation, *, services: Path | None, timeout_s: float) -> None:
    """Look at your settings, the services that they name, and what these say of themselves.

    Exit code 0: nothing is wrong (some things may be soon); 1: something is; 4: a service was not reached.
    """
    complaints: list[Complaint] = []
    if invocation.config is None and services is None:
        raise refused(
            "nothing-to-look-at",
            subject="pva doctor",
            reason="neither settings nor a file of services is named",
            remedy="give --config FILE, --services FILE, or both",
        )
    if invocation.config is not None:
        complaints += _person(invocation, invocation.config)
    if services is not None:
        complaints += examine_services(read_services_file(services), timeout_s=timeout_s)
    wrong = [each for each in complaints if each.urgent]
    rows = [
        {
            "when": "now" if each.urgent else "soon",
            "code": each.code,
            "subject": each.subject,
            "reason": each.reason,
            "remedy": each.remedy,
        }
        for each in sorted(complaints, key=lambda each: not each.urgent)
    ]
    code = EXIT_UNREACHABLE if any(each.unreachable for each in wrong) else EXIT_FAILED
    invocation.answer(
        Answer(
            outcome="ailing" if wrong else "healthy",
            members={"complaints": rows},
            exit_code=code if wrong else 0,
        )
    )


def _person(invocation: Invocation, config: Path) -> list[Complaint]:
    try:
        settings = invocation.settings()
    except SettingsError as error:
        return [
            Complaint(
                code="settings",
                subject=f"settings from {error.source}",
                reason=fault,
                remedy="correct the file; docs/CLI.md lists its keys",
            )
            for fault in error.faults
        ]
    return list(examine_person(settings, config=config, clock=invocation.clock))
