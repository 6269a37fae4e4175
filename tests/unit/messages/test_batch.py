"""Claims of a batch list."""

from typing import Any

import pytest

from messages.batch import read_claims
from messages.errors import MessageError
from tests.unit.messages.samples import BATCH

DEVICE = BATCH.claims()["devices"][0]


def test_claims_are_read_back() -> None:
    assert read_claims(BATCH.claims()) == BATCH


@pytest.mark.negative
@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("batch", ""),
        ("supplier", 1),
        ("iat", "2026"),
        ("devices", []),
        ("devices", {}),
        ("devices", [DEVICE, DEVICE]),
        ("devices", [DEVICE, DEVICE | {"device_id": "d2" * 32}]),
        ("devices", [DEVICE | {"device_id": "D1" * 32}]),
        ("devices", [DEVICE | {"device_id": "d1" * 31}]),
        ("devices", [DEVICE | {"owner": "someone"}]),
        ("devices", ["d1" * 32]),
        ("note", "unknown"),
    ],
)
def test_a_claim_that_is_wrong_in_one_respect_is_refused(claim: str, value: Any) -> None:
    with pytest.raises(MessageError):
        read_claims(BATCH.claims() | {claim: value})
