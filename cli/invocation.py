"""One run of the command: its settings, its way to the services, and how it answers.

Rule: the options `--config` and `-o` may stand before or behind the command's words; nothing is read from the
settings, and nobody is connected to, before a command needs it.
"""

import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cli.answers import Answer, print_answer
from cli.failures import refused
from cli.settings import CONFIG_VARIABLE, CliSettings, is_operator_listener, read_cli_settings
from clients.administrators import AdministratorClient
from clients.audit_log import AuditLogClient
from clients.ca import CaOperatorClient
from clients.ca_keys import CaKeyClient
from clients.ca_stations import CaStationClient
from clients.ca_suspensions import CaSuspensionClient
from clients.pva import PvaOperatorClient
from clients.pva_suppliers import PvaSupplierClient
from edge.http_client import ClientTls, HttpClient
from edge.process import Clock, RandomBytes, system_clock, system_random
from edge.repeating import Repeating
from edge.settings import SettingsError

OUTPUTS = ("text", "json")
_KEY_BYTES = 16


def connect(url: str, settings: CliSettings) -> HttpClient:
    """A client of the operator listener at `url`, with the identity of the settings; it waits where a service says so."""
    tls = ClientTls(
        anchors=settings.tls_root,
        certificate=settings.certificate,
        key=settings.key,
        passphrase_file=settings.passphrase_file,
    )
    try:
        http = HttpClient(url, tls=tls, timeout_s=settings.timeout_s)
        return http.repeating(Repeating(sleep=time.sleep, clock=system_clock))
    except (ssl.SSLError, OSError) as error:
        raise refused(
            "tls-files",
            subject=f"{settings.tls_root}, {settings.certificate}, {settings.key}",
            reason=f"cannot be used for TLS: {error.strerror or error}",
            remedy="check that tls_root and certificate are PEM files, that the certificate is the key's, and that "
            "passphrase_file opens the key",
        ) from None


@dataclass(slots=True, kw_only=True)
class Invocation:
    """What the commands work with; tests give their own clock, random bytes and connection."""

    clock: Clock = system_clock
    random_bytes: RandomBytes = system_random
    connect: Callable[[str, CliSettings], HttpClient] = connect
    config: Path | None = None
    output: str = "text"

    def ca(self) -> CaOperatorClient:
        """The CA; raises CliError or SettingsError."""
        settings = self.settings()
        return CaOperatorClient(self.connect(self._url(settings.ca_url, "ca_url"), settings))

    def pva(self) -> PvaOperatorClient:
        """The PVA; raises CliError or SettingsError."""
        settings = self.settings()
        return PvaOperatorClient(self.connect(self._url(settings.pva_url, "pva_url"), settings))

    def ca_stations(self) -> CaStationClient:
        """The CA, for a supplier's station; raises CliError or SettingsError."""
        settings = self.settings()
        return CaStationClient(self.connect(self._url(settings.ca_url, "ca_url"), settings))

    def ca_suspensions(self) -> CaSuspensionClient:
        """The CA, for suspensions; raises CliError or SettingsError."""
        settings = self.settings()
        return CaSuspensionClient(self.connect(self._url(settings.ca_url, "ca_url"), settings))

    def pva_suppliers(self) -> PvaSupplierClient:
        """The PVA, for what is about suppliers; raises CliError or SettingsError."""
        settings = self.settings()
        return PvaSupplierClient(self.connect(self._url(settings.pva_url, "pva_url"), settings))

    def ca_keys(self) -> CaKeyClient:
        """The CA, for keys that two administrators register; raises CliError or SettingsError."""
        settings = self.settings()
        return CaKeyClient(self.connect(self._url(settings.ca_url, "ca_url"), settings))

    def audit_log(self, service: str) -> AuditLogClient:
        """The audit log of the CA, the PVA, or the operator listener at a URL; raises CliError or SettingsError."""
        return AuditLogClient(self._listener(service))

    def administrators(self, service: str) -> AdministratorClient:
        """Who administers the CA, the PVA, or the service at a URL; raises CliError or SettingsError."""
        return AdministratorClient(self._listener(service))

    def _listener(self, service: str) -> HttpClient:
        settings = self.settings()
        named = {"ca": ("ca_url", settings.ca_url), "pva": ("pva_url", settings.pva_url)}
        key, url = named.get(service, ("", service))
        if not key and not is_operator_listener(service):
            raise refused(
                "service",
                subject=service[:200],
                reason="names no service, expected ca, pva or https://HOST:PORT",
                remedy="give the URL of the service's operator listener",
            )
        return self.connect(self._url(url, key), settings)

    def new_key(self) -> str:
        """An idempotency key: what a command makes is made once, though its request is sent again."""
        return self.random_bytes(_KEY_BYTES).hex()

    def settings(self) -> CliSettings:
        """The settings; raises CliError or SettingsError."""
        if self.config is None:
            raise refused(
                "no-settings",
                subject="settings",
                reason="no file is named that says where the services are and who you are",
                remedy=f"give --config FILE, or set {CONFIG_VARIABLE} to it; ./dev serve writes such files",
            )
        return read_cli_settings(self.config)

    def answer(self, answer: Answer) -> None:
        """Print what came of the command, and end it."""
        print_answer(answer, output=self.output)
        click.get_current_context().exit(answer.exit_code)

    def _url(self, url: str | None, key: str) -> str:
        if url is None:
            fault = f"{key}: is missing, expected the https URL of the operator listener"
            raise SettingsError(source=str(self.config), faults=(fault,))
        return url


def options(*, config_variable: str | None = None) -> list[click.Parameter]:
    """The options that every command has; the environment is asked by the outermost one alone."""
    return [
        click.Option(
            ["--config"],
            type=click.Path(path_type=Path, dir_okay=False),
            envvar=config_variable,
            expose_value=False,
            callback=_keep("config"),
            help="Settings, TOML (default: the file that PVA_CLI_CONFIG names).",
        ),
        click.Option(
            ["-o", "--output"],
            type=click.Choice(OUTPUTS),
            expose_value=False,
            callback=_keep("output"),
            help="Form of the answer (default: text).",
        ),
    ]


class Command(click.Command):
    """A command that also knows the options of every command."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *options()]


class Section(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, _parameter: click.Parameter, value: Any) -> None:
        if value is not None:
            setattr(context.find_root().obj, name, value)

    return keep


pass_invocation = click.make_pass_decorator(Invocation)

algorithm_option = click.option(
    "--algorithm",
    type=click.Choice(["p256", "p384", "rsa", "ml-dsa-65"]),
    default="p256",
    show_default=True,
    help="Key of the new CA.",
)
