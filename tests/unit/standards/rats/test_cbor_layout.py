"""Layouts of CBOR values: the same headers at the same places, other strings."""

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from standards.rats.cbor import decode_deterministic, encode_deterministic
from standards.rats.cbor_layout import Layout
from standards.rats.errors import CborError

VALUE = {
    1: "token",
    2: [b"", b"x" * 30, True, None, -5],
    3: {11: {0: b"d" * 32}},
    4: 70_000,
    5: {"name": b"v" * 300},
}
ENCODED = encode_deterministic(VALUE)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 64), (1 << 64) - 1) | st.binary() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.integers(-300, 300), inner, max_size=4)
        | st.dictionaries(st.text(max_size=30), inner, max_size=4)
    ),
    max_leaves=20,
)


def strings_of(value: Any) -> list[bytes]:
    """What the strings of a value hold, in the order of its encoding."""
    match value:
        case bytes():
            return [value]
        case str():
            return [value.encode()]
        case list():
            return [each for item in value for each in strings_of(item)]
        case dict():
            in_order = sorted(
                value.items(), key=lambda item: (len(cbor2.dumps(item[0])), cbor2.dumps(item[0]))
            )
            return [each for _, item in in_order for each in strings_of(item)]
    return []


@given(VALUES)
def test_the_strings_of_a_value_are_read_in_their_order(value: Any) -> None:
    encoded = encode_deterministic(value)
    assert Layout.of(encoded).strings(encoded) == tuple(strings_of(value))


def test_a_tagged_value_is_laid_out_too() -> None:
    encoded = cbor2.dumps(cbor2.CBORTag(501, [b"a", cbor2.CBORTag(37, b"u" * 16)]))
    assert Layout.of(encoded).strings(encoded) == (b"a", b"u" * 16)


def test_other_strings_of_the_same_sizes_are_laid_out_alike() -> None:
    other = encode_deterministic({**VALUE, 1: "TOKEN", 3: {11: {0: bytes(32)}}})
    assert Layout.of(ENCODED).strings(other) == tuple(strings_of(decode_deterministic(other, bytes_max=1000)))


@pytest.mark.negative
def test_whatever_fits_is_what_a_walk_accepts_but_for_its_texts() -> None:
    layout = Layout.of(ENCODED)
    texts = range(ENCODED.index(b"token"), ENCODED.index(b"token") + 5)
    fitting = 0
    for position in range(len(ENCODED)):
        for flip in (0x01, 0x20, 0x80, 0xFF):
            changed = bytearray(ENCODED)
            changed[position] ^= flip
            strings = layout.strings(bytes(changed))
            if strings is None:
                continue
            fitting += 1
            if position not in texts:
                assert strings == tuple(strings_of(decode_deterministic(bytes(changed), bytes_max=1000)))
    assert fitting == 4 * (5 + 30 + 32 + 300)


@pytest.mark.negative
@pytest.mark.parametrize("data", [b"", ENCODED[:-1], ENCODED + b"\x00", bytes(len(ENCODED))])
def test_another_size_or_other_headers_do_not_fit(data: bytes) -> None:
    assert Layout.of(ENCODED).strings(data) is None


@pytest.mark.negative
def test_a_key_is_no_string_to_exchange() -> None:
    changed = ENCODED.replace(b"name", b"nAme")
    assert Layout.of(ENCODED).strings(changed) is None
    with pytest.raises(CborError):
        decode_deterministic(ENCODED.replace(b"\x64name", b"\x64\xff\xff\xff\xff"), bytes_max=1000)
