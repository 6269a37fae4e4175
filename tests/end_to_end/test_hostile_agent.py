"""`./dev demo hostile-agent` as somebody runs it: every attack ends as it must, over the real processes.

In a normal run each so many of the alterations of a field is played, from a place that differs from day to day of the year; all
other attacks are. `./dev test --deep` plays every one.
"""

import io
import re
from pathlib import Path

import pytest
from hypothesis import settings
from rich.console import Console

from edge.process import system_clock
from lab.hostile_agent.messages import cells
from lab.hostile_agent_demo import play_hostile_agent

ROOT = Path(__file__).parents[2]
EXAMPLES, STRIDE = 100, 12


@pytest.mark.requirement("R31", "R37", "R52", "R58", "R70", "R98")
@pytest.mark.negative
@pytest.mark.timeout(1800)
def test_no_attack_of_a_hostile_agent_gets_anything(tmp_path: Path) -> None:
    stride = 1 if settings().max_examples > EXAMPLES else STRIDE
    said = io.StringIO()
    as_expected = play_hostile_agent(
        tmp_path / "lab",
        image=ROOT,
        console=Console(file=said, width=200),
        software_tpm=True,
        stride=stride,
        first=system_clock().timetuple().tm_yday,
    )
    text = said.getvalue()
    assert as_expected, text
    counted = re.search(r"^(\d+) attacks on (\d+) message types; 0 ended otherwise", text, re.MULTILINE)
    assert counted, text
    assert int(counted[2]) == len({message for message, _ in cells()})
    assert int(counted[1]) > 5 * len(cells())
    for flood in ("flood: signatures", "flood: memory and files", "flood: connections", "TPM, by whoever"):
        assert flood in text
