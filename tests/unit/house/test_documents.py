"""Documents point to what exists."""

import re
from pathlib import Path

import pytest

from tests.unit.house.tree import ROOT, project_files, text_of

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
COMMAND = re.compile(r"\./dev ([a-z][a-z-]*)")


def documents() -> list[Path]:
    return [path for path in project_files() if path.suffix == ".md"]


@pytest.mark.parametrize("path", documents(), ids=str)
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in LINK.findall(text_of(path) or ""):
        if not target.startswith(("https://", "http://")):
            assert (ROOT / path.parent / target).exists(), f"{path} links to {target}"


@pytest.mark.parametrize("path", documents(), ids=str)
def test_every_command_named_exists(path: Path) -> None:
    script = text_of(Path("dev")) or ""
    for command in COMMAND.findall(text_of(path) or ""):
        assert re.search(rf"^ *(?:[a-z-]+ \| )*{command}(?: \| [a-z-]+)*\)", script, re.MULTILINE), (
            f"./dev {command}"
        )


def test_every_decision_is_in_the_list() -> None:
    listed = set(re.findall(r"\((\d{4}-[a-z-]+\.md)\)", text_of(Path("docs/adr/README.md")) or ""))
    assert listed == {path.name for path in documents() if path.parent == Path("docs/adr")} - {"README.md"}
    for name in listed:
        text = text_of(Path("docs/adr") / name) or ""
        assert all(f"**{part}.**" in text for part in ("Context", "Options", "Outcome")), name
