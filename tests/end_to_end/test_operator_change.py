"""`./dev demo operator-change` as somebody runs it: broken off at every step, over the real processes, with one MID after each abort."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from lab.operator_change_demo import play_operator_change_demo
from tests.tools import only_deep

ROOT = Path(__file__).parents[2]
STORIES = [*("1a", "1b", "2", "3", "5", "6", "r", "7a", "4", "7b", "7c", "7d"), *("8a", "8b", "8c", "8d")]
STORIES += [*("9a", "9b", "9c", "10a", "10b")]


@pytest.mark.requirement("R23", "R66", "R118", "R119", "R120")
@pytest.mark.negative
@pytest.mark.timeout(900)
def test_a_change_of_operator_from_the_order_to_the_erasure(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    only_deep(request)
    said = io.StringIO()
    console = Console(file=said, width=200)
    as_expected = play_operator_change_demo(tmp_path / "lab", image=ROOT, console=console, software_tpm=True)
    text = said.getvalue()
    assert as_expected, text
    table = text.partition("How the stories ended")[2]
    told = re.findall(r"^[│|] ([0-9]+[a-d]?|r) ", table, re.MULTILINE)
    assert told == STORIES, text
    assert " NO " not in table
    exchanges = re.search(r"([0-9]+) exchanges through sho-1's bearer meanwhile, 0 lost", text)
    assert exchanges is not None, text
    assert int(exchanges[1]) > 0
