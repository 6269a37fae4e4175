"""Claims and context of a challenge."""

import dataclasses
from typing import Any

import cbor2
import pytest

from messages.challenge import ImaOffset, read_claims
from messages.errors import MessageError
from tests.unit.messages.samples import CHALLENGE, SHA256_BANK


def test_claims_are_read_back() -> None:
    assert read_claims(CHALLENGE.claims()) == CHALLENGE
    without_order = dataclasses.replace(CHALLENGE, order_digest=None)
    assert read_claims(without_order.claims()) == without_order
    with_ima = dataclasses.replace(CHALLENGE, ima=True)
    assert read_claims(with_ima.claims()) == with_ima
    assert cbor2.loads(with_ima.context()) == cbor2.loads(CHALLENGE.context()) | {7: True}


@pytest.mark.requirement("R53")
def test_context_holds_everything_that_the_answer_is_bound_to() -> None:
    assert cbor2.loads(CHALLENGE.context()) == {
        1: "validation",
        2: b"\xd1" * 32,
        3: b"\x0d" * 32,
        4: {SHA256_BANK: [0, 1, 2, 14]},
        5: b"\x77" * 32,
        6: "request-1",
    }


def test_what_is_known_of_an_ima_list_is_asked_around() -> None:
    after = ImaOffset(count=10_000, reset_count=2**32 - 1, restart_count=0)
    offset = dataclasses.replace(CHALLENGE, ima=True, ima_after=after)
    assert read_claims(offset.claims()) == offset
    expected = cbor2.loads(CHALLENGE.context()) | {7: True, 8: [10_000, 2**32 - 1, 0]}
    assert cbor2.loads(offset.context()) == expected


@pytest.mark.negative
@pytest.mark.parametrize(
    "claims",
    [
        {"pva_ima_after": {"count": 1, "reset_count": 0, "restart_count": 0}},
        {"pva_ima": True, "pva_ima_after": {"count": 0, "reset_count": 0, "restart_count": 0}},
        {"pva_ima": True, "pva_ima_after": {"count": 1, "reset_count": 2**32, "restart_count": 0}},
        {"pva_ima": True, "pva_ima_after": {"count": 1, "reset_count": 0}},
        {"pva_ima": True, "pva_ima_after": {"count": 1, "reset_count": 0, "restart_count": 0, "x": 0}},
        {"pva_ima": True, "pva_ima_after": None},
    ],
)
def test_an_offset_that_is_none_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(MessageError):
        read_claims({**CHALLENGE.claims(), **claims})


@pytest.mark.negative
@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("pva_ima", False),
        ("pva_ima", 1),
        ("nonce", "AAAA"),
        ("nonce", CHALLENGE.claims()["nonce"] + "="),
        ("nonce", None),
        ("sub", "D1" * 32),
        ("sub", "d1" * 31),
        ("iat", True),
        ("iat", 1.5),
        ("iat", -1),
        ("iat", 10**12),
        ("exp", 0),
        ("pva_purpose", "recovery of everything"),
        ("pva_request_id", ""),
        ("pva_request_id", "line\nfeed"),
        ("pva_pcr_select", {}),
        ("pva_pcr_select", {"sha256": []}),
        ("pva_pcr_select", {"sha256": [1, 0]}),
        ("pva_pcr_select", {"sha256": [0, 0]}),
        ("pva_pcr_select", {"sha256": [24]}),
        ("pva_pcr_select", {"sha256": [True]}),
        ("pva_pcr_select", {"md5": [0]}),
        ("pva_rp_nonce", "AA"),
        ("pva_order_digest", "AA" * 32),
        ("pva_audience", []),
        ("pva_audience", ["a", "a"]),
        ("pva_audience", "sho.example"),
        ("another", "claim"),
    ],
)
def test_a_claim_that_is_wrong_in_one_respect_is_refused(claim: str, value: Any) -> None:
    claims = CHALLENGE.claims() | {claim: value}
    with pytest.raises(MessageError):
        read_claims(claims)


@pytest.mark.negative
@pytest.mark.parametrize("claim", [name for name in CHALLENGE.claims() if name != "pva_order_digest"])
def test_every_claim_is_required(claim: str) -> None:
    claims = CHALLENGE.claims()
    del claims[claim]
    with pytest.raises(MessageError, match=claim):
        read_claims(claims)


@pytest.mark.negative
@pytest.mark.parametrize("claims", [None, [], "text", 1])
def test_claims_are_an_object(claims: object) -> None:
    with pytest.raises(MessageError, match="expected a map"):
        read_claims(claims)
