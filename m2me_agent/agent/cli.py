"""``m2me``: what a person or a timer on the device asks of the agent.

Exit codes: 0 done, 1 refused or failed, 2 usage, 3 a verdict that is not affirming, 4 not reached.
"""

import codecs
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import Field

from clients.ca import CaDeviceClient
from clients.pva import PvaDeviceClient
from edge.http_client import ClientTls, HttpClient
from edge.process import PrivilegeError, drop_privileges
from edge.settings import Settings, SettingsError, SettingsPath, load_settings
from edge.users import UserOption
from m2me_agent.agent.attestation import attest as carry_attestation
from m2me_agent.agent.enrollment import enroll as carry_enrollment
from m2me_agent.agent.errors import AgentError, NotReachedError
from m2me_agent.agent.services import CaService, PvaService
from m2me_agent.agent.tre_client import TreClient
from m2me_agent.tre_protocol import Operation, Refusal

AFFIRMING = "affirming"
EXIT_ERROR, EXIT_NEGATIVE, EXIT_UNREACHABLE = 1, 3, 4


class AgentSettings(Settings):
    """Settings of an agent. ``tre_socket`` is relative to the working directory, files to this file."""

    tre_socket: Path
    ca_url: str = ""
    pva_url: str = ""
    tls_root: SettingsPath
    timeout_s: float = Field(default=10.0, gt=0, le=300)


class Session:
    """One run of a command: where it talks to, and how it answers."""

    def __init__(self, settings: AgentSettings, *, output: str) -> None:
        self._settings = settings
        self.output = output
        self.tre = TreClient(settings.tre_socket)
        tls = ClientTls(anchors=settings.tls_root)
        self.ca = _service(settings.ca_url, tls, settings.timeout_s)
        self.pva = _service(settings.pva_url, tls, settings.timeout_s)

    def answer(self, result: Mapping[str, Any]) -> None:
        """Print what came out."""
        if self.output == "json":
            click.echo(json.dumps(result, sort_keys=True))
            return
        for name, value in result.items():
            click.echo(f"{name}: {value}")


def _service(url: str, tls: ClientTls, timeout_s: float) -> HttpClient | None:
    # TLS anchors are read here, before rights are given up.
    if not url:
        return None
    try:
        return HttpClient(url, tls=tls if url.startswith("https:") else None, timeout_s=timeout_s)
    except OSError as error:
        raise ValueError(f"tls_root: {tls.anchors} gives no anchors: {error.strerror or error}") from error


def _common(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--config", required=True, type=click.Path(path_type=Path), help="Settings, TOML."),
        click.option("--user", type=UserOption(), help="Give up root for this user."),
        click.option("-o", "--output", type=click.Choice(["json", "text"]), default="text"),
    ):
        command = option(command)
    return command


@click.group(help="The agent of a device: it carries messages between the TRE and the network.")
def main() -> None:
    """Entry point of ``m2me``."""


@main.command(help="Enrol this device at its supplier's CA; the TRE installs the platform credential.")
@_common
def enroll(config: Path, user: tuple[int, int] | None, output: str) -> None:
    """Carry one enrolment."""

    def work(session: Session) -> int:
        ca = CaService(CaDeviceClient(_configured(session.ca, "ca_url")))
        session.answer({"outcome": "enrolled", **carry_enrollment(session.tre, ca, sleep=time.sleep)})
        return 0

    _run(work, config=config, user=user, output=output)


@main.command(help="Answer the PVA's challenge with evidence of this device's state.")
@_common
def attest(config: Path, user: tuple[int, int] | None, output: str) -> None:
    """Carry one attestation; exit 3 if its result is not affirming."""

    def work(session: Session) -> int:
        pva = PvaService(PvaDeviceClient(_configured(session.pva, "pva_url")))
        verdict = carry_attestation(session.tre, pva, sleep=time.sleep)
        session.answer({"outcome": verdict.status, "result_id": verdict.result_id})
        return 0 if verdict.status == AFFIRMING else EXIT_NEGATIVE

    _run(work, config=config, user=user, output=output)


@main.command(help="Show device id and platform credential.")
@_common
def status(config: Path, user: tuple[int, int] | None, output: str) -> None:
    """Ask the TRE; nothing leaves the device."""

    def work(session: Session) -> int:
        found = session.tre.ask(Operation.STATUS)["status"]
        session.answer({"outcome": "enrolled" if found.get("credential") else "not enrolled", **found})
        return 0

    _run(work, config=config, user=user, output=output)


def _run(work: Callable[[Session], int], *, config: Path, user: tuple[int, int] | None, output: str) -> None:
    try:
        session = Session(load_settings(AgentSettings, path=config), output=output)
        codecs.lookup("idna")  # host names need it later, when the interpreter may be out of reach
        if user is not None:
            drop_privileges(*user)
        sys.exit(work(session))
    except AgentError as error:
        _report(error.refusal, output=output)
        sys.exit(EXIT_UNREACHABLE if isinstance(error, NotReachedError) else EXIT_ERROR)
    except (SettingsError, PrivilegeError, ValueError, OSError) as error:
        refusal = Refusal(
            code="settings", subject=str(config), reason=str(error), remedy="correct the agent's settings"
        )
        _report(refusal, output=output)
        sys.exit(EXIT_ERROR)


def _configured(client: HttpClient | None, key: str) -> HttpClient:
    if client is None:
        raise ValueError(f"{key}: is missing, expected the URL of the service")
    return client


def _report(refusal: Refusal, *, output: str) -> None:
    if output == "json":
        parts = {name: getattr(refusal, name) for name in ("code", "subject", "reason", "remedy")}
        click.echo(json.dumps({"outcome": "refused", "error": parts}, sort_keys=True))
        return
    click.echo(f"{refusal.subject}: {refusal.reason}", err=True)
    click.echo(f"what to do: {refusal.remedy}", err=True)


if __name__ == "__main__":
    main()
