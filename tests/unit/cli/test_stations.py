"""`pva station exchange`: what waits in a folder is sent once it has no answer, and goes on after a break."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from cli.station_folder import exchange, parts_in, refusals_in, take_up_refused
from edge.exchange_folder import ExchangeFolder
from edge.http_client import UnreachableError
from messages.enrollment import ENROLLMENT_BYTES_MAX
from messages.station import (
    ANSWERS,
    MESSAGES_MAX,
    PAGE_BYTES_MAX,
    Part,
    StationMessage,
    StationRefusal,
    file_name,
)
from tests.unit.cli.person import Person

REFUSAL = StationRefusal(code="ek-not-listed", subject="device", reason="not listed", remedy="import it")


def device(number: int) -> str:
    return f"{number:064x}"


class Desk:
    """A CA that answers everything but the devices it is told to refuse, and is away after some pages."""

    def __init__(self, *, refused: Sequence[str] = (), pages_max: int = 1_000) -> None:
        self.refused, self.pages_max = refused, pages_max
        self.pages: list[list[StationMessage]] = []

    def exchange(self, page: Sequence[StationMessage]) -> tuple[StationMessage, ...]:
        if len(self.pages) == self.pages_max:
            raise UnreachableError("https://ca.example.net", reason="Connection refused")
        self.pages.append(list(page))
        return tuple(self._answer(each) for each in page)

    def _answer(self, message: StationMessage) -> StationMessage:
        if message.device_id in self.refused:
            return StationMessage(device_id=message.device_id, part=Part.REFUSED, data=REFUSAL.encode())
        return StationMessage(
            device_id=message.device_id, part=ANSWERS[message.part], data=b"to " + message.data
        )

    @property
    def sent(self) -> list[tuple[str, Part]]:
        return [(each.device_id, each.part) for page in self.pages for each in page]


@pytest.fixture
def folder(tmp_path: Path) -> ExchangeFolder:
    return ExchangeFolder(tmp_path)


def put(folder: ExchangeFolder, number: int, *parts: Part, data: bytes = b"message") -> None:
    for part in parts:
        folder.write(file_name(device(number), part), data)


def test_both_messages_go_and_their_answers_come(folder: ExchangeFolder) -> None:
    put(folder, 1, Part.REQUEST)
    put(folder, 2, Part.REQUEST, Part.CHALLENGE, Part.ACTIVATION)
    (folder.path / "notes.txt").write_text("not ours")
    desk = Desk()
    done = exchange(folder, desk=desk)
    assert (done.sent, done.challenges, done.results, done.refused) == (2, 1, 1, 0)
    assert desk.sent == [(device(1), Part.REQUEST), (device(2), Part.ACTIVATION)]
    assert folder.read(file_name(device(2), Part.RESULT), bytes_max=100) == b"to message"
    # nothing has changed since, so nothing is sent
    assert exchange(folder, desk=desk).sent == 0


def test_it_goes_on_where_it_was_cut_short(folder: ExchangeFolder) -> None:
    for number in range(MESSAGES_MAX * 2 + 5):
        put(folder, number, Part.REQUEST)
    first = Desk(pages_max=1)
    with pytest.raises(UnreachableError):
        exchange(folder, desk=first)
    second = Desk()
    assert exchange(folder, desk=second).challenges == MESSAGES_MAX + 5
    assert [len(page) for page in second.pages] == [MESSAGES_MAX, 5]
    assert not set(first.sent) & set(second.sent)


def test_a_page_is_bounded_in_octets_too(folder: ExchangeFolder) -> None:
    count = 30
    for number in range(count):
        put(folder, number, Part.REQUEST, data=b"x" * ENROLLMENT_BYTES_MAX)
    desk = Desk()
    exchange(folder, desk=desk)
    assert len(desk.sent) == count
    for page in desk.pages:
        assert sum(4 * len(each.data) // 3 for each in page) < PAGE_BYTES_MAX
    assert len(desk.pages) == 3


@pytest.mark.negative
def test_a_refused_device_keeps_no_other_back_and_begins_again_when_told(folder: ExchangeFolder) -> None:
    put(folder, 1, Part.REQUEST, Part.CHALLENGE, Part.ACTIVATION)
    put(folder, 2, Part.REQUEST)
    desk = Desk(refused=[device(1)])
    done = exchange(folder, desk=desk)
    assert (done.challenges, done.refused) == (1, 1)
    assert list(refusals_in(folder, parts_in(folder))) == [(device(1), REFUSAL)]
    assert exchange(folder, desk=desk).sent == 0
    take_up_refused(folder)
    assert parts_in(folder)[device(1)] == {Part.REQUEST}
    again = Desk()
    assert exchange(folder, desk=again).challenges == 1
    assert again.sent == [(device(1), Part.REQUEST)]


@pytest.mark.negative
def test_a_file_that_is_no_message_is_refused_here(folder: ExchangeFolder) -> None:
    put(folder, 1, Part.REQUEST, data=b"x" * (ENROLLMENT_BYTES_MAX + 1))
    put(folder, 2, Part.REQUEST, data=b"")
    (folder.path / file_name(device(3), Part.REQUEST)).symlink_to("/etc/passwd")
    put(folder, 4, Part.REQUEST)
    put(folder, 5, Part.REFUSED, data=b"{")
    (folder.path / file_name(device(6), Part.REFUSED)).mkdir()
    desk = Desk()
    assert exchange(folder, desk=desk).sent == 1
    assert desk.sent == [(device(4), Part.REQUEST)]
    refusals = dict(refusals_in(folder, parts_in(folder)))
    assert {each.code for each in refusals.values()} == {"station-file"}
    assert set(refusals) == {device(number) for number in (1, 2, 3, 5, 6)}


def test_who_has_a_result_is_not_refused_any_more(folder: ExchangeFolder) -> None:
    put(folder, 1, Part.REQUEST, Part.RESULT)
    put(folder, 1, Part.REFUSED, data=REFUSAL.encode())
    take_up_refused(folder)
    assert list(refusals_in(folder, parts_in(folder))) == []
    assert Part.REFUSED in parts_in(folder)[device(1)]


@pytest.mark.negative
def test_the_command_ends_with_counts_and_refusals(tmp_path: Path) -> None:
    station = tmp_path / "station"
    station.mkdir()
    folder = ExchangeFolder(station)
    put(folder, 1, Part.REQUEST)
    put(folder, 2, Part.RESULT, Part.INSTALLED)
    told = {name: getattr(REFUSAL, name) for name in ("code", "subject", "reason", "remedy")}
    person = Person(
        folder=tmp_path,
        given={
            ("POST", "/v1/station-exchanges"): {"answers": [{"device_id": device(1), "refused": told}]},
        },
    )
    done = person.run("station", "exchange", str(station), "-o", "json")
    said = json.loads(done.stdout)
    assert done.exit_code == 1
    assert said["outcome"] == "refused"
    counts = {name: said[name] for name in ("sent", "refused", "devices", "issued", "installed")}
    assert counts == {"sent": 1, "refused": 1, "devices": 2, "issued": 1, "installed": 1}
    [row] = said["refusals"]
    assert row == {
        "device_id": device(1),
        "code": "ek-not-listed",
        "reason": "not listed",
        "remedy": "import it",
    }
    shown = person.run("station", "exchange", str(station))
    assert shown.exit_code == 1
    assert "import it" in shown.stdout
    assert "--again" in shown.stdout


def test_an_empty_folder_is_nothing_to_do(tmp_path: Path) -> None:
    (tmp_path / "station").mkdir()
    person = Person(folder=tmp_path)
    said = person.json("station", "exchange", str(tmp_path / "station"))
    assert (said["outcome"], said["sent"], said["refusals"]) == ("exchanged", 0, [])
    assert person.asked == []


@pytest.mark.negative
def test_without_the_ca_nothing_is_written(tmp_path: Path) -> None:
    station = tmp_path / "station"
    station.mkdir()
    put(ExchangeFolder(station), 1, Part.REQUEST)
    person = Person(folder=tmp_path, given={("POST", "/v1/station-exchanges"): UnreachableError})
    assert person.run("station", "exchange", str(station)).exit_code == 4
    assert [path.name for path in station.iterdir()] == [file_name(device(1), Part.REQUEST)]
    missing = person.run("station", "exchange", str(tmp_path / "gone"))
    assert missing.exit_code == 2
