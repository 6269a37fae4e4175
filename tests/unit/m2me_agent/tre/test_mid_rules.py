"""The rules of a device and of a MID: every step narrows, and what would widen is refused by its name."""

from dataclasses import replace

import pytest

from m2me_agent.tre.errors import PolicyError
from m2me_agent.tre.mid_rules import (
    FULL_RULES,
    MINIMAL_RULES,
    check_content,
    check_operators,
    rules_of_device,
    rules_of_mid,
)
from messages.mid_policy import MidPolicy
from tests.unit.messages.operator_samples import CONTENT, DEVICE_POLICY

BOTH = MidPolicy(algorithms=("milenage", "tuak"))
STRICT = replace(
    FULL_RULES,
    algorithms=frozenset({"tuak"}),
    accesses=frozenset({"wlan", "ims"}),
    res_bytes_min=8,
    is_checked_each_session=True,
)


@pytest.mark.requirement("R45")
def test_without_a_word_of_the_supplier_everything_is_allowed() -> None:
    assert rules_of_device(None) == FULL_RULES


@pytest.mark.requirement("R30", "R45")
@pytest.mark.parametrize(
    "profile", [("full", FULL_RULES), ("minimal", MINIMAL_RULES)], ids=lambda each: each[0]
)
def test_the_supplier_narrows_its_profile_and_never_widens_it(profile: tuple[str, object]) -> None:
    name, rules = profile
    found = rules_of_device(replace(DEVICE_POLICY, profile=name))
    assert found == replace(rules, res_bytes_min=8, is_checked_each_session=True)  # type: ignore[type-var] # Rules


@pytest.mark.requirement("R43", "R45")
def test_where_the_owner_says_nothing_the_device_s_rule_holds() -> None:
    assert rules_of_mid(MidPolicy(algorithms=("tuak",)), STRICT) == STRICT


@pytest.mark.requirement("R43", "R45")
def test_the_owner_narrows_every_rule() -> None:
    policy = MidPolicy(
        algorithms=("tuak",), accesses=("wlan",), res_bytes_min=16, is_checked_each_session=True
    )
    found = rules_of_mid(policy, FULL_RULES)
    assert (found.algorithms, found.accesses) == (frozenset({"tuak"}), frozenset({"wlan"}))
    assert (found.res_bytes_min, found.is_checked_each_session) == (16, True)


@pytest.mark.requirement("R45")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("policy", "named"),
    [
        (BOTH, "algorithms: milenage beside tuak"),
        (
            MidPolicy(algorithms=("tuak",), accesses=("cellular", "ims")),
            "accesses: cellular beside ims, wlan",
        ),
        (MidPolicy(algorithms=("tuak",), res_bytes_min=4), "res_bytes_min: 4 below 8"),
        (MidPolicy(algorithms=("tuak",), is_checked_each_session=False), "checked_each_session"),
    ],
)
def test_a_policy_that_widens_is_refused_by_name(policy: MidPolicy, named: str) -> None:
    with pytest.raises(PolicyError, match=named):
        rules_of_mid(policy, STRICT)


@pytest.mark.requirement("R45")
@pytest.mark.negative
def test_everything_that_would_widen_is_named_at_once() -> None:
    policy = MidPolicy(
        algorithms=("milenage",), accesses=("cellular",), res_bytes_min=4, is_checked_each_session=False
    )
    with pytest.raises(PolicyError) as caught:
        rules_of_mid(policy, STRICT)
    for name in ("algorithms", "accesses", "res_bytes_min", "checked_each_session"):
        assert f"{name}:" in caught.value.reason


@pytest.mark.requirement("R35", "R42")
@pytest.mark.negative
def test_each_application_keeps_to_the_policies() -> None:
    usim, isim = CONTENT.applications
    open_policy = replace(CONTENT, policy=BOTH)
    check_content(CONTENT, FULL_RULES)
    for content, rules, named in (
        (replace(CONTENT, policy=MidPolicy(algorithms=("tuak",))), FULL_RULES, "milenage"),
        (open_policy, replace(FULL_RULES, accesses=frozenset({"ims"})), "usim for wlan"),
        (replace(open_policy, applications=(replace(usim, res_bytes=4), isim)), STRICT, "would widen"),
        (open_policy, replace(FULL_RULES, res_bytes_min=16), "RES of 8 bytes"),
        (open_policy, replace(FULL_RULES, applications_max=1), "2 applications"),
    ):
        with pytest.raises(PolicyError, match=named):
            check_content(content, rules)


@pytest.mark.requirement("R30")
@pytest.mark.negative
def test_a_minimal_device_holds_one_operator() -> None:
    check_operators(frozenset({"sho-1"}), MINIMAL_RULES)
    with pytest.raises(PolicyError, match="2 operators"):
        check_operators(frozenset({"sho-1", "sho-2"}), MINIMAL_RULES)
