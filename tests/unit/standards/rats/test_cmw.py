"""Records of the conceptual message wrapper."""

import pytest

from standards.rats.cmw import Record, decode_record, encode_record, value_of_record
from standards.rats.errors import RatsError


def test_a_record_is_type_and_value() -> None:
    record = encode_record("application/eat+cwt", b"\x01\x02")
    assert record == b"\x82\x73application/eat+cwt\x42\x01\x02"
    assert decode_record(record, bytes_max=100) == Record(media_type="application/eat+cwt", value=b"\x01\x02")


@pytest.mark.negative
@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x61a",
        b"\x83\x61a\x41a\x04",  # with an indicator
        b"\x82\x18\x1e\x41a",  # with a content format
        b"\x82\x60\x41a",
        b"\x82\x61a\x61a",
        b"\xa1\x61a\x41a",
        b"\xda\x63\x74\x01\x01\x41a",  # the tag form
        b"\x82\x61a\x58\x01a",  # not the shortest length
    ],
)
def test_other_forms_are_refused(data: bytes) -> None:
    with pytest.raises(RatsError):
        decode_record(data, bytes_max=100)


@pytest.mark.parametrize("size", [0, 1, 23, 24, 25, 255, 256, 257, 65_535, 65_536, 70_000])
def test_the_value_of_a_record_is_read_at_every_size_of_its_header(size: int) -> None:
    record = encode_record("application/eat+cwt", bytes(size))
    assert value_of_record(record, media_type="application/eat+cwt", bytes_max=100_000) == bytes(size)


@pytest.mark.negative
@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 65_535, 65_536])
def test_every_change_in_front_of_a_value_is_refused_as_the_decoder_refuses_it(size: int) -> None:
    record = encode_record("a/b", bytes(size))
    for position in range(len(record) - size):
        for flip in (0x01, 0x18, 0x80):
            changed = bytearray(record)
            changed[position] ^= flip
            with pytest.raises(RatsError):
                value_of_record(bytes(changed), media_type="a/b", bytes_max=100_000)


@pytest.mark.negative
@pytest.mark.parametrize(
    "data",
    [
        b"",
        encode_record("a/b", bytes(30)) + b"\x00",
        encode_record("a/b", bytes(30))[:-1],
        encode_record("a/c", bytes(30)),
        b"\x82\x63a/b\x59\x00\x1e" + bytes(30),  # not the shortest length
        b"\x82\x63a/b\x5a\x00\x01\x00\x01" + bytes(65_536),
        encode_record("a/b", bytes(100_000)),
    ],
)
def test_other_records_have_no_value_here(data: bytes) -> None:
    with pytest.raises(RatsError):
        value_of_record(data, media_type="a/b", bytes_max=100_000)
