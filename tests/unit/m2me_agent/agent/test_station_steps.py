"""What the agent does at a station without a network: one step a run, and nothing twice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.exchange_folder import ExchangeFolder
from m2me_agent.agent.enrollment import enroll_at_station
from m2me_agent.agent.errors import RefusedError
from m2me_agent.tre_protocol import Operation, Refusal
from messages.station import Part, StationRefusal, file_name

DEVICE = "ab" * 32
REFUSAL = StationRefusal(code="session-expired", subject="session", reason="it ended", remedy="begin again")
LIMITED = RefusedError(Refusal(code="rate-limited", subject="TRE", reason="too often", remedy="wait 9 s"))


class Tre:
    """A TRE that writes down what it is asked."""

    def __init__(self) -> None:
        self.request = b"request"
        self.credential: dict[str, str] = {}
        self.failing: dict[Operation, RefusedError] = {}
        self.asked: list[tuple[str, Any]] = []

    def ask(self, operation: Operation, parameters: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        if operation not in {Operation.STATUS, Operation.BEGIN_ENROLLMENT}:
            self.asked.append((operation.value, parameters))
        if operation in self.failing:
            raise self.failing[operation]
        if operation is Operation.INSTALL_CREDENTIAL:
            self.credential = {"serial": "01"}
        results: dict[Operation, Mapping[str, Any]] = {
            Operation.STATUS: {"status": {"device_id": DEVICE, "credential": self.credential}},
            Operation.BEGIN_ENROLLMENT: {"request": self.request},
            Operation.ACTIVATE: {"activation": b"activation"},
            Operation.INSTALL_CREDENTIAL: {"credential": self.credential},
        }
        return results[operation]


@pytest.fixture
def folder(tmp_path: Path) -> ExchangeFolder:
    return ExchangeFolder(tmp_path)


def put(folder: ExchangeFolder, part: Part, data: bytes) -> None:
    folder.write(file_name(DEVICE, part), data)


def parts(folder: ExchangeFolder) -> set[str]:
    return {name.partition(".")[2] for name in folder.names()}


def test_a_run_a_step_and_each_again_changes_nothing(folder: ExchangeFolder) -> None:
    tre = Tre()
    assert enroll_at_station(tre, folder)["outcome"] == "requested"
    waiting = enroll_at_station(tre, folder)
    assert (waiting["outcome"], waiting["for"]) == ("waiting", "challenge")
    assert "pva station exchange" in waiting["next"]
    put(folder, Part.CHALLENGE, b"challenge")
    assert enroll_at_station(tre, folder)["outcome"] == "activated"
    assert enroll_at_station(tre, folder)["for"] == "result"
    put(folder, Part.RESULT, b"result")
    done = enroll_at_station(tre, folder)
    assert (done["outcome"], done["device_id"], done["serial"]) == ("enrolled", DEVICE, "01")
    assert enroll_at_station(tre, folder)["outcome"] == "enrolled"
    # one signature exchange out of the TRE's allowance, and one installation
    assert tre.asked == [
        ("activate", {"challenge": b"challenge"}),
        ("install_credential", {"result": b"result"}),
    ]
    assert parts(folder) == {"request", "challenge", "activation", "result", "installed"}


@pytest.mark.negative
def test_an_old_result_does_not_come_back_over_a_newer_credential(folder: ExchangeFolder) -> None:
    tre = Tre()
    for part in (Part.REQUEST, Part.RESULT, Part.INSTALLED):
        put(folder, part, b"request")
    tre.credential = {"serial": "02"}
    assert enroll_at_station(tre, folder)["serial"] == "02"
    assert tre.asked == []
    # but a TRE that has lost its credential gets it again
    tre.credential = {}
    assert enroll_at_station(tre, folder)["serial"] == "01"


def test_what_a_break_lost_is_made_again(folder: ExchangeFolder) -> None:
    tre = Tre()
    put(folder, Part.REQUEST, b"request")
    put(folder, Part.CHALLENGE, b"challenge")
    tre.failing[Operation.ACTIVATE] = LIMITED
    with pytest.raises(RefusedError, match="too often"):
        enroll_at_station(tre, folder)
    assert parts(folder) == {"request", "challenge"}
    tre.failing.clear()
    assert enroll_at_station(tre, folder)["outcome"] == "activated"
    put(folder, Part.RESULT, b"result")
    tre.failing[Operation.INSTALL_CREDENTIAL] = LIMITED
    with pytest.raises(RefusedError):
        enroll_at_station(tre, folder)
    assert "installed" not in parts(folder)


def test_other_keys_begin_anew(folder: ExchangeFolder) -> None:
    """After TPM2_Clear the files are about keys that are gone."""
    tre = Tre()
    for part in Part:
        put(folder, part, b"request")
    tre.request = b"request of other keys"
    assert enroll_at_station(tre, folder)["outcome"] == "requested"
    assert parts(folder) == {"request"}
    assert tre.asked == []


@pytest.mark.negative
def test_a_refusal_is_told_and_the_device_begins_again(folder: ExchangeFolder) -> None:
    tre = Tre()
    for part in (Part.REQUEST, Part.CHALLENGE, Part.ACTIVATION):
        put(folder, part, b"request")
    put(folder, Part.REFUSED, REFUSAL.encode())
    told = enroll_at_station(tre, folder)
    assert told["outcome"] == "requested"
    assert (told["refused_code"], told["refused_remedy"]) == ("session-expired", "begin again")
    assert parts(folder) == {"request"}
    put(folder, Part.REFUSED, b"no refusal at all")
    assert "expected" in enroll_at_station(tre, folder)["refused_reason"]


@pytest.mark.negative
def test_a_folder_that_cannot_be_used_is_refused_with_a_remedy(folder: ExchangeFolder) -> None:
    (folder.path / file_name(DEVICE, Part.REQUEST)).mkdir()
    with pytest.raises(RefusedError) as caught:
        enroll_at_station(Tre(), folder)
    assert caught.value.code == "station-folder"
    assert caught.value.refusal.remedy
