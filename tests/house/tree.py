"""The checkout as these tests see it: files that belong to the project, read and parsed once."""

import ast
import os
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NOT_OURS = {".git", ".import_linter_cache", ".venv", ".pva", "__pycache__", "dist", "vendor"}


@cache
def project_files() -> tuple[Path, ...]:
    """Every file of the project, relative to its root; caches and vendored assets are not."""
    found = []
    for place, folders, names in os.walk(ROOT):
        folders[:] = set(folders) - NOT_OURS
        found += [Path(place, name).relative_to(ROOT) for name in names if name not in NOT_OURS]
    return tuple(sorted(path for path in found if (ROOT / path).is_file()))


def python_files(*, tests: bool = True) -> list[Path]:
    """Python sources; without those of the tests when told so."""
    return [path for path in project_files() if path.suffix == ".py" and (tests or path.parts[0] != "tests")]


@cache
def pyproject() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def names(requirements: list[str]) -> set[str]:
    """Canonical names of the distributions that requirements name."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[<>=\[; ]", each)[0]).lower() for each in requirements}


@cache
def statements_of_the_product() -> dict[Path, tuple[ast.stmt, ...]]:
    """Every statement of each source that is no test, however deep it stands."""
    return {
        path: tuple(_statements(ast.parse((ROOT / path).read_text(encoding="utf-8"))))
        for path in python_files(tests=False)
    }


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    # expressions hold no statements, and are nine nodes of ten
    for field in ("body", "orelse", "handlers", "cases", "finalbody"):
        for inner in getattr(node, field, ()):
            if isinstance(inner, ast.stmt):
                yield inner
            yield from _statements(inner)


@cache
def text_of(path: Path) -> str | None:
    """Text of a project file; None for a binary one."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
