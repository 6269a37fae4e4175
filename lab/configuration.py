"""TOML files of the lab's processes, written from plain mappings.

Rule: a value is written so that it reads back as itself; only what the lab needs is written (text, numbers,
booleans, lists of text, one level of tables).
"""

import json
from collections.abc import Mapping
from pathlib import Path


def write_toml(path: Path, table: Mapping[str, object]) -> Path:
    """Write settings, mode 0644: they hold paths and addresses, never secrets."""
    plain = {name: value for name, value in table.items() if not isinstance(value, Mapping)}
    lines = [f"{name} = {_value(value)}" for name, value in plain.items()]
    for name, inner in table.items():
        if isinstance(inner, Mapping):
            lines += ["", f"[{name}]", *(f"{key} = {_value(value)}" for key, value in inner.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def _value(value: object) -> str:
    # JSON's strings, numbers, booleans and lists of strings are TOML's too
    return json.dumps(str(value) if isinstance(value, Path) else value)
