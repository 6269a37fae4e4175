"""`./dev demo service` as somebody runs it: nodes die, the store restarts, versions roll, and every promise is kept."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from lab.nodes import MissingToolError, require_tools
from lab.service_demo import play_service_demo
from tests.tools import absent, only_deep

ROOT = Path(__file__).parents[2]
STORIES = "abcdefghijklmnop"


@pytest.mark.requirement("R94", "R95", "R101")
@pytest.mark.negative
@pytest.mark.timeout(1200)
def test_two_nodes_keep_what_one_promised(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    only_deep(request)
    try:
        require_tools()
    except MissingToolError as error:
        what, _, remedy = str(error).partition(" is missing: ")
        absent(what, remedy=remedy)
    said = io.StringIO()
    console = Console(file=said, width=200)
    as_expected = play_service_demo(tmp_path / "lab", image=ROOT, console=console, software_tpm=True)
    text = said.getvalue()
    assert as_expected, text
    table = text.partition("How the stories ended")[2]
    told = re.findall(r"^[│|] ([a-z]) ", table, re.MULTILINE)
    assert told == list(STORIES), text
    assert "store-unavailable" in text, "the restart of the store was not felt, so nothing was shown"
