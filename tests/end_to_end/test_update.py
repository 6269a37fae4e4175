"""`./dev demo update` as somebody runs it: every story of the update ends as it must, over the real processes."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from lab.update_demo import play_update_demo
from tests.tools import only_deep

ROOT = Path(__file__).parents[2]
STORIES = "abcdefghijklmnopqrs"


@pytest.mark.requirement("R82", "R79", "R32")
@pytest.mark.negative
@pytest.mark.timeout(900)
def test_an_update_from_its_announcement_to_the_end_of_the_old_state(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    only_deep(request)
    said = io.StringIO()
    console = Console(file=said, width=200)
    as_expected = play_update_demo(tmp_path / "lab", image=ROOT, console=console, software_tpm=True)
    text = said.getvalue()
    assert as_expected, text
    table = text.partition("How the stories ended")[2]
    told = re.findall(r"^[│|] ([a-z]+) ", table, re.MULTILINE)
    assert [name for name in told if name in STORIES] == list(STORIES), text
    for code in ("update-not-announced", "update-not-yet", "update-paused", "manifest-rollback"):
        assert f"refused: {code}" in table, text
    assert "superseded-state" in table
    assert re.search(r"the TPM answered 0x[0-9a-f]+", text), text
