"""Settings of a process: one TOML file, overlaid by `PVA_*` variables of the environment.

The one rule: a key that nobody reads is an error that names the key, so that a misspelt limit never
silently leaves the default in force.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo

NOT_SETTINGS = frozenset({"PVA_CLI_CONFIG", "PVA_TEST_VECTORS"})
"""Names under the prefix that belong to a person at the `pva` command or to the test run, not to a process."""

SETTINGS_BYTES_MAX = 1 << 20


class SettingsError(Exception):
    """The settings of a process cannot be used: names the source, the key and what was expected."""

    def __init__(self, *, source: str, faults: tuple[str, ...]) -> None:
        """Keep where the settings came from and one sentence a fault."""
        self.source = source
        self.faults = faults
        super().__init__(f"settings from {source} cannot be used: " + "; ".join(faults))


class Settings(BaseModel):
    """Base of every settings model, nested ones too: unknown keys are errors, nothing changes after start."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _beside_the_file(value: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    return value if folder is None or value.is_absolute() else Path(folder) / value


SettingsPath = Annotated[Path, AfterValidator(_beside_the_file)]
"""A path setting; a relative one is taken from the folder of the settings file."""

T = TypeVar("T", bound=Settings)


def load_settings(
    model: type[T],
    *,
    path: Path | None,
    env_prefix: str = "PVA_",
    environ: Mapping[str, str] | None = None,
) -> T:
    """Read the settings `model` from the TOML file `path` (or none), overlaid by the environment.

    `PVA_DATABASE=x` sets `database`, `PVA_PUBLIC__PORT=1` sets `port` in the table `public`. A value
    that reads as JSON is taken as JSON, any other as a string. Raises SettingsError naming every key
    that is unknown, missing or of the wrong kind; values are not repeated, they may be secret.
    """
    values = {} if path is None else _read_toml(path)
    source = "the environment" if path is None else str(path)
    for name, text in (os.environ if environ is None else environ).items():
        if name.startswith(env_prefix) and name not in NOT_SETTINGS:
            _overlay(values, name.removeprefix(env_prefix).lower().split("__"), text)
            source = source if path is None else f"{path} and {env_prefix}* variables"
    try:
        return model.model_validate(values, context={"folder": None if path is None else path.parent})
    except ValidationError as error:
        faults = tuple(
            f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {_sentence(fault['type'], fault['msg'])}"
            for fault in error.errors(include_url=False, include_input=False)
        )
        raise SettingsError(source=source, faults=faults) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(SETTINGS_BYTES_MAX + 1)
        if len(data) > SETTINGS_BYTES_MAX:
            raise SettingsError(source=str(path), faults=(f"larger than {SETTINGS_BYTES_MAX} bytes",))
        return tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise SettingsError(source=str(path), faults=(f"cannot be read: {error.strerror}",)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(source=str(path), faults=(f"is not TOML: {error}",)) from None


def _overlay(values: dict[str, Any], keys: list[str], text: str) -> None:
    table = values
    for key in keys[:-1]:
        nested = table.get(key)
        if not isinstance(nested, dict):
            nested = table[key] = {}
        table = nested
    try:
        table[keys[-1]] = json.loads(text)
    except ValueError:
        table[keys[-1]] = text


def _sentence(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "is not a setting of this process; remove it or correct its name"
    if kind == "missing":
        return "is missing"
    return message
