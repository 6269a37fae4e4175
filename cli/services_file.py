"""Which services this machine runs, as one TOML file names them for `pva serve` and `pva doctor`.

Rule: a service is a role and a settings file of its own; what stands in that file is the service's business, and so
are its keys. A role is known here by the module that runs it, and nothing of it is imported.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field, StringConstraints

from edge.settings import SETTINGS_BYTES_MAX, Settings, SettingsPath, load_settings

Role = Literal["ca", "ocsp", "pva", "vno", "icf", "ccif", "drf", "sho", "dpf"]
MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        role: f"{role}.app" if role in {"ca", "ocsp", "pva"} else f"operators.{role}.app"
        for role in get_args(Role)
    }
)
"""Role -> the module that runs it with `--config FILE`."""

ServiceName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]


class ServiceEntry(Settings):
    """One service: its role, and its own settings file."""

    role: Role
    config: SettingsPath


class ServicesFile(Settings):
    """All services of this machine, in the order in which they start; `stop_within_s` before one is killed."""

    services: Annotated[dict[ServiceName, ServiceEntry], Field(min_length=1)]
    stop_within_s: Annotated[float, Field(gt=0, le=300)] = 20.0


def read_services_file(path: Path) -> ServicesFile:
    """Read the file. Raises SettingsError."""
    return load_settings(ServicesFile, path=path, environ={})


def tables_of(config: Path) -> dict[str, Any]:
    """What a service's settings file holds, unjudged. Raises OSError, or ValueError where it is not TOML."""
    with config.open("rb") as file:
        return tomllib.loads(file.read(SETTINGS_BYTES_MAX).decode("utf-8"))
