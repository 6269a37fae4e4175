"""Who may leave an administration, and over what two administrators approve: pure decisions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from edge.administrators import (
    Administrator,
    NoSuchAdministratorError,
    Standing,
    TooFewAdministratorsError,
    from_file,
    leaving,
    without_approvals_of,
)
from edge.dual_control import APPROVAL_LIFE, Approval, approvals_record, read_approvals
from edge.principals import Principal
from standards.pki.extensions import Requester

AT = datetime(2026, 3, 1, tzinfo=UTC)
ADA = Administrator(issuer_sha256="a" * 64, spki_sha256="1" * 64, tenant="", name="ada")

pytestmark = [pytest.mark.requirement("R29")]


def standing(digit: str, *, name: str = "") -> Standing:
    held = replace(ADA, spki_sha256=digit * 64, name=name or f"admin-{digit}")
    return Standing(administrator=held, since=AT, added_by="somebody")


def approval(digit: str, *, at: datetime = AT) -> Approval:
    line = (Requester(name="staff", key_sha256="9" * 64),)
    return Approval(
        approver=f"admin-{digit}", key_sha256=digit * 64, approved_at=at, issued_at_request_of=line
    )


@pytest.mark.negative
@pytest.mark.parametrize(
    "changed",
    [
        {"issuer_sha256": "b" * 64},
        {"spki_sha256": "2" * 64},
        {"tenant": "sho-1"},
        {"name": "eve"},
        {"tenant": "ada", "name": ""},
    ],
    ids=str,
)
def test_the_digest_is_over_all_that_is_registered(changed: dict[str, str]) -> None:
    assert replace(ADA, **changed).digest != ADA.digest
    assert replace(ADA).digest == ADA.digest


@pytest.mark.negative
def test_two_are_left_at_least_and_one_with_two_keys_is_one() -> None:
    one, two, three = standing("1"), standing("2"), standing("3")
    assert leaving([one, two, three], "1" * 64) == [one]
    with pytest.raises(TooFewAdministratorsError, match="admin-2"):
        leaving([one, two], "1" * 64)
    with pytest.raises(TooFewAdministratorsError, match="nobody"):
        leaving([one], "1" * 64)
    again = standing("4", name="admin-1")
    assert leaving([one, again, two], "1" * 64) == [one]
    with pytest.raises(TooFewAdministratorsError):
        leaving([one, again, two], "2" * 64)
    with pytest.raises(NoSuchAdministratorError):
        leaving([one, two, three], "5" * 64)


def test_the_file_names_administrators_where_nothing_else_was_decided() -> None:
    rows = {
        ("a" * 64, "1" * 64): Principal(role="admin", tenant="", name="ada"),
        ("a" * 64, "2" * 64): Principal(role="admin", tenant="", name="bob"),
        ("a" * 64, "3" * 64): Principal(role="sho", tenant="s", name="sho"),
    }
    [found] = from_file(rows, {("a" * 64, "2" * 64)})
    assert (found.administrator, found.state, found.since) == (ADA, "in-force", None)


def test_what_waits_is_over_after_a_day_and_without_approvals() -> None:
    waiting = Standing(administrator=ADA, since=AT, approvals=(approval("1"), approval("2")))
    assert not waiting.is_over(AT + APPROVAL_LIFE)
    assert waiting.is_over(AT + APPROVAL_LIFE + timedelta(seconds=1))
    left = without_approvals_of(waiting, "1" * 64)
    assert left.approvals == (approval("2"),)
    assert without_approvals_of(left, "2" * 64).is_over(AT)


def test_approvals_are_read_as_they_were_written() -> None:
    given = (approval("1"), replace(approval("2"), issued_at_request_of=None))
    assert read_approvals(approvals_record(given)) == given
