"""The one encoding, and everything else refused."""

from datetime import UTC, datetime

import cbor2
import pytest

from standards.rats.cbor import DEPTH_MAX, ITEMS_MAX, decode_deterministic, encode_deterministic
from standards.rats.errors import CborError

SIZE_MAX = 1 << 22


@pytest.mark.parametrize(
    "value",
    [
        {1: bytes(24), 2: bytes(255), 3: bytes(256), 4: b"", 5: "text", 6: {1: b"x" * 30, 2: [1, -1, None]}},
        {0: True, 23: False, 24: None, 1 << 40: "x"},
        {1: 2, -1: 3},
        {"a": 1, "bb": 2},
        {},
        [[], {}, 1 << 63],
    ],
)
def test_what_is_encoded_is_decoded(value: object) -> None:
    assert decode_deterministic(encode_deterministic(value), bytes_max=SIZE_MAX) == value


def test_named_tags_are_read_and_a_time_is_a_time() -> None:
    value = cbor2.CBORTag(501, [datetime(2026, 11, 26, tzinfo=UTC), cbor2.CBORTag(32, "urn:x")])
    data = encode_deterministic(value)
    assert decode_deterministic(data, bytes_max=99, tags=frozenset({1, 32, 501})) == value
    with pytest.raises(CborError, match="tag 32"):
        decode_deterministic(data, bytes_max=99, tags=frozenset({1, 501}))


@pytest.mark.negative
@pytest.mark.parametrize(
    "encoded",
    [
        "a158",  # cut in a header
        "a1015818",  # cut in a value
        "a10158171a",  # a header longer than it need be
        "a201410101",  # a key twice
        "a202410101",  # keys that descend
        "a2014101616101",  # keys of two types
        "a2616101014101",
        "a1410101",  # bytes as key
        "9f01ff",
        "fb3ff0000000000000",
        "c1f6",  # a time that is none
        "c11bffffffffffffffff",
        "c1613f",
        "0000",
        "",
    ],
)
def test_every_other_encoding_is_refused(encoded: str) -> None:
    with pytest.raises(CborError):
        decode_deterministic(bytes.fromhex(encoded), bytes_max=100, tags=frozenset({1}))


@pytest.mark.negative
def test_depth_and_items_are_bounded_along_every_way() -> None:
    for nested in (b"\xa1\x01", b"\x81", b"\xa1\x18\x18"):
        with pytest.raises(CborError, match=f"{DEPTH_MAX} levels"):
            decode_deterministic(nested * (DEPTH_MAX + 1) + b"\xa0", bytes_max=100)
    small: dict[int, dict[int, dict[int, int]]] = {
        key: {inner: {} for inner in range(23)} for key in range(23)
    }
    many = [small] * (ITEMS_MAX // (23 * 24) + 1)
    with pytest.raises(CborError, match="items"):
        decode_deterministic(cbor2.dumps(many, canonical=True), bytes_max=SIZE_MAX)
