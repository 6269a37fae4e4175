"""Whether a supplier may vouch for a device at this moment: each thing that ends it, and the moment at which it does."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pva.appraisal.credential import PlatformCredential, Supplier, SuspendedPart
from pva.appraisal.supplier_standing import judge_by_operator, judge_supplier
from pva.refusals import RefusalCode, RefusalError
from standards.pki.extensions import ExpectedSystemState
from tests.fakes.credentials import MODEL, FakeSupplier, hw_type
from tests.fakes.pki import NOW
from tests.fakes.trust_lists import AUDIT, vouched

ACME = FakeSupplier.make()
SUPPLIER = replace(ACME.recognised(models=(MODEL, "meter")), accreditation=AUDIT, tre_level_min=2)
FLAW = SuspendedPart(model=None, since=NOW, reason="a flaw")

pytestmark = [pytest.mark.requirement("R20"), pytest.mark.requirement("R28")]


def credential(supplier: Supplier = SUPPLIER, *, level: int | None = 2) -> PlatformCredential:
    return PlatformCredential(
        path=(ACME.issuing.certificate, ACME.root.certificate),
        supplier=supplier,
        device_id="d1" * 32,
        hw_type=hw_type(1),
        expected_state=ExpectedSystemState(manifest_id="m", manifest_digest=bytes(32), svn=1),
        tre_level=level,
    )


def refused(caught: pytest.ExceptionInfo[RefusalError]) -> RefusalCode:
    assert caught.value.remedy
    return caught.value.code


def test_an_accredited_supplier_vouches_until_the_last_moment() -> None:
    judge_supplier(credential(), at=NOW)
    judge_supplier(credential(), at=AUDIT.valid_to - timedelta(microseconds=1))
    judge_supplier(credential(replace(SUPPLIER, accreditation=None)), at=AUDIT.valid_to)


@pytest.mark.negative
def test_an_audit_that_ended_or_did_not_begin_is_none() -> None:
    for at in (AUDIT.valid_to, AUDIT.valid_from - timedelta(seconds=1)):
        with pytest.raises(RefusalError) as caught:
            judge_supplier(credential(), at=at)
        assert refused(caught) is RefusalCode.SUPPLIER_NOT_ACCREDITED


@pytest.mark.negative
def test_a_list_that_is_over_names_nobody() -> None:
    listed = credential(replace(SUPPLIER, listed_until=NOW))
    judge_supplier(listed, at=NOW - timedelta(seconds=1))
    with pytest.raises(RefusalError) as caught:
        judge_supplier(listed, at=NOW)
    assert refused(caught) is RefusalCode.SUPPLIER_NOT_ACCREDITED


@pytest.mark.negative
@pytest.mark.parametrize("part", [FLAW, replace(FLAW, model=MODEL)])
def test_a_suspended_supplier_or_model_vouches_for_nobody(part: SuspendedPart) -> None:
    with pytest.raises(RefusalError, match="a flaw") as caught:
        judge_supplier(credential(replace(SUPPLIER, suspensions=(part,))), at=NOW)
    assert refused(caught) is RefusalCode.SUPPLIER_SUSPENDED


def test_the_suspension_of_another_model_is_not_this_ones() -> None:
    judge_supplier(credential(replace(SUPPLIER, suspensions=(replace(FLAW, model="meter"),))), at=NOW)


@pytest.mark.negative
@pytest.mark.parametrize("level", [None, 1])
def test_a_tre_below_the_least_level(level: int | None) -> None:
    with pytest.raises(RefusalError) as caught:
        judge_supplier(credential(level=level), at=NOW)
    assert refused(caught) is RefusalCode.TRE_LEVEL_TOO_LOW


@pytest.mark.requirement("R19")
def test_an_operator_takes_what_its_list_names() -> None:
    judge_by_operator(credential(), listed=vouched(ACME), operator="sho-1", at=NOW)


@pytest.mark.negative
@pytest.mark.requirement("R19")
@pytest.mark.parametrize(
    "listed",
    [
        None,
        vouched(FakeSupplier.make()),
        vouched(ACME, models=()),
        vouched(ACME, accreditation=replace(AUDIT, valid_to=NOW)),
    ],
)
def test_an_operator_refuses_what_its_list_does_not_name(listed: None) -> None:
    with pytest.raises(RefusalError) as caught:
        judge_by_operator(credential(), listed=listed, operator="sho-1", at=NOW)
    assert refused(caught) is RefusalCode.SUPPLIER_NOT_TRUSTED


@pytest.mark.negative
def test_an_operator_asks_for_more_than_its_pva() -> None:
    with pytest.raises(RefusalError) as caught:
        judge_by_operator(credential(), listed=vouched(ACME, tre_level_min=3), operator="sho-1", at=NOW)
    assert refused(caught) is RefusalCode.TRE_LEVEL_TOO_LOW
