"""The wheel holds the rooms, whole, and needs nothing of the checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT, project_files, pyproject
from tests.wheel import unpacked_wheel

ROOMS = pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
IMPORT = """
import importlib, pathlib, sys
sys.path = [sys.argv[1], *(each for each in sys.path if pathlib.Path(each) != pathlib.Path(sys.argv[2]))]
for name in sys.argv[3:]:
    assert importlib.import_module(name).__file__.startswith(sys.argv[1]), name
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpacked_wheel(tmp_path_factory.mktemp("wheel"))


def test_it_holds_every_file_of_every_room_and_no_other(wheel: Path) -> None:
    held = {path.relative_to(wheel) for path in wheel.rglob("*") if path.is_file()}
    described = {path for path in held if path.parts[0].endswith(".dist-info")}
    rooms = {path for path in project_files() if path.parts[0] in ROOMS}
    vendored = {
        path.relative_to(ROOT) for path in (ROOT / "pva/web/static/vendor").rglob("*") if path.is_file()
    }
    assert held - described == rooms | vendored
    assert {path.name for path in described} >= {"METADATA", "entry_points.txt", "LICENSE"}


def test_the_pva_and_its_command_start_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-P", "-c", IMPORT, str(wheel), str(ROOT), "pva.app", "cli.app"]
    told = subprocess.run(
        words, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
