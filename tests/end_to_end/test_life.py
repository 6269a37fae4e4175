"""`./dev demo life` as somebody runs it: blocked, opened, instructed, updated, moved and erased, over the real processes."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from lab.life_demo import play_life_demo
from tests.tools import only_deep

ROOT = Path(__file__).parents[2]
STORIES = "abcdefghijklmnopqrst"


@pytest.mark.requirement("R34", "R37", "R38", "R46", "R56", "R57", "R58", "R59")
@pytest.mark.negative
@pytest.mark.timeout(900)
def test_a_mid_from_its_first_block_to_its_erasure(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    only_deep(request)
    said = io.StringIO()
    console = Console(file=said, width=200)
    as_expected = play_life_demo(tmp_path / "lab", image=ROOT, console=console, software_tpm=True)
    text = said.getvalue()
    assert as_expected, text
    table = text.partition("How the stories ended")[2]
    told = re.findall(r"^[│|] ([a-z]+) ", table, re.MULTILINE)
    assert [name for name in told if name in STORIES] == list(STORIES), text
    for code in ("instruction-refused", "order-refused", "mid-refused"):
        assert f"refused: {code}" in table, text
    assert "its key is no longer in the TPM" in text
