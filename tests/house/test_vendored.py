"""Files of others are what their table says: released, unchanged, each with its licence and its version."""

import hashlib
import re
from pathlib import Path

import pytest

from tests.house.tree import ROOT

FOLDERS = ("pva/web/static/vendor", "tests/vendor")
ROW = re.compile(
    r"^\| `(?P<file>[^`]+)` \| `(?P<package>[^`]+)` \| (?P<version>[0-9.]+) \| (?P<licence>[A-Za-z0-9.-]+) \| `(?P<digest>[0-9a-f]{64})` \|$",
    re.MULTILINE,
)
SAY_NO_VERSION = {"uplot/uPlot.min.css"}
FREE = {"0BSD", "MIT", "MPL-2.0"}
"""Licences that may stand beside Apache-2.0; MPL-2.0 keeps to its own files."""


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_is_the_released_one(folder: str) -> None:
    rows = {row["file"]: row for row in ROW.finditer((ROOT / folder / "README.md").read_text())}
    files = {
        path.relative_to(ROOT / folder).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.name != "README.md" and not path.name.startswith("LICENSE")
    }
    assert set(rows) == files
    for name, row in rows.items():
        data = (ROOT / folder / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["digest"], name
        assert name in SAY_NO_VERSION or row["version"].encode() in data, name
        assert row["licence"] in FREE
        assert (ROOT / folder / Path(name).parent / "LICENSE").is_file()
