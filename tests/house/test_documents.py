"""Documents point to what exists."""

import re
from pathlib import Path

import pytest

from tests.house.tree import ROOT, project_files, python_files, text_of

LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
DOCUMENT = re.compile(r"\b(?:docs/)[A-Za-z0-9_./-]+\.(?:md|toml|json)\b|\b[A-Z][A-Z-]{3,}\.md\b")
DECISION = re.compile(r"\bD(\d{1,2})\b")
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


def test_every_decision_that_the_code_names_has_a_page() -> None:
    pages = {path.name[:4] for path in documents() if path.parent == Path("docs/adr")}
    named = {
        int(number) for path in python_files(tests=False) for number in DECISION.findall(text_of(path) or "")
    }
    assert {f"{number:04}" for number in named} <= pages


def test_every_document_that_the_code_names_exists() -> None:
    missing = [
        f"{path}: {name}"
        for path in python_files()
        for name in DOCUMENT.findall(text_of(path) or "")
        if not any((ROOT / folder / name).exists() for folder in ("", "docs", "docs/howto"))
    ]
    assert missing == []
