"""Chunks of a batch feed: each line under the head's signature, each fault under the number of its line."""

import json
from datetime import UTC, datetime

import pytest

from messages.batch import BatchDevice
from messages.batch_feed import (
    CHUNK_LINES,
    FAULTS_SHOWN,
    LINE_BYTES_MAX,
    ChunkError,
    FeedHead,
    chunk_digests,
    feed_lines,
    read_chunk,
    read_head,
)
from messages.errors import MessageError
from tests.fakes.batch_feeds import devices

AT = datetime(2026, 6, 1, tzinfo=UTC)
LISTED = devices(CHUNK_LINES + 3)
LINES = list(feed_lines(LISTED))

pytestmark = pytest.mark.requirement("R78")


def head_of(lines: list[bytes]) -> FeedHead:
    return FeedHead(
        batch="b", supplier="s", issued_at=AT, devices=len(lines), chunks=tuple(chunk_digests(lines))
    )


HEAD = head_of(LINES)
LAST = LINES[CHUNK_LINES:]


def read(lines: list[bytes], *, head: FeedHead = HEAD, number: int = 1) -> tuple[BatchDevice, ...]:
    return read_chunk(b"\n".join(lines), number=number, head=head)


def faults(lines: list[bytes], *, head: FeedHead = HEAD, number: int = 1) -> list[str]:
    with pytest.raises(ChunkError) as caught:
        read(lines, head=head, number=number)
    return [str(each) for each in caught.value.faults]


def signed(contents: list[bytes]) -> tuple[list[bytes], FeedHead]:
    """Lines with these contents, under a head that a supplier signed for them."""
    lines = [b"A" * 43 + b" " + content for content in contents]
    return lines, head_of(lines)


def test_what_was_listed_is_read_chunk_by_chunk() -> None:
    assert read(LINES[:CHUNK_LINES], number=0) + read(LAST) == tuple(LISTED)
    assert read_chunk(b"\n".join(LAST) + b"\n", number=1, head=HEAD) == tuple(LISTED[CHUNK_LINES:])
    assert list(HEAD.lines_of(1)) == [1002, 1003, 1004]


def test_a_head_is_read_back() -> None:
    assert read_head(json.loads(json.dumps(HEAD.claims()))) == HEAD


@pytest.mark.negative
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"devices": 0}, "devices"),
        ({"devices": 100_001}, "devices"),
        ({"devices": CHUNK_LINES}, "chunks"),
        ({"chunks": ["x", "y"]}, "chunks.0"),
        ({"chunks": []}, "chunks"),
        ({"batch": ""}, "batch"),
        ({"supplier": "s" * 65}, "supplier"),
        ({"iat": "now"}, "iat"),
        ({"note": 1}, "also note"),
    ],
)
def test_a_head_with_a_fault_is_refused(change: dict[str, object], named: str) -> None:
    with pytest.raises(MessageError, match=named):
        read_head({**HEAD.claims(), **change})


@pytest.mark.negative
def test_a_forged_entry_is_named_by_its_line() -> None:
    forged = LAST[1].replace(b"gw-1", b"gw-2")
    assert faults([LAST[0], forged, LAST[2]]) == ["line 1003: is not the entry that was signed"]


@pytest.mark.negative
def test_an_entry_that_was_forged_with_its_digest_is_refused_with_the_chunk() -> None:
    (other,) = feed_lines(devices(1, first=9_000))
    assert faults([LAST[0], other, LAST[2]]) == [
        "line 1002: lines 1002 to 1004 have other digests than those signed"
    ]


@pytest.mark.negative
@pytest.mark.parametrize("lines", [LAST[:2], [*LAST, LAST[0]], [], [LAST[0], b"", LAST[1], LAST[2]]])
def test_lines_that_are_missing_or_too_many_are_refused(lines: list[bytes]) -> None:
    assert faults(lines) == [f"line 1002: expected 3 lines to line 1004, got {max(1, len(lines))}"]


@pytest.mark.negative
def test_lines_in_another_order_are_refused() -> None:
    assert len(faults([LAST[1], LAST[0], LAST[2]])) == 1


@pytest.mark.negative
def test_a_line_that_is_too_long_is_refused_before_it_is_read() -> None:
    assert faults([LAST[0], LAST[1] + b" " * LINE_BYTES_MAX, LAST[2]]) == [
        f"line 1003: is longer than {LINE_BYTES_MAX} bytes"
    ]


@pytest.mark.negative
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is no JSON"),
        (b"{", "is no JSON"),
        (b"[" * 500, "is no JSON"),
        (b"\xff", "is no JSON"),
        (b"[]", "device: expected a map"),
        (b'{"device_id": "00", "model": "m", "serial": "s"}', "device.device_id"),
        (b'{"device_id": "%s", "model": "m"}' % (b"0" * 64), "device.serial"),
        (b'{"device_id": "%s", "model": "m", "serial": "s", "x": 1}' % (b"0" * 64), "also x"),
    ],
)
def test_a_signed_line_that_is_no_device_is_named(content: bytes, reason: str) -> None:
    good = LINES[0].partition(b" ")[2]
    lines, head = signed([good, content])
    (fault,) = faults(lines, head=head, number=0)
    assert fault.startswith("line 3: ")
    assert reason in fault


@pytest.mark.negative
def test_a_device_or_serial_twice_in_a_chunk_is_named_with_the_line_before() -> None:
    first = LISTED[0]
    twice = [
        first,
        LISTED[1],
        BatchDevice(device_id=first.device_id, model="gw-1", serial="other"),
        BatchDevice(device_id="f" * 64, model=first.model, serial=first.serial),
    ]
    lines = list(feed_lines(twice))
    assert faults(lines, head=head_of(lines), number=0) == [
        "line 4: names the device of line 2 again",
        "line 5: names the serial of line 2 again",
    ]


@pytest.mark.negative
def test_of_many_faults_the_first_are_shown_and_the_others_counted() -> None:
    lines, head = signed([b"{}"] * (FAULTS_SHOWN + 5))
    with pytest.raises(ChunkError, match="and 5 more") as caught:
        read(lines, head=head, number=0)
    assert len(caught.value.faults) == FAULTS_SHOWN + 5
