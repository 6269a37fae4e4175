"""Suspensions of suppliers, models and batches: who may, what is in them, and that two must lift them."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ca.callers import Caller
from ca.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError, RefusedError
from ca.lifecycle import Status
from ca.records import Issued
from ca.suspensions import Scope, Suspension
from edge.dual_control import APPROVAL_LIFE
from standards.pki.extensions import Requester
from tests.fakes.ca import ADMIN, SECOND, CaHouse, supplier
from tests.unit.ca.test_revocation import crl_of, enrolled

ACME, OTHER = supplier("acme"), supplier("other")
WHOLE = Scope(supplier="acme")

pytestmark = [pytest.mark.requirement("R28"), pytest.mark.requirement("R101")]


@pytest.fixture(scope="module")
def founded() -> tuple[CaHouse, Issued, Issued]:
    made = CaHouse()
    made.product_line("acme")
    made.product_line("other", models=("ap-9",))
    made.publish_manifest()
    return made, enrolled(made, "batch-1"), enrolled(made, "batch-2")


@pytest.fixture
def house(founded: tuple[CaHouse, Issued, Issued]) -> CaHouse:
    return founded[0].copy()


def suspended(house: CaHouse, scope: Scope = WHOLE, *, caller: Caller = ADMIN) -> Suspension:
    return house.suspensions.suspend(scope, reason="a flaw in the boot ROM", caller=caller)


def lifted(house: CaHouse, made: Suspension) -> Suspension:
    house.suspensions.lift(made.id, caller=ADMIN)
    return house.suspensions.lift(made.id, caller=SECOND)


def reason_of(caught: pytest.ExceptionInfo[RefusedError]) -> str:
    return caught.value.reason


def held_in_crl(house: CaHouse, ca_id: str) -> set[int]:
    house.lists.publish_due()
    listed = crl_of(house, ca_id)
    assert {reason for reason, _ in listed.values()} <= {6}
    return set(listed)


def test_a_supplier_is_suspended_and_two_administrators_lift_it(
    house: CaHouse, founded: tuple[CaHouse, Issued, Issued]
) -> None:
    _, first, second = founded
    made = suspended(house, caller=ACME)
    version, (told,) = house.suspended()
    assert (version, told.issuers, told.since) == (made.seq, (first.ca_id,), house.clock())
    assert held_in_crl(house, first.ca_id) == {first.serial, second.serial}
    found = house.revocation.find(first.ca_id, first.serial, caller=ACME)
    assert (found.status, found.version) == (Status.GOOD, 1)
    assert house.suspensions.of(found) == [made]
    waiting = house.suspensions.lift(made.id, caller=ADMIN)
    assert waiting.lifted_at is None
    assert house.suspended()[1] == [told]
    house.clock.advance(minutes=5)
    assert house.suspensions.lift(made.id, caller=SECOND).lifted_at == house.clock()
    after, none = house.suspended()
    assert after > version
    assert none == []
    assert held_in_crl(house, first.ca_id) == set()
    kinds = [kind for kind, _, _ in house.audit_trail()][-3:]
    assert kinds == ["suspended", "suspension-lifting", "suspension-lifting"]


@pytest.mark.parametrize(
    "scope", [Scope(supplier="acme", batch="batch-2"), Scope(supplier="acme", model="gw-1")]
)
def test_a_part_is_suspended_alone(
    house: CaHouse, founded: tuple[CaHouse, Issued, Issued], scope: Scope
) -> None:
    _, first, second = founded
    suspended(house, scope)
    both = {first.serial, second.serial}
    assert held_in_crl(house, first.ca_id) == (both if scope.model else {second.serial})


def test_what_is_revoked_for_a_reason_of_its_own_stays_so(
    house: CaHouse, founded: tuple[CaHouse, Issued, Issued]
) -> None:
    _, first, second = founded
    house.revocation.revoke(first.ca_id, first.serial, reason="keyCompromise", caller=ACME)
    made = suspended(house)
    house.lists.publish_due()
    assert {serial: each[0] for serial, each in crl_of(house, first.ca_id).items()} == {
        first.serial: 1,
        second.serial: 6,
    }
    lifted(house, made)
    house.lists.publish_due()
    assert {serial: each[0] for serial, each in crl_of(house, first.ca_id).items()} == {first.serial: 1}


def test_the_same_again_changes_nothing(house: CaHouse) -> None:
    made = suspended(house)
    trail = house.audit_trail()
    assert suspended(house, caller=ACME) == made
    assert house.audit_trail() == trail
    done = lifted(house, made)
    assert house.suspensions.lift(made.id, caller=ADMIN) == done
    again = suspended(house)
    assert again.id != made.id


@pytest.mark.negative
def test_nobody_lifts_with_a_certificate_that_he_had_issued_or_whose_origin_is_unknown(
    house: CaHouse,
) -> None:
    made = suspended(house)
    house.suspensions.lift(made.id, caller=ADMIN)
    himself = Requester(name=ADMIN.name, key_sha256=ADMIN.key_sha256)
    for line, reason in (((himself,), "approver-not-independent"), (None, "approver-origin-unknown")):
        with pytest.raises(ConflictError) as caught:
            house.suspensions.lift(made.id, caller=replace(SECOND, issued_at_request_of=line))
        assert reason_of(caught) == reason
    staff = Requester(name="staff", key_sha256="3" * 64)
    third = replace(SECOND, issued_at_request_of=(staff,))
    assert house.suspensions.lift(made.id, caller=third).lifted_at is not None
    assert house.audit_trail()[-1][2]["issued_at_request_of"] == [{"name": "staff", "key_sha256": "3" * 64}]


@pytest.mark.negative
def test_one_administrator_lifts_nothing_with_two_names_or_two_keys(house: CaHouse) -> None:
    made = suspended(house)
    house.suspensions.lift(made.id, caller=ADMIN)
    for caller in (
        replace(ADMIN, key_sha256=SECOND.key_sha256),
        replace(SECOND, key_sha256=ADMIN.key_sha256),
    ):
        with pytest.raises(ConflictError) as caught:
            house.suspensions.lift(made.id, caller=caller)
        assert reason_of(caught) == "approver-not-another"
    house.clock.advance(seconds=APPROVAL_LIFE.total_seconds() + 1)
    assert house.suspensions.lift(made.id, caller=SECOND).lifted_at is None
    house.clock.advance(seconds=timedelta(hours=1).total_seconds())
    assert house.suspensions.lift(made.id, caller=ADMIN).lifted_at is not None


@pytest.mark.negative
def test_another_supplier_suspends_and_sees_nothing(house: CaHouse) -> None:
    with pytest.raises(NotPermittedError):
        suspended(house, caller=OTHER)
    suspended(house)
    assert house.suspensions.listed(caller=OTHER) == []
    assert len(house.suspensions.listed(caller=ACME)) == len(house.suspensions.listed(caller=ADMIN)) == 1


@pytest.mark.negative
@pytest.mark.parametrize(
    "scope",
    [
        Scope(supplier="nobody"),
        Scope(supplier="acme", model="ap-9"),
        Scope(supplier="acme", batch="batch-9"),
    ],
)
def test_a_scope_that_is_none_is_not_found(house: CaHouse, scope: Scope) -> None:
    with pytest.raises(NotFoundError) as caught:
        suspended(house, scope)
    assert reason_of(caught) == "no-such-scope"


@pytest.mark.negative
def test_a_scope_has_one_part_and_a_lifting_has_its_suspension(house: CaHouse) -> None:
    with pytest.raises(InvalidInputError):
        suspended(house, Scope(supplier="acme", model="gw-1", batch="batch-1"))
    with pytest.raises(NotFoundError) as caught:
        house.suspensions.lift("0" * 64, caller=ADMIN)
    assert reason_of(caught) == "no-such-suspension"
