"""The folder of a station: names, what waits, and refusals as files."""

import json

import pytest

from messages.errors import MessageError
from messages.station import (
    REFUSAL_BYTES_MAX,
    Part,
    StationRefusal,
    file_name,
    read_name,
    waits_for_ca,
)

DEVICE = "d1" * 32
REFUSAL = StationRefusal(code="ek-not-listed", subject=DEVICE, reason="not listed", remedy="import the batch")


def test_a_name_says_device_and_part() -> None:
    for part in Part:
        assert read_name(file_name(DEVICE, part)) == (DEVICE, part)


@pytest.mark.negative
@pytest.mark.parametrize(
    "name",
    [
        "",
        DEVICE,
        f"{DEVICE}.",
        f"{DEVICE}.key",
        f"{DEVICE}.request.4711.new",
        f"{DEVICE.upper()}.request",
        f"{DEVICE[1:]}.request",
        f"../{DEVICE[3:]}.request",
        "request",
    ],
)
def test_other_files_are_none_of_ours(name: str) -> None:
    assert read_name(name) is None


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ("", None),
        ("request", "request"),
        ("request challenge", None),
        ("request challenge activation", "activation"),
        ("activation", "activation"),
        ("request challenge activation result", None),
        ("request challenge activation result installed", None),
        ("request challenge activation installed", None),
        ("request refused", None),
        ("request challenge activation refused", None),
        ("challenge", None),
    ],
)
def test_what_waits_for_the_ca_has_no_answer_yet(parts: str, expected: str | None) -> None:
    assert waits_for_ca({Part(each) for each in parts.split()}) == expected


def test_a_refusal_comes_back_as_it_was() -> None:
    assert StationRefusal.decode(REFUSAL.encode()) == REFUSAL
    assert set(json.loads(REFUSAL.encode())) == {"code", "subject", "reason", "remedy"}


@pytest.mark.negative
def test_what_a_terminal_would_act_on_is_left_out() -> None:
    loud = StationRefusal(code="c", subject="s", reason="\x1b[2Jgone\n" + "\U0001f511" * 3_000, remedy="r")
    encoded = loud.encode()
    assert len(encoded) < REFUSAL_BYTES_MAX
    assert StationRefusal.decode(encoded).reason.startswith("?[2Jgone?")


@pytest.mark.negative
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        REFUSAL.encode()[:-3],
        json.dumps({"code": "c", "subject": "s", "reason": "r"}).encode(),
        json.dumps({"code": "c", "subject": "s", "reason": 1, "remedy": "r"}).encode(),
        json.dumps({"code": "c", "subject": "s", "reason": "\x1b", "remedy": "r"}).encode(),
        json.dumps({"code": "c", "subject": "s", "reason": "r" * 2_001, "remedy": "r"}).encode(),
        b"[" * 100_000,
    ],
)
def test_what_is_no_refusal_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        StationRefusal.decode(data)
