"""Files and functions stay within what one person can hold."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.house.tree import ROOT, python_files

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 6

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[Function]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length_without_docstring(function: Function) -> int:
    first = function.body[0]
    docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    lines = (function.end_lineno or 0) - function.lineno + 1
    return lines - ((first.end_lineno or 0) - first.lineno + 1) if docstring else lines


@pytest.mark.parametrize("path", python_files(), ids=str)
def test_a_file_fits_on_a_few_screens(path: Path) -> None:
    lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert lines <= FILE_LINES_MAX, (
        f"{path} has {lines} lines; a file that has outgrown itself becomes a folder"
    )


# a migration is a table of columns
@pytest.mark.parametrize(
    "path", [one for one in python_files(tests=False) if "migrations" not in one.parts], ids=str
)
def test_a_function_fits_on_one_screen(path: Path) -> None:
    long = {
        f"{path}:{function.lineno} {function.name}": length_without_docstring(function)
        for function in functions(path)
    }
    assert {name: lines for name, lines in long.items() if lines > FUNCTION_LINES_MAX} == {}


@pytest.mark.parametrize("path", python_files(tests=False), ids=str)
def test_a_function_takes_few_things_and_names_them(path: Path) -> None:
    crowded = [
        f"{path}:{function.lineno} {function.name}"
        for function in functions(path)
        if len([one for one in positional(function) if one not in {"self", "cls"}])
        + len(function.args.kwonlyargs)
        > PARAMETERS_MAX
    ]
    assert crowded == []


def positional(function: Function) -> list[str]:
    return [argument.arg for argument in function.args.posonlyargs + function.args.args]
