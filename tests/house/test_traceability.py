"""The tables of requirements and checks come from literal markers of existing rows."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from tests.traceability import (
    ROOT,
    MarkerError,
    cell,
    collect,
    collect_places,
    markers,
    places,
    refuse_unknown,
    requirements_page,
)

VERDICT = [f"A{number}" for number in range(1, 32)]


def claimed(source: str) -> list[tuple[str, str, str]]:
    return list(markers(source, path="tests/unit/test_x.py"))


def test_markers_are_found_on_functions_parameters_classes_and_modules() -> None:
    source = """
pytestmark = [pytest.mark.requirement("R01")]

@pytest.mark.check("A1", "A2")
@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.check("A3"))])
def test_a(x): ...

class TestB:
    @pytest.mark.check("A4")
    def test_c(self): ...
"""
    assert set(claimed(source)) == {
        ("requirement", "R01", ""),
        ("check", "A1", "test_a"),
        ("check", "A2", "test_a"),
        ("check", "A3", "test_a"),
        ("check", "A4", "TestB"),
    }


@pytest.mark.parametrize("marker", ["check(ROW)", 'requirement(f"R{n}")', "check()", "check(1)"])
def test_a_marker_without_a_literal_row_is_an_error(marker: str) -> None:
    with pytest.raises(MarkerError, match=r"test_x\.py:1"):
        claimed(f"@pytest.mark.{marker}\ndef test_a(): ...")


def test_other_calls_are_no_markers() -> None:
    assert claimed('@pytest.mark.timeout("R1")\ndef test_a(): check("A1"); self.check("A2")') == []


def test_a_row_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(MarkerError, match="no check A99"):
        refuse_unknown({"A99": ["tests/x.py::t"]}, {"A1"}, kind="check")


def test_a_tree_is_collected_once_a_test(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_x.py").write_text(
        '@pytest.mark.check("A1")\ndef test_a():\n    pass\n\n@pytest.mark.check("A1")\ndef test_b(): ...\n'
    )
    assert collect(tmp_path)["check"] == {"A1": ["tests/test_x.py::test_a", "tests/test_x.py::test_b"]}


def test_a_page_counts_what_is_shown() -> None:
    rows = {row: {"clause": "1", "actor": "TRE", "duty": "d"} for row in ("R01", "R02")}
    page = requirements_page(rows, {"R02": ["tests/unit/test_x.py::test_a"]})
    assert "1 of 2 rows have a test." in page
    assert "| R01 | 1 | TRE | d | - |" in page
    assert "| R02 | 1 | TRE | d | [unit/test_x.py](../tests/unit/test_x.py): `test_a` |" in page


def test_many_tests_are_counted_not_listed() -> None:
    assert "`t3` and 2 more" in cell([f"tests/x.py::t{number}" for number in range(6)])


def test_a_check_is_where_its_number_stands_in_a_docstring_or_an_error() -> None:
    source = '''
"""Of the whole file (A1)."""

def verify():
    """Of a function (scheme of A4, A10-A12); A13 outside of brackets, and P256 (on P256) are none."""
    raise VerificationError("A5", "reason")

class Desk:
    def ask(self):
        """Of a method (O2)."""
'''
    assert list(places(source, path="pva/x.py")) == [
        ("A1", ""),
        ("A4", "verify"),
        ("A10", "verify"),
        ("A11", "verify"),
        ("A12", "verify"),
        ("A5", "verify"),
        ("O2", "Desk"),
    ]


@pytest.mark.parametrize("row", VERDICT)
def test_every_check_of_evidence_and_verdict_is_in_the_code_and_has_a_negative_test(row: str) -> None:
    in_code, tested = read_once()
    assert in_code[row]
    assert tested[row]


@cache
def read_once() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    return collect_places(ROOT), negatives(ROOT)


def negatives(root: Path) -> dict[str, list[str]]:
    """Tests by check that are marked as negative themselves."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted((root / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                marks = [ast.unparse(each) for each in node.decorator_list]
                if "pytest.mark.negative" in marks:
                    for mark in marks:
                        for row in re.findall(r"^pytest\.mark\.check\('(\w+)'\)$", mark):
                            found[row].append(node.name)
    return found
