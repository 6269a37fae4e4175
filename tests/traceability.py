"""Which requirement and which check has a test, and where in the code a check is: collects both, writes two tables.

`python -m tests.traceability --write` renews docs/REQUIREMENTS.md and docs/CHECKS.md; `--check` fails when
they are stale, when a marker names an unknown row, or when a marker's row is not a literal. The tests are
parsed, not run: a row counts as shown when a test says so, and the test run says whether it is true.

Where a check is in the code, its number stands in brackets in the docstring of the function, class or module that makes it,
as in (A7), (A1, A4) or (A10-A13), or is the first argument of what raises its error.
"""

import argparse
import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
KINDS = ("requirement", "check")
NAMES_SHOWN = 4

ROOMS = ("pva", "ca", "ocsp", "m2me_agent", "operators", "messages", "standards", "edge", "clients", "cli")
_BRACKETS = re.compile(r"\(([^()]*)\)")
_ROWS = re.compile(r"\b([AOLNPE])(\d{1,2})(?:-(?:\1)?(\d{1,2}))?\b")

Shown = Mapping[str, list[str]]


class MarkerError(Exception):
    """A marker that cannot be counted: where it stands and what is wrong with it."""


def markers(source: str, *, path: str) -> Iterator[tuple[str, str, str]]:
    """Every (kind, row, name of the test) that one test file claims.

    A marker of the module or of a class is told under the file's or class's name.
    """
    yield from _in_body(ast.parse(source, filename=path), name="", path=path)


def _in_body(node: ast.AST, *, name: str, path: str) -> Iterator[tuple[str, str, str]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _in_body(child, name=name or child.name, path=path)
            continue
        if isinstance(child, ast.Call) and (kind := _kind(child.func)):
            for argument in child.args or [child.func]:
                if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                    raise MarkerError(
                        f"{path}:{child.lineno}: the rows of a {kind} marker must be literal strings"
                    )
                yield kind, argument.value, name
        yield from _in_body(child, name=name, path=path)


def _kind(function: ast.expr) -> str | None:
    if not (isinstance(function, ast.Attribute) and function.attr in KINDS):
        return None
    mark = function.value
    return function.attr if isinstance(mark, ast.Attribute) and mark.attr == "mark" else None


def collect(root: Path) -> dict[str, dict[str, list[str]]]:
    """For each kind: row -> tests, as `path::name`, sorted."""
    found: dict[str, dict[str, list[str]]] = {kind: defaultdict(list) for kind in KINDS}
    for path in sorted((root / "tests").rglob("*.py")):
        relative = path.relative_to(root).as_posix()
        for kind, row, name in markers(path.read_text(encoding="utf-8"), path=relative):
            where = f"{relative}::{name}" if name else relative
            if where not in found[kind][row]:
                found[kind][row].append(where)
    return found


def places(source: str, *, path: str) -> Iterator[tuple[str, str]]:
    """Every (check, name of what makes it) that one file of the code claims; without a name where the whole file does."""
    yield from _claims(ast.parse(source, filename=path), name="")


def _claims(node: ast.AST, *, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        for row in rows_in_brackets(ast.get_docstring(node) or ""):
            yield row, name
    for child in ast.iter_child_nodes(node):
        inner = name
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = name or child.name
        if isinstance(child, ast.Call) and child.args:
            first = child.args[0]
            if (
                isinstance(first, ast.Constant)
                and isinstance(first.value, str)
                and _ROWS.fullmatch(first.value)
            ):
                yield first.value, name
        yield from _claims(child, name=inner)


def rows_in_brackets(text: str) -> Iterator[str]:
    """Rows that stand in brackets, ranges written out."""
    for inside in _BRACKETS.findall(text):
        for kind, first, last in _ROWS.findall(inside):
            for number in range(int(first), int(last or first) + 1):
                yield f"{kind}{number}"


def collect_places(root: Path) -> dict[str, list[str]]:
    """For each check: places in the code, as `path::name`, sorted."""
    found: dict[str, list[str]] = defaultdict(list)
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            relative = path.relative_to(root).as_posix()
            for row, name in places(path.read_text(encoding="utf-8"), path=relative):
                where = f"{relative}::{name}" if name else relative
                if where not in found[row]:
                    found[row].append(where)
    return found


def refuse_unknown(shown: Shown, known: set[str], *, kind: str) -> None:
    """Raise MarkerError when a marker names a row that the data file does not have."""
    for row, tests in sorted(shown.items()):
        if row not in known:
            raise MarkerError(f"{tests[0]}: there is no {kind} {row}; see docs/{kind}s.toml")


def cell(tests: list[str]) -> str:
    """Tests of one row as links, a few by name."""
    if not tests:
        return "-"
    by_file: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        path, _, name = test.partition("::")
        by_file[path].append(name)
    parts = []
    for path, names in by_file.items():
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        listed = ", ".join(f"`{name}`" for name in names[:NAMES_SHOWN] if name)
        parts.append(f"[{path.removeprefix('tests/')}](../{path})" + (f": {listed}{more}" if listed else ""))
    return "<br>".join(parts)


def requirements_page(rows: Mapping[str, Mapping[str, str]], shown: Shown) -> str:
    """docs/REQUIREMENTS.md."""
    lines = [
        "# Requirements",
        "",
        "Every duty that 3GPP TR 33.812 puts on an actor, numbered once; code, tests and ADRs use these numbers.",
        "What the source itself gets wrong is in [SOURCE-FAULTS.md](SOURCE-FAULTS.md).",
        f"{sum(1 for row in rows if shown.get(row))} of {len(rows)} rows have a test.",
        "",
        "*Generated from requirements.toml and the tests' markers by `./dev fix`; not to be edited.*",
        "",
        "| id | clause | actor | duty | shown by |",
        "|---|---|---|---|---|",
    ]
    for row, about in rows.items():
        tests = cell(shown.get(row, []))
        lines.append(f"| {row} | {about['clause']} | {about['actor']} | {about['duty']} | {tests} |")
    return "\n".join(lines) + "\n"


def checks_page(groups: Mapping[str, Mapping[str, str]], shown: Shown, made: Shown) -> str:
    """docs/CHECKS.md."""
    rows = [row for group in groups.values() for row in group if row != "title"]
    lines = [
        "# Checks",
        "",
        "What verifier, certification authority and responder check, numbered so that findings can name it.",
        f"{sum(1 for row in rows if shown.get(row))} of {len(rows)} have a test.",
        "",
        "*Generated from checks.toml, the tests' markers and the numbers in the code's docstrings by `./dev fix`; not to be edited.*",
    ]
    for group in groups.values():
        lines += [
            "",
            f"## {group['title']}",
            "",
            "| id | check | in the code | shown by |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {row} | {text} | {cell(made.get(row, []))} | {cell(shown.get(row, []))} |"
            for row, text in group.items()
            if row != "title"
        ]
    return "\n".join(lines) + "\n"


def pages(root: Path) -> dict[Path, str]:
    """Both pages as they should be; raises MarkerError."""
    rows = tomllib.loads((root / "docs" / "requirements.toml").read_text(encoding="utf-8"))
    groups = tomllib.loads((root / "docs" / "checks.toml").read_text(encoding="utf-8"))
    shown = collect(root)
    refuse_unknown(shown["requirement"], set(rows), kind="requirement")
    refuse_unknown(
        shown["check"], {row for group in groups.values() for row in group} - {"title"}, kind="check"
    )
    return {
        root / "docs" / "REQUIREMENTS.md": requirements_page(rows, shown["requirement"]),
        root / "docs" / "CHECKS.md": checks_page(groups, shown["check"], collect_places(root)),
    }


def main() -> int:
    """Write the pages, or say which are stale."""
    parser = argparse.ArgumentParser(description="tables of requirements and checks with their tests")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="renew docs/REQUIREMENTS.md and docs/CHECKS.md")
    what.add_argument("--check", action="store_true", help="fail when they are stale")
    arguments = parser.parse_args()
    try:
        wanted = pages(ROOT)
    except MarkerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    stale = [
        path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if arguments.write:
        for path in stale:
            path.write_text(wanted[path], encoding="utf-8")
        return 0
    for path in stale:
        sys.stderr.write(f"{path.relative_to(ROOT)} is stale: run ./dev fix and commit it\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
