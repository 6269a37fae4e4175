"""Who counts beside whom: other names, other keys, nobody behind two of them, and no origin that nobody knows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge.dual_control import (
    APPROVAL_LIFE,
    Approval,
    DependentApproverError,
    Line,
    SameApproverError,
    UnknownOriginError,
    approval_record,
    read_approval,
    with_approval,
)
from standards.pki.extensions import Requester

AT = datetime(2026, 3, 1, tzinfo=UTC)
BEFORE = AT - timedelta(hours=1)


def person(digit: str) -> Requester:
    return Requester(name=f"admin-{digit}", key_sha256=digit * 64)


def approval(digit: str, *behind: Requester, at: datetime = AT) -> Approval:
    who = person(digit)
    return Approval(approver=who.name, key_sha256=who.key_sha256, approved_at=at, issued_at_request_of=behind)


ONE, TWO = approval("1", at=BEFORE), approval("2")


@pytest.mark.negative
def test_what_a_removed_key_approved_does_not_count() -> None:
    assert with_approval([ONE], TWO, removed={ONE.key_sha256}) == (TWO,)
    assert with_approval([ONE], TWO, removed={"7" * 64}) == (ONE, TWO)


def test_two_of_a_ceremony_count_together_and_so_does_one_whom_a_third_had_certified() -> None:
    assert with_approval([ONE], TWO) == (ONE, TWO)
    third = approval("4", person("3"))
    assert with_approval([ONE], third) == (ONE, third)
    assert with_approval([ONE, approval("5", person("6"), at=BEFORE)], third)[-1] == third


@pytest.mark.negative
@pytest.mark.requirement("R29")
@pytest.mark.parametrize(
    ("before", "behind"),
    [
        pytest.param(ONE, (person("1"),), id="the first had the second's issued"),
        pytest.param(replace(ONE, issued_at_request_of=(person("2"),)), (), id="the other way round"),
        pytest.param(ONE, (person("3"), person("1")), id="through somebody between"),
        pytest.param(
            replace(ONE, issued_at_request_of=(person("7"),)), (person("7"),), id="one had both issued"
        ),
        pytest.param(
            ONE, (replace(person("1"), key_sha256="8" * 64),), id="the first, with a key that he renewed"
        ),
        pytest.param(ONE, (replace(person("1"), name="x"),), id="the first, under another name"),
    ],
)
def test_nobody_stands_behind_two_approvals(before: Approval, behind: Line) -> None:
    given = (approval("9", at=BEFORE), before)
    with pytest.raises(DependentApproverError) as caught:
        with_approval(given, approval("2", *behind))
    assert caught.value.before == before
    assert "had the certificate of" in str(caught.value)


@pytest.mark.negative
@pytest.mark.parametrize(
    "again", [replace(TWO, approver=ONE.approver), replace(TWO, key_sha256=ONE.key_sha256)]
)
def test_one_name_or_one_key_is_one_approver(again: Approval) -> None:
    with pytest.raises(SameApproverError):
        with_approval([ONE], again)


@pytest.mark.negative
def test_an_origin_that_nobody_knows_counts_for_nothing() -> None:
    with pytest.raises(UnknownOriginError) as caught:
        with_approval([], replace(TWO, issued_at_request_of=None))
    assert "admin-2" in str(caught.value)
    assert with_approval([replace(ONE, issued_at_request_of=None)], TWO) == (TWO,)


def test_who_waited_too_long_stands_in_nobodys_way() -> None:
    old = replace(ONE, approved_at=AT - APPROVAL_LIFE - timedelta(seconds=1))
    assert with_approval([old], approval("2", person("1"))) == (approval("2", person("1")),)


@pytest.mark.parametrize("behind", [None, (), (person("3"), person("4"))])
def test_a_record_gives_the_approval_again(behind: Line | None) -> None:
    made = replace(TWO, issued_at_request_of=behind)
    assert read_approval(approval_record(made)) == made
    earlier = {key: value for key, value in approval_record(made).items() if key != "issued_at_request_of"}
    assert read_approval(earlier) == replace(made, issued_at_request_of=None)
