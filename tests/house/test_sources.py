"""Sources stay within what one person can hold, and import nothing that is not declared."""

import ast
import sys
from collections.abc import Iterator
from importlib.metadata import files

from tests.house.tree import ROOT, names, pyproject, python_files, statements_of_the_product

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 70
PARAMETERS_MAX = 6

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of_the_product() -> Iterator[tuple[str, Function]]:
    """Every function with its place; a migration is a table of columns and not counted."""
    for path, statements in statements_of_the_product().items():
        if "migrations" in path.parts:
            continue
        for statement in statements:
            if isinstance(statement, Function):
                yield f"{path}:{statement.lineno} {statement.name}", statement


def length_without_docstring(function: Function) -> int:
    first = function.body[0]
    docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    lines = (function.end_lineno or 0) - function.lineno + 1
    return lines - ((first.end_lineno or 0) - first.lineno + 1) if docstring else lines


def parameters(function: Function) -> list[str]:
    arguments = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    return [argument.arg for argument in arguments if argument.arg not in {"self", "cls"}]


def test_a_file_fits_on_a_few_screens() -> None:
    lines = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {path: count for path, count in lines.items() if count > FILE_LINES_MAX} == {}


def test_a_function_fits_on_one_screen() -> None:
    lines = {place: length_without_docstring(function) for place, function in functions_of_the_product()}
    assert {place: count for place, count in lines.items() if count > FUNCTION_LINES_MAX} == {}


def test_a_function_takes_few_things_and_names_them() -> None:
    taken = {place: parameters(function) for place, function in functions_of_the_product()}
    assert {place: names for place, names in taken.items() if len(names) > PARAMETERS_MAX} == {}


def foreign_modules() -> set[str]:
    """Top-level modules that the product imports and that are neither its own nor Python's."""
    modules = set()
    for statements in statements_of_the_product().values():
        for statement in statements:
            if isinstance(statement, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in statement.names}
            elif isinstance(statement, ast.ImportFrom) and statement.module and statement.level == 0:
                modules.add(statement.module.split(".")[0])
    rooms = set(pyproject()["tool"]["importlinter"]["root_packages"]) | {"bench", "tests"}
    return modules - rooms - set(sys.stdlib_module_names)


def test_every_import_is_declared() -> None:
    # flask brings werkzeug and markupsafe as its other halves and jinja2 for its templates, uvicorn brings h11 as its parser
    project = pyproject()["project"]
    # what an extra brings is imported by one file, which is loaded where the settings ask for it
    extra = names(project["optional-dependencies"]["hsm"]) | names(
        project["optional-dependencies"]["postgres"]
    )
    declared = names(project["dependencies"]) | {"werkzeug", "markupsafe", "jinja2", "h11"} | extra
    installed = {file.parts[0].split(".")[0] for name in declared for file in files(name) or []}
    assert foreign_modules() - installed == set()
