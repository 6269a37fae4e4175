"""`python -m lab demo | serve`: all roles on one machine.

Rule: nothing outlives the command but its state folder, and nothing is asked.
"""

import os
import shlex
import signal
import sys
import threading
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from rich.console import Console

from edge.http_client import HttpError, UnreachableError
from lab.demo import open_scene, play_demo, say_conditions
from lab.fourteen_steps import open_network
from lab.hostile_agent_demo import play_hostile_agent
from lab.identities import AT_THE_DASHBOARD
from lab.life_demo import play_life_demo
from lab.nodes import MissingToolError
from lab.operator_change_demo import play_operator_change_demo
from lab.processes import ProcessError
from lab.scene import Scene
from lab.service_demo import play_service_demo
from lab.story import (
    APPROVED,
    GOOD_DEVICE,
    UnexpectedEndError,
    make_devices,
    open_services,
    register_suppliers,
)
from lab.tpms import TpmMakerError
from lab.update_demo import play_update_demo
from lab.use_case_demo import play_use_case_demo
from m2me_agent.agent.errors import AgentError

CHECKOUT = Path(__file__).resolve().parent.parent
STATE = Path(".pva") / "lab"
WIDTH = 150
CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
HIDDEN = {"keys", "tpm-makers"}  # copies for the CA's own use
FAILURES = (
    ProcessError,
    UnexpectedEndError,
    TpmMakerError,
    MissingToolError,
    HttpError,
    UnreachableError,
    AgentError,
)

DEMOS = {
    "hostile-agent": play_hostile_agent,
    "life": play_life_demo,
    "operator-change": play_operator_change_demo,
    "service": play_service_demo,
    "update": play_update_demo,
    "use-cases": play_use_case_demo,
}
"""Demos beside the whole one, by their names."""

_state = click.option(
    "--state", type=click.Path(path_type=Path), default=STATE, help="state folder, emptied first"
)
_software = click.option(
    "--software-tpm", is_flag=True, help="use the software TPM even where swtpm is installed"
)


@click.group(help="All roles of the network on one machine.")
def main() -> None:
    """Entry point of the lab."""


@main.command(help="Play the good story and the hostile ones; exit 1 if any ends otherwise than it must.")
@click.argument("story", type=click.Choice(sorted(DEMOS)), required=False)
@_state
@_software
def demo(story: str | None, state: Path, software_tpm: bool) -> None:  # noqa: FBT001 - click hands options over by name
    """Play the demo, or one of the others."""
    console = _console()
    play = play_demo if story is None else DEMOS[story]
    try:
        as_expected = play(state.absolute(), image=CHECKOUT, console=console, software_tpm=software_tpm)
    except FAILURES as error:
        console.print(f"the demo ended early: {error}", markup=False, highlight=False)
        sys.exit(1)
    sys.exit(0 if as_expected else 1)


@main.command(help="Start the services, register the suppliers, and leave everything up until Ctrl-C.")
@_state
@_software
def serve(state: Path, software_tpm: bool) -> None:  # noqa: FBT001 - click hands options over by name
    """Leave the services up."""
    console = _console()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with open_scene(
            state.absolute(), image=CHECKOUT, console=console, software_tpm=software_tpm
        ) as scene:
            say_conditions(scene)
            make_devices(scene)
            open_services(scene)
            register_suppliers(scene)
            open_network(scene)
            _say_addresses(scene)
            _say_dashboard(scene)
            _say_commands(scene)
            stop.wait()
    except FAILURES as error:
        console.print(f"the services did not come up: {error}", markup=False, highlight=False)
        sys.exit(1)


def _say_addresses(scene: Scene) -> None:
    tell = scene.narrator
    tell.heading("The services are up; Ctrl-C ends them")
    for role, listeners in scene.services.urls.items():
        for listener, url in listeners.items():
            tell.remark(f"{role:>6} {listener:<9} {url}")
    tell.heading("Roots and certificates")
    for supplier, root in scene.roots.items():
        tell.remark(f"ES root of {supplier}: SHA-256 {root.fingerprint(hashes.SHA256()).hex()}")
    for path in sorted(scene.site.state.rglob("*.pem")):
        pem = path.read_bytes()
        if path.parent.name not in HIDDEN and CERTIFICATE in pem:  # a TPM maker keeps its keys beside them
            for certificate in x509.load_pem_x509_certificates(pem):
                name = certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}"
                tell.remark(f"{os.path.relpath(path)}: {name}")


def _say_dashboard(scene: Scene) -> None:
    """Where the pages are, and with which certificate each person opens them."""
    tell, services = scene.narrator, scene.services
    tell.heading("Open the dashboard in a browser (docs/DASHBOARD.md)")
    tell.remark(services.urls["pva"]["dashboard"])
    tell.remark(f"trust for websites: {os.path.relpath(services.tls_root)}")
    for name in AT_THE_DASHBOARD:
        made = services.write_browser_identity(name)
        tell.remark(
            f"as {name:<10} import {os.path.relpath(made.file)}, password in {os.path.relpath(made.password_file)}"
        )


def _say_commands(scene: Scene) -> None:
    """One settings file a person, and commands to paste into another terminal."""
    tell, services = scene.narrator, scene.services
    settings = {name: services.write_cli_settings(name) for name in services.people()}
    on_path = Path(sys.executable).with_name("pva").exists()
    pva = (
        shlex.quote(str(Path(sys.executable).with_name("pva")))
        if on_path
        else f"{shlex.quote(sys.executable)} -m cli"
    )
    tell.heading("Administer them from another terminal (docs/CLI.md)")
    for line in (
        f"alias pva={shlex.quote(pva)}",
        f"export PVA_CLI_CONFIG={shlex.quote(str(settings['admin']))}",
        "pva supplier list",
        "pva issuing-ca list",
    ):
        tell.remark(line)
    asked = scene.ids[GOOD_DEVICE]
    for person, words in (
        (APPROVED, "manifest list"),
        ("sho-1", f"validation request {asked} --audience sho-1"),
    ):
        tell.remark(f"pva --config {shlex.quote(str(settings[person]))} {words}")


def _console() -> Console:
    on_terminal = sys.stdout.isatty()
    return Console(width=None if on_terminal else WIDTH, soft_wrap=False)


if __name__ == "__main__":
    main()
