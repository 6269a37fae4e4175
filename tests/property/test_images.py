"""Any bytes are a portable executable or the package's own error."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from standards.boot_log.errors import BootLogError
from standards.boot_log.portable_executable import decode_image
from standards.boot_log.prediction import predict_sections
from tests.unit.standards.boot_log.images import image, unified

BUILT = image(unified(), after=b"more", signature=b"signature")
CHANGES = st.lists(
    st.tuples(st.integers(0, 1023), st.sampled_from((1, 2, 4)), st.integers(0, (1 << 32) - 1)),
    min_size=1,
    max_size=4,
)
"""Fields of 1, 2 or 4 bytes within the headers, and what they are changed to."""


def read(data: bytes) -> None:
    with suppress(BootLogError):
        decoded = decode_image(data)
        assert len(decoded.measured) <= len(data)
        predict_sections(decoded)


def test_every_prefix_is_refused_or_is_an_image_of_less() -> None:
    for end in range(len(BUILT.data)):
        read(BUILT.data[:end])


def test_every_changed_byte_of_the_headers_gives_the_own_error_or_an_image() -> None:
    for place in range(1024):
        for change in (0x01, 0x80, 0xFF):
            read(BUILT.data[:place] + bytes([BUILT.data[place] ^ change]) + BUILT.data[place + 1 :])


@given(CHANGES)
def test_changed_fields_give_the_own_error_or_an_image(changes: list[tuple[int, int, int]]) -> None:
    edited = bytearray(BUILT.data)
    for place, size, value in changes:
        edited[place : place + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
    read(bytes(edited))


@given(st.binary(max_size=200))
def test_random_bytes_are_no_image(data: bytes) -> None:
    read(b"MZ" + data)


@given(
    st.lists(st.binary(max_size=1100), min_size=1, max_size=5), st.binary(max_size=40), st.binary(max_size=40)
)
def test_the_digest_is_over_what_the_maker_says(
    contents: list[bytes], after: bytes, signature: bytes
) -> None:
    sections = {f".s{number}": content for number, content in enumerate(contents)}
    built = image(sections, after=after, signature=signature)
    assert decode_image(built.data).measured == built.measured
