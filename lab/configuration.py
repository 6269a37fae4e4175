"""TOML files of the lab's processes, written from plain mappings.

Rule: a value is written so that it reads back as itself; only what the lab needs is written (text, numbers,
booleans, lists of text, tables).
"""

import json
from collections.abc import Mapping
from pathlib import Path


def write_toml(path: Path, table: Mapping[str, object]) -> Path:
    """Write settings, mode 0644: they hold paths and addresses, never secrets."""
    path.write_text("\n".join(_lines(table, ())) + "\n")
    return path


def _lines(table: Mapping[str, object], name: tuple[str, ...]) -> list[str]:
    """A table: its header, its own values, then its inner tables."""
    lines = ["", f"[{'.'.join(json.dumps(part) for part in name)}]"] if name else []
    lines += [f"{key} = {_value(value)}" for key, value in table.items() if not isinstance(value, Mapping)]
    for key, inner in table.items():
        if isinstance(inner, Mapping):
            lines += _lines(inner, (*name, key))
    return lines


def _value(value: object) -> str:
    # JSON's strings, numbers, booleans and lists of strings are TOML's too
    return json.dumps(str(value) if isinstance(value, Path) else value)
