"""Claims of every token: read back as written; none may be missing, unknown, of another type or size."""

from dataclasses import replace
from typing import Any

import pytest

from messages.errors import MessageError
from tests.unit.messages import operator_samples as samples
from tests.unit.messages.operator_samples import TOKENS, ill_values


def refused(name: str, claims: object) -> bool:
    try:
        TOKENS[name].read(claims)
    except MessageError:
        return True
    return False


@pytest.mark.parametrize("name", TOKENS)
def test_claims_are_read_back(name: str) -> None:
    token = TOKENS[name]
    assert token.read(token.claims) == token.value


@pytest.mark.parametrize("claim", sorted(TOKENS["validation request"].optional))
def test_what_a_request_can_do_without_is_read_as_nothing(claim: str) -> None:
    token = TOKENS["validation request"]
    read = token.read({name: value for name, value in token.claims.items() if name != claim})
    assert getattr(read, claim.removeprefix("pva_")) is None
    assert token.read({**read.claims(), "iss": token.issuer}) == read


@pytest.mark.negative
@pytest.mark.parametrize("name", TOKENS)
def test_every_claim_is_required(name: str) -> None:
    token = TOKENS[name]
    for claim in token.claims:
        claims = {each: value for each, value in token.claims.items() if each != claim}
        assert refused(name, claims) == (claim not in token.optional), claim


@pytest.mark.negative
@pytest.mark.parametrize("name", TOKENS)
def test_unknown_claims_are_refused(name: str) -> None:
    with pytest.raises(MessageError, match="another"):
        TOKENS[name].read({**TOKENS[name].claims, "another": "claim"})


@pytest.mark.negative
@pytest.mark.parametrize("name", TOKENS)
def test_a_claim_of_another_type_or_size_is_refused(name: str) -> None:
    claims = TOKENS[name].claims
    accepted = [
        (claim, ill)
        for claim, value in claims.items()
        for ill in ill_values(claim, value)
        if not refused(name, {**claims, claim: ill})
    ]
    assert accepted == []


@pytest.mark.negative
@pytest.mark.parametrize("name", TOKENS)
def test_claims_are_an_object(name: str) -> None:
    others: tuple[object, ...] = (None, [], "text", 1)
    assert all(refused(name, claims) for claims in others)


@pytest.mark.requirement("R65")
@pytest.mark.negative
@pytest.mark.parametrize(
    "confirmed",
    [
        {"device_id": "d1" * 32},
        {"ak_name": "000b" + "aa" * 32},
        {"device_id": "d1" * 31, "ak_name": "000b" + "aa" * 32},
        {"device_id": "d1" * 32, "ak_name": "000b" + "aa" * 31},
        {"device_id": "d1" * 32, "ak_name": "000b" + "aa" * 32, "pfc": "00"},
    ],
)
def test_an_order_is_confirmed_by_device_and_ak_and_nothing_else(confirmed: dict[str, str]) -> None:
    assert refused("order", {**TOKENS["order"].claims, "cnf": confirmed})


@pytest.mark.negative
def test_an_order_ends_after_it_began() -> None:
    claims = TOKENS["order"].claims
    assert refused("order", {**claims, "exp": claims["iat"]})


@pytest.mark.requirement("R53", "R64")
@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("order_id", "order-2"),
        ("jti", "token-2"),
        ("sho", "sho2.example"),
        ("subscriber", "pseudonym-2"),
        ("device_id", "d2" * 32),
        ("ak_name", b"\x00\x0b" + b"\xab" * 32),
        ("updates", "mid-1"),
    ],
)
def test_each_part_of_an_order_makes_it_another_order(part: str, value: Any) -> None:
    assert replace(samples.ORDER, **{part: value}).digest != samples.ORDER.digest


@pytest.mark.requirement("R53")
def test_an_order_lives_on_when_its_dates_and_names_for_people_change() -> None:
    told = replace(samples.ORDER, sho_name="Example", order_code="87654321", expires_at=samples.ISSUED_AT)
    assert told.digest == samples.ORDER.digest


@pytest.mark.negative
def test_a_request_for_others_only_is_refused() -> None:
    assert refused(
        "validation request", {**TOKENS["validation request"].claims, "pva_audience": ["dpf.example"]}
    )


@pytest.mark.requirement("R91")
@pytest.mark.negative
def test_a_discovery_of_another_source_is_refused() -> None:
    assert refused("discovery", {**TOKENS["discovery"].claims, "pva_source": "advertisement"})


@pytest.mark.negative
def test_an_instruction_to_do_something_else_is_refused() -> None:
    assert refused("instruction", {**TOKENS["instruction"].claims, "pva_action": "hand-over"})


@pytest.mark.negative
@pytest.mark.parametrize(
    "row",
    [
        {"approval": "YQ"},
        {"approval": "YQ", "delegation": ""},
        {"approval": "YQ", "delegation": "YQ", "x": 1},
    ],
)
def test_an_approval_in_a_package_comes_with_its_delegation(row: dict[str, Any]) -> None:
    assert refused("package", {**TOKENS["package"].claims, "pva_approvals": [row]})


@pytest.mark.negative
@pytest.mark.parametrize("name", ["package", "connectivity"])
@pytest.mark.parametrize("part", ["public", "duplicate", "seed"])
@pytest.mark.parametrize("value", ["", "Y" * 2_000, "Y===", 1])
def test_a_sealed_key_has_three_parts_of_bounded_size(name: str, part: str, value: object) -> None:
    claims = TOKENS[name].claims
    assert refused(name, {**claims, "pva_sealed_key": {**claims["pva_sealed_key"], part: value}})


@pytest.mark.negative
@pytest.mark.parametrize("pcid", ["90170", "9017000000000012", "90170000000000x", "9017000000000\uff10"])
def test_a_pcid_has_the_form_of_an_imsi(pcid: str) -> None:
    assert refused("connectivity", {**TOKENS["connectivity"].claims, "pva_pcid": pcid})


@pytest.mark.negative
@pytest.mark.parametrize("digits", [0, 1, 4])
def test_a_network_code_has_two_or_three_digits(digits: int) -> None:
    assert refused("connectivity", {**TOKENS["connectivity"].claims, "pva_mnc_digits": digits})
