"""IMA lists of any bytes: the value or the package's own error, and what was listed is decoded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from standards.ima.decode import decode_binary_list
from standards.ima.decode_text import decode_text_list
from standards.ima.entries import ImaList
from standards.ima.errors import ImaError
from standards.ima.file_signatures import verify_file_signature
from standards.ima.measured import read_measured, shown_name
from standards.ima.replay import replayed_prefix, verify_template_digests
from tests.unit.standards.ima.lists import (
    ENTRIES,
    FILE_DIGEST,
    VIOLATION,
    Made,
    encoded,
    legacy,
    ng,
    pcr_after,
)
from tests.unit.standards.ima.test_file_signatures import BY_ECC, DIGEST, KEYRING

ENCODED = encoded(ENTRIES)
WHOLE = pcr_after(ENTRIES)
COVERED = [None if each.digest == VIOLATION else each.data for each in ENTRIES if each.pcr == 10]
"""What PCR 10 proves: not what another register has, nor what a violation is about, nor the name of a template."""
NAMES = st.binary(max_size=60).filter(lambda name: b"\x00" not in name) | st.text(
    "/ab \n\r\t\\", max_size=12
).map(str.encode)
TEXT = b"10 %s ima-ng sha256:%s /usr/bin/meter\n" % (
    Made(data=ng(b"/usr/bin/meter")).digest.hex().encode(),
    FILE_DIGEST.hex().encode(),
)


def use_everything(decoded: ImaList) -> None:
    """Ask everything of a list that can be asked."""
    replayed_prefix(decoded, WHOLE, bank="sha256")
    try:
        verify_template_digests(decoded)
        for entry in decoded.entries(up_to=len(decoded)):
            shown = shown_name(read_measured(entry).name or b"")
            assert shown.isprintable() or not shown
    except ImaError:
        return


def try_both(data: bytes) -> None:
    for decode in (decode_binary_list, decode_text_list):
        try:
            decoded = decode(data)
        except ImaError:
            continue
        use_everything(decoded)


@given(st.lists(NAMES, max_size=6), st.lists(NAMES, max_size=3))
def test_what_was_listed_is_decoded(names: list[bytes], legacy_names: list[bytes]) -> None:
    made = [Made(data=ng(name)) for name in names] + [legacy(name) for name in legacy_names]
    decoded = decode_binary_list(encoded(made))
    verify_template_digests(decoded)
    assert [read_measured(each).name for each in decoded.entries(up_to=99)] == [*names, *legacy_names]
    reached = replayed_prefix(decoded, pcr_after(made), bank="sha256")
    assert reached is not None
    assert reached.count == len(made)


@given(st.binary(max_size=300))
def test_random_bytes(data: bytes) -> None:
    try_both(data)


@given(st.binary(max_size=120))
def test_random_bytes_after_a_good_start(data: bytes) -> None:
    try_both(ENCODED + data)
    try_both(TEXT + data)
    try_both(TEXT[:44] + data + b"\n")


@pytest.mark.check("A22")
def test_every_prefix_of_the_bytes_is_a_prefix_of_the_list_or_refused() -> None:
    whole = decode_binary_list(ENCODED)
    decoded = 0
    for size in range(len(ENCODED)):
        try:
            part = decode_binary_list(ENCODED[:size])
        except ImaError:
            continue
        decoded += 1
        assert part.data == whole.data[: len(part)]
    assert decoded == len(ENTRIES)


@pytest.mark.check("A22")
@pytest.mark.negative
@given(st.integers(0, len(ENCODED) - 1), st.integers(1, 255))
def test_one_changed_byte_is_refused_or_does_not_reach_the_quote(place: int, change: int) -> None:
    changed = bytearray(ENCODED)
    changed[place] ^= change
    try:
        decoded = decode_binary_list(bytes(changed))
        verify_template_digests(decoded)
    except ImaError:
        return
    reached = replayed_prefix(decoded, WHOLE, bank="sha256")
    if reached is not None:
        proven = [each for each in decoded.entries(up_to=reached.count) if each.pcr == 10]
        assert [None if each.violation else each.data for each in proven] == COVERED


@given(st.integers(0, len(ENCODED) - 4), st.integers(0, 2**32 - 1) | st.sampled_from([0, 2**31, 2**32 - 1]))
def test_any_length_anywhere(place: int, length: int) -> None:
    try_both(ENCODED[:place] + length.to_bytes(4, "little") + ENCODED[place + 4 :])


@given(st.integers(0, len(TEXT) - 1), st.integers(0, 255))
def test_a_text_with_a_changed_byte(place: int, value: int) -> None:
    changed = bytearray(TEXT)
    changed[place] = value
    try_both(bytes(changed))


@pytest.mark.negative
@given(st.integers(0, len(BY_ECC) - 1), st.integers(1, 255))
def test_a_signature_with_a_changed_byte(place: int, change: int) -> None:
    changed = bytearray(BY_ECC)
    changed[place] ^= change
    with pytest.raises(ImaError):
        verify_file_signature(bytes(changed), algorithm="sha256", digest=DIGEST, keyring=KEYRING)
