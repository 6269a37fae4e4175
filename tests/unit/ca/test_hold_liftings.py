"""The hold that a person has put on a credential: two administrators lift it, and what one of them does alone lifts nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ca.callers import Caller
from ca.errors import ConflictError, NotFoundError
from ca.hold_liftings import Lifting
from ca.lifecycle import Reason, Status
from ca.records import Issued
from edge.dual_control import APPROVAL_LIFE
from standards.pki.extensions import Requester
from tests.fakes.ca import ADMIN, SECOND, CaHouse, supplier
from tests.unit.ca.test_revocation import crl_of, enrolled

ACME = supplier("acme")
PVA = Caller(name="pva", role="pva", tenant="pva-1")

pytestmark = [pytest.mark.requirement("R28"), pytest.mark.requirement("R101")]


@pytest.fixture(scope="module")
def founded() -> tuple[CaHouse, Issued]:
    made = CaHouse()
    made.product_line("acme")
    made.publish_manifest()
    return made, enrolled(made)


@pytest.fixture
def house(founded: tuple[CaHouse, Issued]) -> CaHouse:
    return founded[0].copy()


@pytest.fixture
def held(house: CaHouse, founded: tuple[CaHouse, Issued]) -> Issued:
    pfc = founded[1]
    return house.revocation.revoke(pfc.ca_id, pfc.serial, reason="certificateHold", caller=ACME)


def lift(house: CaHouse, pfc: Issued, caller: Caller) -> Lifting:
    return house.hold_liftings.lift(pfc.ca_id, pfc.serial, caller=caller)


def refused(house: CaHouse, pfc: Issued, caller: Caller) -> str:
    with pytest.raises(ConflictError) as caught:
        lift(house, pfc, caller)
    return caught.value.reason


def test_two_administrators_lift_it(house: CaHouse, held: Issued) -> None:
    waiting = lift(house, held, ADMIN)
    assert (waiting.issued.reason, waiting.issued.version) == (Reason.CERTIFICATE_HOLD, held.version)
    assert set(crl_of(house, held.ca_id)) == {held.serial}
    made = lift(house, held, SECOND)
    assert (made.issued.status, made.issued.version) == (Status.GOOD, held.version + 1)
    assert [each.approver for each in made.approvals] == [ADMIN.name, SECOND.name]
    assert crl_of(house, held.ca_id) == {}
    changes, _ = house.changes(after=0, limit=100)
    assert [each.version for each in changes] == [1, held.version, held.version + 1]
    trail = [(kind, record["lifted"]) for kind, _, record in house.audit_trail() if kind == "hold-lifting"]
    assert trail == [("hold-lifting", False), ("hold-lifting", True)]


@pytest.mark.negative
def test_one_administrator_is_not_two(house: CaHouse, held: Issued) -> None:
    lift(house, held, ADMIN)
    assert refused(house, held, ADMIN) == "approver-not-another"
    dependent = replace(
        SECOND, issued_at_request_of=(Requester(name=ADMIN.name, key_sha256=ADMIN.key_sha256),)
    )
    assert refused(house, held, dependent) == "approver-not-independent"
    assert refused(house, held, replace(SECOND, issued_at_request_of=None)) == "approver-origin-unknown"
    found = house.revocation.find(held.ca_id, held.serial, caller=ADMIN)
    assert (found.reason, found.version) == (Reason.CERTIFICATE_HOLD, held.version)


@pytest.mark.negative
def test_an_approval_waits_a_day_and_is_for_one_hold(house: CaHouse, held: Issued) -> None:
    lift(house, held, ADMIN)
    house.clock.advance(seconds=int(APPROVAL_LIFE / timedelta(seconds=1)) + 1)
    assert lift(house, held, SECOND).issued.reason is Reason.CERTIFICATE_HOLD
    lift(house, held, ADMIN)
    again = house.revocation.revoke(held.ca_id, held.serial, reason="certificateHold", caller=ACME)
    assert lift(house, again, SECOND).issued.reason is Reason.CERTIFICATE_HOLD
    assert lift(house, again, ADMIN).issued.status is Status.GOOD


@pytest.mark.negative
def test_what_is_not_a_persons_hold_is_not_lifted(house: CaHouse, founded: tuple[CaHouse, Issued]) -> None:
    pfc = founded[1]
    assert refused(house, pfc, ADMIN) == "not-on-hold"
    house.holds.hold(pfc.ca_id, pfc.serial, results=("r1", "r2"), caller=PVA)
    assert refused(house, pfc, ADMIN) == "held-for-results"
    house.revocation.revoke(pfc.ca_id, pfc.serial, reason="keyCompromise", caller=ACME)
    assert refused(house, pfc, ADMIN) == "not-on-hold"
    with pytest.raises(NotFoundError):
        house.hold_liftings.lift(pfc.ca_id, pfc.serial + 1, caller=ADMIN)
