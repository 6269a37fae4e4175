"""One run of a command of ``m2me``: its settings, its TRE, its services, and how it answers.

Rule: nothing is opened before it is asked for, and what a service is trusted by is one file of the settings.
"""

import json
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import Field

from edge.process import monotonic_ms
from edge.settings import Settings, SettingsPath
from m2me_agent.agent.tre_client import TreClient

if TYPE_CHECKING:
    from edge.http_client import HttpClient


class AgentSettings(Settings):
    """Settings of an agent. ``tre_socket`` and ``download_folder`` are relative to the working directory.

    ``ca_url`` and ``pva_url`` are reached directly, in the factory; ``vno_url`` is the radio side of the visited
    network, and ``drf_url`` lies behind its gateway; so does ``dpf_url``, the DPF that an updated device asks. ``supplier``
    names who made the device.
    """

    tre_socket: Path
    ca_url: str = ""
    pva_url: str = ""
    vno_url: str = ""
    drf_url: str = ""
    dpf_url: str = ""
    supplier: str = ""
    tls_root: SettingsPath
    download_folder: Path = Path("downloads")
    timeout_s: float = Field(default=10.0, gt=0, le=300)
    delivery_timeout_s: float = Field(default=60.0, gt=0, le=86_400)


class Session:
    """One run of a command: where it talks to, and how it answers."""

    def __init__(self, settings: AgentSettings, *, user: tuple[int, int] | None, output: str) -> None:
        self.settings = settings
        self.user = user
        self.output = output
        self.tre = TreClient(settings.tre_socket)
        self._context: ssl.SSLContext | None = None
        self._begun_ms = monotonic_ms()

    def context(self) -> ssl.SSLContext:
        """Trust in services: the root of the settings and nothing else; read once."""
        if self._context is None:
            self._context = self._read_anchors()
        return self._context

    def _read_anchors(self) -> ssl.SSLContext:
        from edge.http_client import ClientTls, client_context  # noqa: PLC0415 - see above

        root = self.settings.tls_root
        try:
            return client_context(ClientTls(anchors=root))
        except OSError as error:
            raise ValueError(f"tls_root: {root} gives no anchors: {error.strerror or error}") from error

    def http(self, url: str, *, key: str) -> "HttpClient":
        """A service of the settings, reached directly."""
        from edge.http_client import HttpClient  # noqa: PLC0415 - see above

        if not url:
            raise ValueError(f"{key}: is missing, expected the URL of the service")
        tls = self.context() if url.startswith("https:") else None
        return HttpClient(url, tls=tls, timeout_s=self.settings.timeout_s)

    def folder(self) -> Path:
        """The agent's own folder; made if it is not there, for the user that the agent will be."""
        folder = self.settings.download_folder
        try:
            folder.mkdir(mode=0o700)
            if self.user is not None and os.geteuid() == 0:
                os.chown(folder, *self.user, follow_symlinks=False)
        except FileExistsError:
            pass
        return folder

    def tell(self, step: int, event: str, **details: str | int) -> None:
        """Print a step of a journey as it is done."""
        elapsed_ms = round(monotonic_ms() - self._begun_ms)
        if self.output == "json":
            said = {"step": step, "event": event, "elapsed_ms": elapsed_ms, **details}
            click.echo(json.dumps(said, sort_keys=True))
            return
        named = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in details.items())
        click.echo(
            f"step {step:2}  {elapsed_ms / 1000:8.3f} s  {event.replace('-', ' ')}{named and ': ' + named}"
        )

    def answer(self, result: Mapping[str, Any]) -> None:
        """Print what came out."""
        if self.output == "json":
            click.echo(json.dumps(_printable(result), sort_keys=True))
            return
        for name, value in result.items():
            click.echo(f"{name}: {_printable(value)}")

    def elapsed_ms(self) -> int:
        """Milliseconds since the command began."""
        return round(monotonic_ms() - self._begun_ms)


def _printable(value: Any) -> Any:
    """A value of the TRE protocol as JSON has it: bytes in hexadecimal."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {name: _printable(each) for name, each in value.items()}
    return [_printable(each) for each in value] if isinstance(value, list) else value
