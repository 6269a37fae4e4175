"""`./dev demo hostile-agent` as somebody runs it: every attack ends as it must, over the real processes.

Under `./dev test --deep`; what each alteration is has a test of its own in every run (tests/property/test_hostile_alterations.py).
"""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from lab.hostile_agent.messages import cells
from lab.hostile_agent_demo import play_hostile_agent
from tests.tools import only_deep

ROOT = Path(__file__).parents[2]


@pytest.mark.requirement("R31", "R37", "R52", "R58", "R70", "R98")
@pytest.mark.negative
@pytest.mark.timeout(1800)
def test_no_attack_of_a_hostile_agent_gets_anything(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    only_deep(request)
    said = io.StringIO()
    as_expected = play_hostile_agent(
        tmp_path / "lab",
        image=ROOT,
        console=Console(file=said, width=200),
        software_tpm=False,
    )
    text = said.getvalue()
    assert as_expected, text
    counted = re.search(r"^(\d+) attacks on (\d+) message types; 0 ended otherwise", text, re.MULTILINE)
    assert counted, text
    assert int(counted[2]) >= len({message for message, _ in cells()})
    assert int(counted[1]) > 5 * len(cells())
    for flood in ("flood: signatures", "flood: memory and files", "flood: connections", "TPM, by whoever"):
        assert flood in text
