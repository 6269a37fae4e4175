"""TOML files of the lab's processes, written from plain mappings.

Rule: a value is written so that it reads back as itself; only what the lab needs is written (text, numbers,
booleans, lists of text, tables, lists of tables).
"""

import json
from collections.abc import Mapping
from pathlib import Path


def write_toml(path: Path, table: Mapping[str, object]) -> Path:
    """Write settings, mode 0644: they hold paths and addresses, never secrets."""
    path.write_text("\n".join(_lines(table, ())) + "\n")
    return path


def _lines(table: Mapping[str, object], name: tuple[str, ...]) -> list[str]:
    """A table's own values, then its inner tables and lists of tables, each under its header."""
    inner = {key: value for key, value in table.items() if isinstance(value, Mapping) or _are_tables(value)}
    lines = [f"{key} = {_value(value)}" for key, value in table.items() if key not in inner]
    for key, value in inner.items():
        path = (*name, key)
        header = ".".join(json.dumps(part) for part in path)
        if isinstance(value, Mapping):
            lines += ["", f"[{header}]", *_lines(value, path)]
        elif isinstance(value, list | tuple):
            for each in value:
                lines += ["", f"[[{header}]]", *_lines(each, path)]
    return lines


def _are_tables(value: object) -> bool:
    return (
        isinstance(value, list | tuple) and bool(value) and all(isinstance(each, Mapping) for each in value)
    )


def _value(value: object) -> str:
    # JSON's strings, numbers, booleans and lists of strings are TOML's too
    return json.dumps(str(value) if isinstance(value, Path) else value)
