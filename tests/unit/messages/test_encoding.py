"""The one encoding of CBOR messages."""

import pytest

from messages.encoding import decode_deterministic, encode_deterministic
from messages.errors import MessageError


def test_keys_are_sorted_and_integers_shortest() -> None:
    assert encode_deterministic({24: 1, 2: [b"x", None, True]}).hex() == "a202834178f6f5181801"


def test_what_was_encoded_is_decoded() -> None:
    value = {1: "text", 2: b"bytes", 3: [1, -1, {"a": False}], 4: {11: {0: b"\x00" * 32}}}
    assert decode_deterministic(encode_deterministic(value), bytes_max=200) == value


@pytest.mark.negative
@pytest.mark.parametrize(
    ("encoded", "why"),
    [
        ("", "nothing"),
        ("0000", "a second value"),
        ("1800", "an integer that is not shortest"),
        ("a202000100", "keys out of order"),
        ("a201000100", "a key twice"),
        ("9fff", "an array of indefinite length"),
        ("5fff", "a byte string of indefinite length"),
        ("c11a514b67b0", "a tag"),
        ("d81c80", "a shared reference"),
        ("f93c00", "a float"),
        ("f7", "undefined"),
        ("f818", "a reserved simple value"),
        ("61ff", "text that is not UTF-8"),
        ("42aa", "a byte string cut short"),
        ("9a7fffffff", "an array that promises more items than there are bytes"),
        ("5b7fffffffffffffff", "a byte string of a length beyond any memory"),
        ("a1f400", "a key that is neither integer nor text"),
        ("81" * 40 + "00", "forty levels"),
        ("1c", "a reserved length"),
    ],
)
def test_any_other_bytes_are_refused(encoded: str, why: str) -> None:
    with pytest.raises(MessageError):
        decode_deterministic(bytes.fromhex(encoded), bytes_max=1000)
    assert why


@pytest.mark.negative
def test_size_is_judged_before_anything_else() -> None:
    with pytest.raises(MessageError, match="at most 3 bytes"):
        decode_deterministic(b"\x00" * 4, bytes_max=3)


@pytest.mark.negative
@pytest.mark.parametrize("value", [1.5, {1: 0, "a": 0}, {b"k": 0}, 1 << 64, object(), {1, 2}])
def test_other_types_are_not_encoded(value: object) -> None:
    with pytest.raises(MessageError):
        encode_deterministic(value)
