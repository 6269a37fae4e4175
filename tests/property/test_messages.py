"""Any bytes give the message or `MessageError`; every prefix and suffix of a message is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from messages import batch, challenge
from messages.encoding import decode_deterministic, encode_deterministic
from messages.enrollment import (
    ActivationRequest,
    EnrollmentChallenge,
    EnrollmentRequest,
    EnrollmentResult,
)
from messages.errors import MessageError
from messages.evidence import decode_evidence, encode_evidence
from messages.runtime_policy import decode_runtime_policy
from messages.sealed_result import SealedResult, open_sealed_result, seal_result
from messages.station import StationRefusal
from standards.rats.fields import encode_base64url
from tests.unit.messages import samples
from tests.unit.messages.test_evidence import IMA
from tests.unit.messages.test_runtime_policy import POLICY

DECODERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "evidence": (decode_evidence, encode_evidence(samples.EVIDENCE)),
    "evidence with IMA": (decode_evidence, encode_evidence(replace(samples.EVIDENCE, ima=IMA))),
    "runtime policy": (decode_runtime_policy, POLICY.encode()),
    "enrolment request": (EnrollmentRequest.decode, samples.ENROLLMENT_REQUEST.encode()),
    "enrolment challenge": (EnrollmentChallenge.decode, samples.ENROLLMENT_CHALLENGE.encode()),
    "activation": (ActivationRequest.decode, samples.ACTIVATION_REQUEST.encode()),
    "enrolment result": (EnrollmentResult.decode, samples.ENROLLMENT_RESULT.encode()),
    "any value": (lambda data: decode_deterministic(data, bytes_max=10_000), samples.CHALLENGE.context()),
}

KEYS = st.integers(0, 2**64 - 1)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.dictionaries(st.text(max_size=30), inner, max_size=4)
    ),
    max_leaves=20,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=12,
)


def refused(decode: Callable[[bytes], object], data: bytes) -> bool:
    """Whether a decoder refuses; an error of any other kind passes through."""
    try:
        decode(data)
    except MessageError:
        return True
    return False


@given(VALUES)
def test_what_was_encoded_is_decoded(value: Any) -> None:
    assert decode_deterministic(encode_deterministic(value), bytes_max=1 << 20) == value


@given(st.binary(max_size=200))
def test_bytes_that_are_accepted_are_the_encoding_of_their_value(data: bytes) -> None:
    try:
        value = decode_deterministic(data, bytes_max=1000)
    except MessageError:
        return
    assert encode_deterministic(value) == data


@pytest.mark.negative
@pytest.mark.parametrize("name", DECODERS)
def test_every_prefix_is_refused(name: str) -> None:
    decode, message = DECODERS[name]
    assert not refused(decode, message)
    assert all(refused(decode, message[:length]) for length in range(len(message)))


@pytest.mark.negative
@pytest.mark.parametrize("name", DECODERS)
def test_every_suffix_of_one_byte_is_refused(name: str) -> None:
    decode, message = DECODERS[name]
    assert all(refused(decode, message + bytes([surplus])) for surplus in range(256))


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.binary(max_size=300))
def test_random_bytes_raise_the_one_error(name: str, data: bytes) -> None:
    decode, _ = DECODERS[name]
    refused(decode, data)


@pytest.mark.parametrize("name", DECODERS)
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=3))
def test_changed_bytes_raise_the_one_error(name: str, changes: list[tuple[int, int]]) -> None:
    decode, message = DECODERS[name]
    changed = bytearray(message)
    for place, value in changes:
        changed[place % len(changed)] = value
    refused(decode, bytes(changed))


@given(st.sampled_from(sorted(samples.CHALLENGE.claims())), JSON)
def test_any_claim_of_a_challenge_may_be_anything(claim: str, value: Any) -> None:
    claims = {**samples.CHALLENGE.claims(), claim: value}
    try:
        read = challenge.read_claims(claims)
    except MessageError:
        return
    assert challenge.read_claims(read.claims()) == read


@given(st.sampled_from(sorted(samples.BATCH.claims())), JSON)
def test_any_claim_of_a_batch_may_be_anything(claim: str, value: Any) -> None:
    try:
        read = batch.read_claims({**samples.BATCH.claims(), claim: value})
    except MessageError:
        return
    assert batch.read_claims(read.claims()) == read


SEALING_KEY = ec.derive_private_key(33_812, ec.SECP256R1())
SEALED = seal_result(SealedResult(result="e.a.r", refusals=[]), to=SEALING_KEY.public_key())


@given(header=JSON, place=st.integers(0, len(SEALED) - 1), character=st.characters(max_codepoint=127))
def test_an_altered_envelope_opens_for_nobody(header: Any, place: int, character: str) -> None:
    altered = SEALED[:place] + character + SEALED[place + 1 :]
    forged = encode_base64url(json.dumps(header).encode()) + SEALED[SEALED.index(".") :]
    for token in (altered, forged, SEALED[:place]):
        if token != SEALED:
            with pytest.raises(MessageError):
                open_sealed_result(token, key=SEALING_KEY)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_refusal_of_a_station_or_refused(data: bytes) -> None:
    try:
        refusal = StationRefusal.decode(data)
    except MessageError:
        return
    assert StationRefusal.decode(refusal.encode()) == refusal


@given(st.tuples(st.text(), st.text(), st.text(), st.text()))
def test_a_refusal_of_a_station_is_readable_whatever_its_words(texts: tuple[str, str, str, str]) -> None:
    code, subject, reason, remedy = texts
    written = StationRefusal(code=code, subject=subject, reason=reason, remedy=remedy).encode()
    read = StationRefusal.decode(written)
    assert read.encode() == written
    assert read.reason.isprintable()
