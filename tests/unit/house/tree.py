"""The checkout as these tests see it: files that belong to the project, read once."""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
NOT_OURS = {".git", ".venv", ".pva", "__pycache__", "dist", "vendor"}


@cache
def project_files() -> tuple[Path, ...]:
    """Every file of the project, relative to its root; caches and vendored assets are not."""
    return tuple(
        sorted(
            path.relative_to(ROOT)
            for path in ROOT.rglob("*")
            if path.is_file() and not NOT_OURS & set(path.relative_to(ROOT).parts)
        )
    )


def python_files(*, tests: bool = True) -> list[Path]:
    """Python sources; without those of the tests when told so."""
    return [path for path in project_files() if path.suffix == ".py" and (tests or path.parts[0] != "tests")]


@cache
def pyproject() -> dict[str, Any]:
    """pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def text_of(path: Path) -> str | None:
    """Text of a project file; None for a binary one."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
