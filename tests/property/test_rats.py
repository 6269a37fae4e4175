"""Any bytes or claims give the value or `RatsError`."""

from datetime import datetime
from typing import Any

import cbor2
from hypothesis import given
from hypothesis import strategies as st

from standards.pki.errors import PkiError
from standards.rats.cbor import decode_deterministic, encode_deterministic
from standards.rats.cmw import decode_record, encode_record
from standards.rats.corim import decode_manifest, encode_manifest, sign_manifest, verify_manifest
from standards.rats.ear import read_claims
from standards.rats.errors import RatsError
from tests.unit.standards.rats.manifests import AT, MANIFEST, ROOT, SIGNER, SIGNER_KEY
from tests.unit.standards.rats.results import RESULT

ENCODED = encode_manifest(MANIFEST)
SIGNED = sign_manifest(MANIFEST, key=SIGNER_KEY, chain=[SIGNER])
CHANGES = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)


def changed(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    """The bytes with some of them replaced."""
    edited = bytearray(data)
    for place, value in changes:
        edited[place % len(edited)] = value
    return bytes(edited)


def holds_tag(value: Any) -> bool:
    """Whether a tag, or a simple value without a name, is anywhere in a decoded value."""
    if isinstance(value, dict):
        return any(holds_tag(each) for each in value.values())
    if isinstance(value, list):
        return any(holds_tag(each) for each in value)
    return isinstance(value, cbor2.CBORTag | cbor2.CBORSimpleValue | datetime)


@given(
    st.sampled_from(
        [
            "a10160",
            "a2016000f6",
            "a2006061",
            "a201f660f6",
            "a2181800f6",
            "a220001818f6",
            "a2181800200f",
            "a2200f181800",
        ]
    )
    | st.binary(max_size=24).map(bytes.hex)
    | st.binary(max_size=20).map(lambda data: "a2" + data.hex())
)
def test_exactly_the_deterministic_encoding_is_taken(encoded: str) -> None:
    """The walk over the headers, against the library: its value, and whether that encodes to the same bytes."""
    data = bytes.fromhex(encoded)
    try:
        value = cbor2.loads(data)
        deterministic = encode_deterministic(value) == data and not holds_tag(value)
    except Exception:  # noqa: BLE001 - whatever the library makes of a stranger's bytes
        deterministic = False
    try:
        taken = decode_deterministic(data, bytes_max=100)
    except RatsError:
        assert not deterministic
    else:
        assert deterministic
        assert taken == value


@given(st.text(min_size=1, max_size=255), st.binary(max_size=100))
def test_a_record_is_unwrapped_to_what_was_wrapped(media_type: str, value: bytes) -> None:
    record = decode_record(encode_record(media_type, value), bytes_max=2000)
    assert (record.media_type, record.value) == (media_type, value)


@given(st.binary(max_size=200))
def test_random_bytes_are_no_record_and_no_manifest(data: bytes) -> None:
    for decode in (lambda: decode_record(data, bytes_max=1000), lambda: decode_manifest(data)):
        try:
            decode()
        except RatsError:
            continue
        assert data[:1] == b"\x82"


@given(CHANGES)
def test_a_manifest_with_changed_bytes_is_refused_or_another_manifest(changes: list[tuple[int, int]]) -> None:
    data = changed(ENCODED, changes)
    try:
        manifest = decode_manifest(data)
    except RatsError:
        return
    assert (manifest == MANIFEST) == (data == ENCODED)


@given(CHANGES)
def test_a_signed_manifest_with_changed_bytes_is_refused(changes: list[tuple[int, int]]) -> None:
    data = changed(SIGNED, changes)
    try:
        verified = verify_manifest(data, anchors=[ROOT], at=AT)
    except (RatsError, PkiError):
        return
    assert data == SIGNED
    assert verified.manifest == MANIFEST


def test_every_prefix_and_suffix_of_a_manifest_is_refused() -> None:
    for data in [*(ENCODED[:length] for length in range(len(ENCODED))), ENCODED + b"\x00", ENCODED + b"\xf6"]:
        try:
            decode_manifest(data)
        except RatsError:
            continue
        message = f"{len(data)} of {len(ENCODED)} bytes were accepted"
        raise AssertionError(message)


@given(st.sampled_from(sorted(RESULT.claims())), JSON)
def test_any_claim_of_a_result_may_be_anything(claim: str, value: Any) -> None:
    try:
        read = read_claims({**RESULT.claims(), claim: value})
    except RatsError:
        return
    assert read_claims(read.claims()) == read


@given(st.sampled_from(["tre", "platform"]), st.text(max_size=30), JSON)
def test_any_claim_of_a_submodule_may_be_anything(scope: str, claim: str, value: Any) -> None:
    claims = RESULT.claims()
    claims["submods"][scope][claim] = value
    try:
        read_claims(claims)
    except RatsError:
        return
