"""Logs of every shape that the profile allows: read, replayed and described; tpm2_eventlog as the outside judge.

Where the judge differs, the log and the reason are named here, and each entry is itself tested.
"""

import signal
from pathlib import Path

import pytest

from standards.boot_log.boot_chain import boot_chain
from standards.boot_log.decode import decode_event_log
from standards.boot_log.describe import describe
from standards.boot_log.encode import encode_event_log
from standards.boot_log.event_log import LogFormat
from standards.boot_log.events import EVENT_TYPES
from standards.boot_log.replay import replay
from standards.boot_log.secure_boot import secure_boot_facts
from tests.conformance.test_boot_log import judged_pcrs, judgement
from tests.vectors.synthetic_logs import SHA256, UNKNOWN, SyntheticLog, good_logs

LOGS = good_logs()
JUDGE_DIFFERS = {
    "no action, every kind": "the judge extends the zeros that EV_NO_ACTION events have in place of a digest",
    "startup locality 3": "the judge starts PCR 0 from zeros, the log's StartupLocality says 3",
    "startup locality 4 and H-CRTM": "the judge starts PCR 0 from zeros, after an H-CRTM it starts from locality 4",
}
JUDGE_FAILS = {
    "every type with other data": (1, "the judge insists on the structure of variables and images"),
    "vendor algorithm": (1, "the judge takes sizes from its own table and not from the log's header"),
}
by_log = pytest.mark.parametrize("name", sorted(LOGS))


@pytest.mark.check("A17")
@pytest.mark.check("A18")
@pytest.mark.requirement("R71")
@by_log
def test_a_log_leads_where_its_events_lead(name: str) -> None:
    made = LOGS[name]
    log = decode_event_log(made.data)
    assert encode_event_log(log) == made.data
    assert (log.format is LogFormat.SHA1_LEGACY) == made.legacy
    assert [(each.pcr, each.type, each.data) for each in log.events] == [
        (each.pcr, each.type, each.data) for each in made.events
    ][1 if made.legacy and log.crypto_agile else 0 :]
    assert {bank: replay(log, bank=bank) for bank in made.values} == made.values


@by_log
def test_a_log_can_be_asked_everything(name: str) -> None:
    log = decode_event_log(LOGS[name].data)
    for bank in LOGS[name].values:
        secure_boot_facts(log, bank=bank)
        boot_chain(log, bank=bank)
    lines = [describe(event) for event in log.events]
    assert all(line.isprintable() and 0 < len(line) <= 500 for line in lines)


def test_every_type_of_the_profile_is_among_them() -> None:
    types = {event.type for made in LOGS.values() for event in made.events}
    assert types >= set(EVENT_TYPES) | set(UNKNOWN)


@pytest.mark.check("A20")
def test_what_shim_measured_is_known_by_its_names() -> None:
    facts = secure_boot_facts(decode_event_log(LOGS["shim"].data), bank=SHA256)
    assert [(each.pcr, each.name) for each in facts.mok] == [
        (7, "SbatLevel"),
        (7, "MokSBState"),
        (14, "MokList"),
        (14, "MokListX"),
        (14, "MokListTrusted"),
        (14, "SbatLevel"),
    ]
    assert facts.shim_validates
    assert next(each.content for each in facts.mok if each.name == "SbatLevel" and each.content)


@pytest.mark.check("A18")
@by_log
def test_tpm2_eventlog_agrees(name: str, tmp_path: Path) -> None:
    path = tmp_path / "log.bin"
    path.write_bytes(LOGS[name].data)
    if name in JUDGE_FAILS:
        judgement(path, returncode=JUDGE_FAILS[name][0])
        return
    judged = judged_pcrs(judgement(path))
    assert (judged == _named(LOGS[name])) is (name not in JUDGE_DIFFERS)


def _named(made: SyntheticLog) -> dict[str, dict[int, str]]:
    names = {0x0004: "sha1", 0x000B: "sha256", 0x000C: "sha384", 0x000D: "sha512"}
    return {
        names[bank]: {pcr: value.hex() for pcr, value in sorted(values.items())}
        for bank, values in made.values.items()
    }


def test_the_tables_of_the_judge_name_logs_that_there_are() -> None:
    assert {*JUDGE_FAILS, *JUDGE_DIFFERS} <= set(LOGS)
    assert all(code in {1, -signal.SIGSEGV} for code, _ in JUDGE_FAILS.values())
