"""The self-made boot logs: they are what their generator makes, and come to what their index says."""

import json
from typing import Any

import pytest

from standards.boot_log.algorithms import BANKS_BY_NAME
from standards.boot_log.decode import decode_event_log
from standards.boot_log.describe import describe
from standards.boot_log.errors import BootLogError
from standards.boot_log.events import EVENT_TYPES
from standards.boot_log.replay import replay
from tests.vectors import boot_logs

EXPECTED: dict[str, Any] = json.loads(boot_logs.INDEX.read_text(encoding="utf-8"))


def test_the_files_are_what_the_generator_makes() -> None:
    files = boot_logs.good_logs() | {name: data for name, (data, _) in boot_logs.bad_logs().items()}
    assert {path.name for path in boot_logs.FOLDER.iterdir()} == {*files, boot_logs.INDEX.name}
    for name, data in files.items():
        assert (boot_logs.FOLDER / name).read_bytes() == data, name
    assert boot_logs.index() == EXPECTED


@pytest.mark.check("A18")
@pytest.mark.parametrize("name", EXPECTED["good"])
def test_a_good_log_leads_to_its_values(name: str) -> None:
    log = decode_event_log((boot_logs.FOLDER / name).read_bytes())
    expected = EXPECTED["good"][name]
    assert [describe(event) for event in log.events] == expected["events"]
    for bank, values in expected["pcrs"].items():
        replayed = replay(log, bank=BANKS_BY_NAME[bank].id)
        assert {str(pcr): value.hex() for pcr, value in replayed.items()} == values


def test_there_is_an_event_of_every_type() -> None:
    logs = [
        decode_event_log((boot_logs.FOLDER / name).read_bytes())
        for name in ("every-event-type.bin", "h-crtm.bin")
    ]
    assert {event.type for log in logs for event in log.events} == set(EVENT_TYPES)


@pytest.mark.check("A17")
@pytest.mark.negative
@pytest.mark.parametrize("name", EXPECTED["bad"])
def test_a_bad_log_is_refused_by_its_part(name: str) -> None:
    with pytest.raises(BootLogError) as refused:
        decode_event_log((boot_logs.FOLDER / name).read_bytes())
    assert refused.value.what == EXPECTED["bad"][name]["refused_part"]
