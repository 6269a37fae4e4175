"""Tiers and trustworthiness vectors."""

import pytest

from standards.rats.ar4si import Tier, check_standard_vector, tier_of, tier_of_claim, worst
from standards.rats.errors import RatsError


@pytest.mark.parametrize(
    ("values", "tier"),
    [
        ((0, 1, -1), Tier.NONE),
        ((2, 3, 31, -2, -32), Tier.AFFIRMING),
        ((32, 33, 36, 95, -33, -96), Tier.WARNING),
        ((96, 97, 99, 127, -97, -128), Tier.CONTRAINDICATED),
    ],
)
def test_tier_of_a_claim(values: tuple[int, ...], tier: Tier) -> None:
    assert {tier_of_claim(value) for value in values} == {tier}


@pytest.mark.requirement("R69")
@pytest.mark.parametrize(
    ("vector", "tier"),
    [
        ({}, Tier.NONE),
        ({"executables": 0}, Tier.NONE),
        ({"executables": 3, "hardware": 2, "file-system": 0}, Tier.AFFIRMING),
        ({"executables": 3, "hardware": 32}, Tier.WARNING),
        ({"executables": 96, "hardware": 32}, Tier.CONTRAINDICATED),
    ],
)
def test_tier_of_a_vector_is_that_of_its_worst_claim(vector: dict[str, int], tier: Tier) -> None:
    assert tier_of(vector) is tier


@pytest.mark.negative
@pytest.mark.parametrize("unjudged", [1, -1])
def test_a_claim_that_could_not_be_judged_keeps_the_vector_from_affirming(unjudged: int) -> None:
    assert tier_of({"executables": 3, "configuration": unjudged}) is Tier.NONE
    assert tier_of({"executables": 32, "configuration": unjudged}) is Tier.WARNING


def test_the_worst_tier_has_the_least_trust() -> None:
    assert max(Tier.AFFIRMING, Tier.NONE) is Tier.NONE
    assert worst([Tier.AFFIRMING, Tier.WARNING, Tier.NONE]) is Tier.WARNING
    assert worst([]) is Tier.NONE
    assert Tier.AFFIRMING <= Tier.AFFIRMING < Tier.CONTRAINDICATED >= Tier.WARNING > Tier.NONE


@pytest.mark.negative
@pytest.mark.parametrize(
    "vector", [{"unknown": 2}, {"hardware": 128}, {"hardware": -129}, {"hardware": True}]
)
def test_unknown_claims_and_values_out_of_range_are_refused(vector: dict[str, int]) -> None:
    with pytest.raises(RatsError):
        tier_of(vector)


@pytest.mark.negative
@pytest.mark.parametrize("vector", [{"hardware": 3}, {"executables": 36}, {"instance-identity": 32}])
def test_values_without_a_meaning_are_not_signed(vector: dict[str, int]) -> None:
    with pytest.raises(RatsError, match="one of"):
        check_standard_vector(vector)
