"""The four messages of enrolment on the wire."""

from typing import Any

import cbor2
import pytest

from messages.encoding import decode_deterministic, encode_deterministic
from messages.enrollment import (
    ActivationRequest,
    EnrollmentChallenge,
    EnrollmentRequest,
    EnrollmentResult,
)
from messages.errors import MessageError
from tests.unit.messages import samples

MESSAGES = [
    samples.ENROLLMENT_REQUEST,
    samples.ENROLLMENT_CHALLENGE,
    samples.ACTIVATION_REQUEST,
    samples.ENROLLMENT_RESULT,
]
Message = EnrollmentRequest | EnrollmentChallenge | ActivationRequest | EnrollmentResult


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_was_encoded_is_decoded(message: Message) -> None:
    assert type(message).decode(message.encode()) == message


@pytest.mark.negative
@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_missing_an_unknown_and_an_empty_field_are_refused(message: Message) -> None:
    fields: dict[int, Any] = cbor2.loads(message.encode())
    for key in fields:
        without = {other: value for other, value in fields.items() if other != key}
        with pytest.raises(MessageError):
            type(message).decode(encode_deterministic(without))
        with pytest.raises(MessageError):
            type(message).decode(encode_deterministic(fields | {key: b""}))
    with pytest.raises(MessageError, match="also 9"):
        type(message).decode(encode_deterministic(fields | {9: b""}))


@pytest.mark.requirement("R53")
def test_the_body_of_the_certifications_names_all_four_keys() -> None:
    body = samples.ENROLLMENT_REQUEST.key_body()
    assert decode_deterministic(body, bytes_max=100) == [b"ek", b"ak", b"storage", b"counter"]


def test_the_secret_is_in_no_repr() -> None:
    assert samples.ACTIVATION_REQUEST.secret.hex() not in repr(samples.ACTIVATION_REQUEST)
    assert str(samples.ACTIVATION_REQUEST.secret) not in repr(samples.ACTIVATION_REQUEST)
