"""Settings of one person at the `pva` command: which services, and the TLS identity to meet them with.

Rule: they come from one file and nothing else; an unknown key is an error that names it. The environment only says
where the file is (PVA_CLI_CONFIG), so that variables meant for a service never steer a person's command.
"""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from edge.settings import Settings, SettingsPath, load_settings

CONFIG_VARIABLE = "PVA_CLI_CONFIG"
_URL = re.compile(r"https://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?/?")


def is_operator_listener(url: str) -> bool:
    """Whether a text is the URL of an operator listener."""
    return _URL.fullmatch(url) is not None


def _operator_listener(url: str) -> str:
    if not is_operator_listener(url):
        raise ValueError("expected https://HOST:PORT of the operator listener")
    return url


ServiceUrl = Annotated[str, AfterValidator(_operator_listener)]
"""Scheme, host and port of an operator listener; those speak mutual TLS only."""


class CliSettings(Settings):
    """`ca_url` and `pva_url` are operator listeners; files are relative to the settings file, times in seconds."""

    ca_url: ServiceUrl | None = None
    pva_url: ServiceUrl | None = None
    tls_root: SettingsPath
    certificate: SettingsPath
    key: SettingsPath
    passphrase_file: SettingsPath
    timeout_s: float = Field(default=10.0, gt=0, le=300)


def read_cli_settings(path: Path) -> CliSettings:
    """Read the settings file.

    Raises:
        SettingsError: it cannot be read, or a key in it is unknown, missing or of the wrong kind.
    """
    return load_settings(CliSettings, path=path, environ={})
