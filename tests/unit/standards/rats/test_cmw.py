"""Records of the conceptual message wrapper."""

import pytest

from standards.rats.cmw import Record, decode_record, encode_record, record_value
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


@pytest.mark.parametrize("size", [0, 1, 23, 24, 255, 256, 1 << 16])
def test_the_value_of_a_record_of_one_type(size: int) -> None:
    value = bytes(size)
    record = encode_record("application/eat+cwt", value)
    assert record_value(record, media_type="application/eat+cwt", bytes_max=1 << 17) == value
    assert record_value(record, media_type="application/eat+jwt", bytes_max=1 << 17) is None


@pytest.mark.negative
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x82\x61a",
        b"\x82\x61a\x59",
        b"\x82\x61a\x59\x01\x00" + bytes(255),
        b"\x82\x61a\x59\x01\x00" + bytes(257),
        b"\x82\x61a\x59\x00\xff" + bytes(255),  # not the shortest length
        b"\x82\x61a\x5a\x00\x00\x01\x00" + bytes(256),
        b"\x82\x61a\x61a",
        b"\x82\x61a\x59\x03\xe5" + bytes(997),  # longer than is allowed
    ],
)
def test_other_forms_have_no_value(data: bytes) -> None:
    with pytest.raises(RatsError):
        record_value(data, media_type="a", bytes_max=1000)
