"""The process: `python -m lab.software_tpm --state DIR --socket PATH [--user UID[:GID]]`.

The only place that reads arguments and wires the parts.
"""

import os
import signal
import sys
from pathlib import Path

import click

from edge.process import (
    PrivilegeError,
    configure_logging,
    drop_privileges,
    print_ready,
    system_clock,
    system_random,
)
from edge.users import UserOption
from lab.software_tpm.errors import SoftwareTpmError, StateError
from lab.software_tpm.manufacture import manufacture
from lab.software_tpm.self_test import self_test
from lab.software_tpm.server import Server, listen
from lab.software_tpm.software_tpm import SoftwareTpm
from lab.software_tpm.state_store import StateDirectory

NOTICE = "software TPM for laboratories: its keys lie readable in the state directory; never use it for anything else"
_ROLE = "software-tpm"


@click.group(invoke_without_command=True)
@click.option(
    "--state", "state", type=click.Path(path_type=Path), help="Directory of the TPM's state, mode 0700."
)
@click.option("--socket", "socket_path", type=click.Path(path_type=Path), help="UNIX socket to listen on.")
@click.option("--user", type=UserOption(), help="Become this user after opening everything.")
@click.pass_context
def main(
    context: click.Context, state: Path | None, socket_path: Path | None, user: tuple[int, int] | None
) -> None:
    """Serve a TPM 2.0 in software, for laboratories, on a UNIX socket."""
    configure_logging(role=_ROLE)
    if context.invoked_subcommand is not None:
        return
    if state is None or socket_path is None:
        raise click.UsageError("--state DIR and --socket PATH say which TPM to serve, and where")
    try:
        _serve(state, socket_path, user)
    except (SoftwareTpmError, PrivilegeError) as error:
        raise click.ClickException(str(error)) from error


@main.command("manufacture")
@click.option(
    "--state", required=True, type=click.Path(path_type=Path), help="Empty directory for the state."
)
@click.option("--ca", required=True, type=click.Path(path_type=Path), help="Directory of the TPM maker's CA.")
def manufacture_command(state: Path, ca: Path) -> None:
    """Make a TPM: endorsement keys, and certificates by a TPM maker of the laboratory."""
    try:
        made = manufacture(state, ca, random_bytes=system_random, clock=system_clock)
    except SoftwareTpmError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{NOTICE}\nstate {state}, root certificate of the TPM maker {made.root_certificate}")


def _serve(state: Path, socket_path: Path, user: tuple[int, int] | None) -> None:
    # 1 everything that only this user may open
    directory = StateDirectory.open(state)
    listener = listen(socket_path, owner=user)
    # 2 everything that would be loaded on first use
    if not self_test(system_random):
        raise StateError(state, reason="the self-test failed", remedy="reinstall the cryptography package")
    # 3 become the TPM's user, for good
    if user is not None:
        if os.geteuid() == 0:
            directory.give_to(*user)
        drop_privileges(*user)
    # 4 TPM reset, Startup(CLEAR), and serve
    tpm = SoftwareTpm(directory, random_bytes=system_random, clock=system_clock)
    with Server(listener, tpm.execute) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
        sys.stderr.write(NOTICE + "\n")
        print_ready(_ROLE, {"tpm": f"unix:{socket_path}"})
        server.serve()
    directory.close()
