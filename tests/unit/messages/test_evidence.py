"""The evidence message on the wire."""

import dataclasses
from typing import Any

import cbor2
import pytest

from messages.encoding import encode_deterministic
from messages.errors import MessageError
from messages.evidence import (
    EVIDENCE_BYTES_MAX,
    EVIDENCE_MEDIA_TYPE,
    ImaEvidence,
    decode_evidence,
    encode_evidence,
)
from standards.rats.cmw import decode_record, encode_record
from tests.unit.messages.samples import EVIDENCE, SHA256_BANK

IMA = ImaEvidence(log=b"list", attest=b"a", signature=b"s", pcr_value=bytes(32))


def _fields() -> dict[int, Any]:

    value = cbor2.loads(decode_record(encode_evidence(EVIDENCE), bytes_max=EVIDENCE_BYTES_MAX).value)
    assert isinstance(value, dict)
    return value


def _wrapped(value: Any) -> bytes:
    return encode_record(EVIDENCE_MEDIA_TYPE, encode_deterministic(value))


def test_what_was_encoded_is_decoded() -> None:
    assert decode_evidence(encode_evidence(EVIDENCE)) == EVIDENCE
    with_ima = dataclasses.replace(EVIDENCE, ima=IMA)
    assert decode_evidence(encode_evidence(with_ima)) == with_ima
    part = dataclasses.replace(EVIDENCE, ima=dataclasses.replace(IMA, first=10_000))
    assert decode_evidence(encode_evidence(part)) == part


@pytest.mark.negative
@pytest.mark.parametrize("key", [1, 2, 3, 4, 5, 6, 7, 9, 10, 11])
def test_every_field_is_required(key: int) -> None:
    fields = _fields()
    del fields[key]
    with pytest.raises(MessageError, match=str(key)):
        decode_evidence(_wrapped(fields))


@pytest.mark.check("A1")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("key", "value"),
    [
        (1, b"bytes"),
        (1, "t" * 16_385),
        (2, "text"),
        (2, b""),
        (3, b"a" * 2_049),
        (4, b"s" * 1_025),
        (5, []),
        (5, [b""]),
        (5, [b"c"] * 7),
        (5, [b"c" * 8_193]),
        (8, b"list"),
        (8, {1: b"list", 2: b"a", 3: b"s"}),
        (8, {1: b"list", 2: b"a", 3: b"s", 4: bytes(31)}),
        (8, {1: b"list", 2: b"", 3: b"s", 4: bytes(32)}),
        (8, {1: b"list", 2: b"a", 3: b"s", 4: bytes(32), 5: b""}),
        (6, {}),
        (6, {SHA256_BANK: {}}),
        (6, {SHA256_BANK: {0: b"\x00" * 31}}),
        (6, {SHA256_BANK: {24: b"\x00" * 32}}),
        (6, {3: {0: b"\x00" * 32}}),
        (7, "no bytes"),
        (8, None),
        (9, {1: b"p", 2: b"a"}),
        (9, {1: b"p", 2: b"a", 3: b"s", 4: b"x"}),
        (9, {1: b"p" * 1_025, 2: b"a", 3: b"s"}),
        (10, {1: b"p" * 257, 2: b"a", 3: b"s"}),
        (11, b""),
        (12, b"unknown"),
    ],
)
def test_a_field_that_is_wrong_in_one_respect_is_refused(key: int, value: Any) -> None:
    with pytest.raises(MessageError):
        decode_evidence(_wrapped(_fields() | {key: value}))


@pytest.mark.negative
def test_another_media_type_is_refused() -> None:
    with pytest.raises(MessageError, match="media type"):
        decode_evidence(encode_record("application/eat+cwt", encode_deterministic(_fields())))


@pytest.mark.negative
@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x82\x01\x41a", b"\x82\x61a\x01", b"\xa0", b"\x83\x61a\x41a\x04"]
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(MessageError):
        decode_evidence(data)
