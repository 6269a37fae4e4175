"""`pva serve`: all services of a machine, each as a process of its own."""

from pathlib import Path

import click

from cli.failures import refused
from cli.files import file_in
from cli.invocation import Command
from cli.services_file import MODULES, read_services_file
from cli.supervision import (
    ServiceEndedError,
    SupervisedService,
    command_of,
    print_all_ready,
    supervise,
)
from edge.process import configure_logging


@click.command("serve", cls=Command)
@click.argument("path", type=file_in, metavar="SERVICES_FILE")
def serve(path: Path) -> None:
    """Run the services that a file names until SIGTERM; SIGHUP restarts them one after the other."""
    settings = read_services_file(path)
    configure_logging(role="serve")
    services = [
        SupervisedService(
            name,
            command_of(MODULES[each.role], each.config.absolute()),
            folder=each.config.absolute().parent,
            stop_within_s=settings.stop_within_s,
        )
        for name, each in settings.services.items()
    ]
    try:
        supervise(services, ready=lambda: print_all_ready(services))
    except ServiceEndedError as error:
        raise refused(
            "service-ended",
            subject=error.name,
            reason=f"{error.reason}: {' / '.join(error.words) or 'it said nothing'}",
            remedy=f"correct {settings.services[error.name].config}, and start it alone to see all that it says",
        ) from None
