"""Every prefix, every changed byte and every length field of a manifest: the value, or the package's own error, bounded."""

import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from standards.boot_log.algorithms import SHA256
from standards.pki.errors import PkiError
from standards.rats.cbor import encode_deterministic
from standards.rats.corim import (
    Manifest,
    decode_manifest,
    encode_manifest,
    read_unverified,
    sign_manifest,
    verify_manifest,
)
from standards.rats.errors import RatsError
from standards.rats.manifest import PlatformReference, Predecessor
from standards.rats.manifest_difference import differences
from tests.unit.standards.rats.manifests import AT, ROOT, SIGNER, SIGNER_KEY, SUCCESSOR

ENCODED = encode_manifest(SUCCESSOR)
SIGNED = sign_manifest(SUCCESSOR, key=SIGNER_KEY, chain=[SIGNER])
COMID = cbor2.loads(ENCODED).value[1][0].value
PEAK_BYTES_MAX = 2 << 20
SECONDS_MAX = 2.0
LENGTHS = (0, 1, 23, 24, 0xFF, 0xFFFF, 0xFFFF_FFFF, (1 << 63) - 1, (1 << 64) - 1)
"""What a length field is changed to, besides its neighbours."""


def with_comid(comid: bytes) -> bytes:
    """The manifest around other bytes of its CoMID."""
    corim = cbor2.loads(ENCODED).value
    corim[1] = [cbor2.CBORTag(506, comid)]
    return encode_deterministic(cbor2.CBORTag(501, corim))


def verified(data: bytes) -> Manifest:
    return verify_manifest(data, anchors=[ROOT], at=AT).manifest


FORMS: dict[str, tuple[bytes, Callable[[bytes], Manifest]]] = {
    "unsigned": (ENCODED, decode_manifest),
    "signed": (SIGNED, verified),
    "signed, read without its signature": (SIGNED, read_unverified),
    "CoMID": (COMID, lambda data: decode_manifest(with_comid(data))),
}


def outcome(form: str, data: bytes) -> Manifest | None:
    """What the reader makes of some bytes: a manifest, or its own error, which is None here; nothing else."""
    try:
        return FORMS[form][1](data)
    except (RatsError, PkiError):
        return None


def headers(data: bytes, start: int = 0) -> Iterator[tuple[int, int, int, int]]:
    """Every header of one CBOR value: place, size, major type, argument."""
    place, open_items = start, 1
    while open_items:
        initial = data[place]
        major, short = initial >> 5, initial & 0x1F
        size = 1 if short < 24 else 1 + (1 << (short - 24))
        argument = short if size == 1 else int.from_bytes(data[place + 1 : place + size], "big")
        yield place, size, major, argument
        place += size + (argument if major in (2, 3) else 0)
        open_items += {4: argument, 5: 2 * argument, 6: 1}.get(major, 0) - 1


def header(major: int, argument: int) -> bytes:
    """The shortest header of a type and argument."""
    if argument < 24:
        return bytes([major << 5 | argument])
    size = next(size for size in (1, 2, 4, 8) if argument < 1 << 8 * size)
    return bytes([major << 5 | 24 + (1, 2, 4, 8).index(size)]) + argument.to_bytes(size, "big")


@pytest.mark.check("A1")
@pytest.mark.parametrize("form", FORMS)
def test_every_prefix_and_every_byte_more_is_refused(form: str) -> None:
    data = FORMS[form][0]
    assert outcome(form, data) == SUCCESSOR
    for end in range(len(data)):
        assert outcome(form, data[:end]) is None
    for more in range(256):
        assert outcome(form, data + bytes([more])) is None


@pytest.mark.check("A1")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("change", [0x01, 0x20, 0x80, 0xFF])
def test_every_changed_byte_gives_another_manifest_or_the_own_error(form: str, change: int) -> None:
    data = FORMS[form][0]
    for place in range(len(data)):
        changed = outcome(form, data[:place] + bytes([data[place] ^ change]) + data[place + 1 :])
        if form == "signed":
            assert changed is None, place
        elif form != "signed, read without its signature":
            assert changed != SUCCESSOR, place


@pytest.mark.check("A1")
@pytest.mark.parametrize("form", FORMS)
def test_every_length_field_is_checked_before_anything_is_built(form: str) -> None:
    data = FORMS[form][0]
    tracemalloc.start()
    began = time.monotonic()
    for place, size, major, argument in headers(data):
        for wrong in {*LENGTHS, max(argument - 1, 0), argument + 1} - {argument}:
            tracemalloc.reset_peak()
            changed = outcome(form, data[:place] + header(major, wrong) + data[place + size :])
            assert changed != SUCCESSOR, (place, wrong)
            _, peak = tracemalloc.get_traced_memory()
            assert peak < PEAK_BYTES_MAX, (place, wrong)
    count = sum(1 for _ in headers(data))
    tracemalloc.stop()
    assert time.monotonic() - began < SECONDS_MAX * count


@pytest.mark.check("A1")
def test_a_manifest_that_is_too_large_is_refused_before_it_is_read() -> None:
    for form in ("unsigned", "signed"):
        began = time.monotonic()
        assert outcome(form, FORMS[form][0] + bytes(50 << 20)) is None
        assert time.monotonic() - began < SECONDS_MAX


MOMENTS = st.datetimes(min_value=datetime(2001, 1, 1), max_value=datetime(2999, 1, 1)).map(  # noqa: DTZ001 - made aware below
    lambda at: at.replace(microsecond=0, tzinfo=UTC)
)
NAMES = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=40)


@st.composite
def successors(draw: st.DrawFn) -> Manifest:
    """A manifest that follows another one."""
    starts = draw(MOMENTS)
    identity, before = draw(st.lists(NAMES, min_size=2, max_size=2, unique=True))
    return replace(
        SUCCESSOR,
        id=identity,
        svn=draw(st.integers(0, (1 << 32) - 1)),
        version=draw(NAMES),
        release_name=draw(st.none() | NAMES),
        line_name=draw(st.none() | NAMES),
        valid_from=starts,
        valid_to=starts + timedelta(seconds=draw(st.integers(1, 1 << 30))),
        predecessor=Predecessor(
            id=before,
            digest=draw(st.binary(min_size=32, max_size=32)),
            until=starts + timedelta(seconds=draw(st.integers(0, 1 << 30))),
        ),
    )


@given(successors())
def test_a_successor_is_decoded_to_what_was_encoded(manifest: Manifest) -> None:
    assert decode_manifest(encode_manifest(manifest)) == manifest


@given(successors(), successors())
def test_manifests_differ_exactly_where_something_is_named(one: Manifest, other: Manifest) -> None:
    assert differences(one, one) == ()
    assert (differences(one, other) == ()) == (one == other)


@given(st.dictionaries(st.integers(0, 23), st.binary(min_size=32, max_size=32), min_size=1))
def test_every_register_that_differs_is_named(values: dict[int, bytes]) -> None:
    bare: Any = replace(SUCCESSOR, events=(), platform=PlatformReference(registers={SHA256: values}))
    empty = replace(bare, platform=PlatformReference(registers={}))
    named = {each.name for each in differences(empty, bare)}
    assert named == {f"PCR {pcr} of bank sha256" for pcr in values}
