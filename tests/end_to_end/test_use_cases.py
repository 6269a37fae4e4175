"""`./dev demo use-cases` as somebody runs it: the car, the home gateway and the phone of 4.1.1, over the real processes."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from lab.use_case_demo import play_use_case_demo
from tests.tools import only_deep

ROOT = Path(__file__).parents[2]
STORIES = [*(f"a{number}" for number in range(1, 5)), *(f"b{number}" for number in range(1, 6))]
STORIES += [f"c{number}" for number in range(1, 7)]


@pytest.mark.requirement("R10", "R11", "R12", "R13", "R15", "R16", "R17", "R18", "R23", "R33", "R45")
@pytest.mark.negative
@pytest.mark.timeout(900)
def test_the_use_cases_from_power_on_to_their_ends(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    only_deep(request)
    said = io.StringIO()
    console = Console(file=said, width=200)
    as_expected = play_use_case_demo(tmp_path / "lab", image=ROOT, console=console, software_tpm=True)
    text = said.getvalue()
    assert as_expected, text
    table = text.partition("How the stories ended")[2]
    told = re.findall(r"^[│|] ([abc][0-9]) ", table, re.MULTILINE)
    assert told == STORIES, text
    assert " NO " not in table
    assert "another one serves cellular access" in text
    assert "is torn or not a record" in text
