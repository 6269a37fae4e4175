"""Holds for attestation results: who may set one, who lifts it, and what changes nothing."""

from datetime import timedelta

import pytest
from cryptography import x509

from ca.callers import Caller
from ca.errors import ConflictError, NotFoundError, NotPermittedError
from ca.lifecycle import Reason, Status
from ca.names import crl_name
from ca.records import Issued
from tests.fakes.ca import ADMIN, CaHouse, supplier
from tests.unit.ca.test_revocation import crl_of, enrolled

ACME, OTHER = supplier("acme"), supplier("other")
PVA = Caller(name="pva", role="pva", tenant="pva-1")
RESULTS = ("r1", "r2", "r3")

pytestmark = [pytest.mark.requirement("R101"), pytest.mark.requirement("R24")]


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
def pfc(founded: tuple[CaHouse, Issued]) -> Issued:
    return founded[1]


def held(house: CaHouse, pfc: Issued) -> Issued:
    return house.holds.hold(pfc.ca_id, pfc.serial, results=RESULTS, caller=PVA)


def recovered(house: CaHouse, pfc: Issued, result: str = "recovery-1") -> Issued:
    return house.holds.recover(pfc.ca_id, pfc.serial, result=result, caller=PVA)


def versions(house: CaHouse) -> list[tuple[Status, int]]:
    changes, _ = house.changes(after=0, limit=100)
    return [(each.status, each.version) for each in changes]


def reason_of(caught: pytest.ExceptionInfo[ConflictError]) -> str:
    return caught.value.reason


def test_from_good_to_hold_to_good_again(house: CaHouse, pfc: Issued) -> None:
    made = held(house, pfc)
    assert (made.status, made.reason, made.version) == (Status.REVOKED, Reason.CERTIFICATE_HOLD, 2)
    assert crl_of(house, pfc.ca_id)[pfc.serial][0] == 6
    assert recovered(house, pfc).version == 2
    released = house.holds.release(pfc.ca_id, pfc.serial, caller=ACME)
    assert (released.status, released.reason, released.version) == (Status.GOOD, None, 3)
    assert crl_of(house, pfc.ca_id) == {}
    assert versions(house) == [(Status.GOOD, 1), (Status.REVOKED, 2), (Status.GOOD, 3)]
    kinds = [kind for kind, _, _ in house.audit_trail()][-3:]
    assert kinds == ["certificate-held", "recovery-noted", "hold-lifted"]
    _, _, record = house.audit_trail()[-1]
    assert (record["results"], record["recovery"], record["by"]) == (list(RESULTS), "recovery-1", "acme-desk")


def test_what_is_asked_again_changes_nothing(house: CaHouse, pfc: Issued) -> None:
    held(house, pfc)
    trail = house.audit_trail()
    assert held(house, pfc).version == 2
    assert house.holds.hold(pfc.ca_id, pfc.serial, results=("r9",), caller=PVA).version == 2
    assert house.audit_trail() == trail
    recovered(house, pfc)
    trail = house.audit_trail()
    recovered(house, pfc)
    assert house.audit_trail() == trail


@pytest.mark.negative
def test_a_hold_that_arrives_late_does_not_hold_what_was_released(house: CaHouse, pfc: Issued) -> None:
    held(house, pfc)
    recovered(house, pfc)
    house.holds.release(pfc.ca_id, pfc.serial, caller=ACME)
    assert held(house, pfc).status is Status.GOOD
    late = house.holds.hold(pfc.ca_id, pfc.serial, results=("r3", "r4", "r5"), caller=PVA)
    assert late.status is Status.GOOD
    assert recovered(house, pfc).status is Status.GOOD
    again = house.holds.hold(pfc.ca_id, pfc.serial, results=("r4", "r5", "r6"), caller=PVA)
    assert (again.reason, again.version) == (Reason.CERTIFICATE_HOLD, 4)


@pytest.mark.negative
def test_a_supplier_alone_lifts_no_hold(house: CaHouse, pfc: Issued) -> None:
    held(house, pfc)
    with pytest.raises(ConflictError) as caught:
        house.holds.release(pfc.ca_id, pfc.serial, caller=ACME)
    assert reason_of(caught) == "not-recovered"
    assert house.revocation.find(pfc.ca_id, pfc.serial, caller=ACME).reason is Reason.CERTIFICATE_HOLD


@pytest.mark.negative
def test_a_recovery_of_long_ago_lifts_no_hold(house: CaHouse, pfc: Issued) -> None:
    held(house, pfc)
    recovered(house, pfc)
    house.clock.advance(hours=24, seconds=1)
    with pytest.raises(ConflictError) as caught:
        house.holds.release(pfc.ca_id, pfc.serial, caller=ACME)
    assert reason_of(caught) == "not-recovered"
    recovered(house, pfc, "recovery-2")
    assert house.holds.release(pfc.ca_id, pfc.serial, caller=ACME).status is Status.GOOD


@pytest.mark.negative
def test_the_recovery_of_one_hold_does_not_lift_the_next(house: CaHouse, pfc: Issued) -> None:
    held(house, pfc)
    recovered(house, pfc)
    house.holds.release(pfc.ca_id, pfc.serial, caller=ACME)
    house.holds.hold(pfc.ca_id, pfc.serial, results=("r7",), caller=PVA)
    with pytest.raises(ConflictError) as caught:
        house.holds.release(pfc.ca_id, pfc.serial, caller=ACME)
    assert reason_of(caught) == "not-recovered"


@pytest.mark.negative
def test_another_supplier_releases_nothing(house: CaHouse, pfc: Issued) -> None:
    held(house, pfc)
    recovered(house, pfc)
    with pytest.raises(NotPermittedError):
        house.holds.release(pfc.ca_id, pfc.serial, caller=OTHER)


@pytest.mark.negative
@pytest.mark.check("P13")
def test_a_hold_that_a_person_set_is_not_lifted_by_a_recovery(house: CaHouse, pfc: Issued) -> None:
    house.revocation.revoke(pfc.ca_id, pfc.serial, reason="certificateHold", caller=ADMIN)
    assert held(house, pfc).version == 2
    for ask in (recovered, lambda house, pfc: house.holds.release(pfc.ca_id, pfc.serial, caller=ACME)):
        with pytest.raises(ConflictError) as caught:
            ask(house, pfc)
        assert reason_of(caught) == "held-by-a-person"


@pytest.mark.negative
@pytest.mark.parametrize("reason", [Reason.KEY_COMPROMISE, Reason.SUPERSEDED, Reason.PRIVILEGE_WITHDRAWN])
def test_what_is_revoked_for_good_is_neither_held_nor_released(
    house: CaHouse, pfc: Issued, reason: Reason
) -> None:
    held(house, pfc)
    recovered(house, pfc)
    house.revocation.revoke(pfc.ca_id, pfc.serial, reason=str(reason), caller=ACME)
    assert house.holds.hold(pfc.ca_id, pfc.serial, results=("r9",), caller=PVA).reason is reason
    with pytest.raises(ConflictError) as caught:
        house.holds.release(pfc.ca_id, pfc.serial, caller=ACME)
    assert reason_of(caught) == "not-on-hold"
    with pytest.raises(ConflictError) as caught:
        recovered(house, pfc, "recovery-2")
    assert reason_of(caught) == "not-on-hold"


@pytest.mark.negative
def test_only_platform_credentials_are_held(house: CaHouse, pfc: Issued) -> None:
    other = house.signer("batch-signing").certificate.serial_number
    for issuer, serial in ((house.es_root().ca_id, other), (pfc.ca_id, pfc.serial + 1)):
        with pytest.raises(NotFoundError):
            house.holds.hold(issuer, serial, results=RESULTS, caller=PVA)


@pytest.mark.check("P12")
def test_a_crl_is_due_after_a_hold_was_lifted(house: CaHouse, pfc: Issued) -> None:
    held(house, pfc)
    recovered(house, pfc)
    house.clock.advance(seconds=1)
    with house.store.writing() as records:
        issued = records.certificate(pfc.ca_id, pfc.serial)
        assert issued is not None
        records.change_status(issued, status=Status.GOOD, reason=None, at=house.clock())
    # and was killed before it made the CRL
    assert [each.ca_id for each in house.lists.publish_due()] == [pfc.ca_id]
    assert house.lists.publish_due() == []
    assert house.clock() - house.lists.published(pfc.ca_id).this_update == timedelta(0)
    assert crl_of(house, pfc.ca_id) == {}


@pytest.mark.check("P12")
def test_a_hold_and_its_release_are_in_the_list_that_the_certificate_names(
    house: CaHouse, pfc: Issued
) -> None:
    house.lists.divide(pfc.ca_id, count=2, caller=ADMIN)
    made = (enrolled(house, f"batch-{number}") for number in range(2, 100))
    pfc = next(each for each in made if each.crl_partition == 1)
    held(house, pfc)
    assert [list(listed(house, pfc, each)) for each in (0, 1)] == [[], [pfc.serial]]
    recovered(house, pfc)
    house.holds.release(pfc.ca_id, pfc.serial, caller=ACME)
    assert [list(listed(house, pfc, each)) for each in (0, 1)] == [[], []]


def listed(house: CaHouse, pfc: Issued, partition: int) -> list[int]:
    """Serial numbers in a current list."""
    crl = x509.load_der_x509_crl(house.lists.published(crl_name(pfc.ca_id, partition)).der)
    return [each.serial_number for each in crl]
