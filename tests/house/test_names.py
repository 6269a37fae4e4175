"""Words that have no place here: rooms without a subject, dead abbreviations, places of one machine."""

import re
from pathlib import Path

import pytest

from tests.house.tree import project_files, python_files, text_of

NAMELESS = {"utils", "util", "helpers", "helper", "common", "misc", "core", "base", "manager", "interfaces"}
# an absolute path into somebody's home, checkout or scratch folder
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:home|root|work|Users|mnt)/[A-Za-z0-9_.]")
DEAD_NAMES = re.compile(r"\b(?:DP-SP|DR-SP|MCIM)\b")
UNFINISHED = re.compile(r"\b(?:TODO|FIXME|XXX|NotImplementedError)\b")
HOST_IN_LOCK = re.compile(r"https?://|--(?:extra-)?index-url|--find-links|--trusted-host")

# the one place that explains each of them
EXPLAINS_DEAD_NAMES = {
    Path("docs/GLOSSARY.md"),
    Path("docs/SOURCE-FAULTS.md"),
    Path("tests/house/test_names.py"),
}


def offenders(pattern: re.Pattern[str], *, besides: set[Path]) -> list[str]:
    found = []
    for path in project_files():
        text = text_of(path)
        if path in besides or text is None:
            continue
        found += [
            f"{path}:{number}: {line.strip()[:120]}"
            for number, line in enumerate(text.splitlines(), 1)
            if pattern.search(line)
        ]
    return found


def test_no_room_or_file_is_without_a_subject() -> None:
    for path in python_files():
        assert not NAMELESS & {part.removesuffix(".py") for part in path.parts}, path


def test_no_path_of_a_machine_is_written_down() -> None:
    assert offenders(MACHINE_PATH, besides={Path("tests/house/test_names.py")}) == []


@pytest.mark.requirement("R04")
def test_every_role_has_one_name() -> None:
    assert offenders(DEAD_NAMES, besides=EXPLAINS_DEAD_NAMES) == []


def test_nothing_unfinished_is_left_in_the_product() -> None:
    assert [
        line for line in offenders(UNFINISHED, besides=set()) if not line.startswith(("tests/", "pyproject"))
    ] == []


def test_lock_files_name_packages_and_hashes_and_no_host() -> None:
    locks = [
        path for path in project_files() if path.suffix == ".lock" and path.name.startswith("requirements")
    ]
    assert len(locks) == 3
    for path in locks:
        text = text_of(path) or ""
        assert not HOST_IN_LOCK.search(text), path
        pins = re.findall(r"^[a-z0-9][\w.\-]*==\S+.*\\$", text, re.MULTILINE)
        assert len(pins) > 20
        assert text.count("--hash=sha256:") >= len(pins)
