"""Renewal: a new credential over the same key along the supplier's manifests, and the end of the old one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from ca.bulk_issuance import Reissue
from ca.callers import Caller
from ca.errors import ConflictError, NotFoundError, RefusedError
from ca.lifecycle import Reason, Status
from ca.names import crl_name
from ca.records import Issued
from ca.renewal import RenewalRequest
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName
from standards.pki.fingerprints import spki_der
from tests.fakes.ca import ADMIN, CaHouse, supplier
from tests.fakes.enrolling_device import EnrollingDevice

PVA = Caller(name="pva-1", role="pva", tenant="pva-1")
WINDOW = timedelta(days=7)


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    """A device that is enrolled under the first manifest, which a second follows."""
    made = CaHouse()
    made.product_line("acme", models=("gw-1", "gw-2"))
    made.product_line("other", models=("ap-9",))
    first = made.publish_manifest(models=("gw-1", "gw-2"))
    device = EnrollingDevice(maker=made.maker)
    made.list_devices(device)
    challenge = made.enrollment.begin(device.request().encode())
    made.enrollment.activate(device.activation(challenge).encode())
    made.publish_manifest(manifest_id="gw/2", svn=2, follows=first)
    made.clock.advance(minutes=1)
    return made


@pytest.fixture
def house(founded: CaHouse) -> CaHouse:
    return founded.copy()


def credentials(house: CaHouse) -> list[Issued]:
    """Of the one device, oldest first."""
    with house.store.reading() as records:
        device_id = next(iter(records.status_changes(after=0, limit=1)))
        issued = records.certificate(device_id.ca_id, device_id.serial)
        assert issued is not None
        assert issued.device_id is not None
        return records.certificates_of_device(issued.device_id)


def digest_of(house: CaHouse, manifest_id: str, name: str = "acme") -> bytes:
    with house.store.reading() as records:
        found = records.manifest(name, manifest_id)
    assert found is not None
    return found.digest


def request(house: CaHouse, manifest_id: str = "gw/2", **changed: Any) -> RenewalRequest:
    before = credentials(house)[0]
    asked = RenewalRequest(
        ca_id=before.ca_id,
        serial=before.serial,
        manifest_digest=digest_of(house, manifest_id),
        result_id="0a0b",
    )
    return replace(asked, **changed)


def refused(house: CaHouse, asked: RenewalRequest) -> str:
    before, trail = credentials(house), len(house.audit_trail())
    with pytest.raises(RefusedError) as caught:
        house.renewals.renew(asked, caller=PVA)
    assert credentials(house) == before
    assert len(house.audit_trail()) == trail
    assert caught.value.remedy
    return caught.value.reason


@pytest.mark.requirement("R82")
@pytest.mark.requirement("R79")
def test_the_new_credential_is_over_the_same_key_and_names_the_new_manifest(house: CaHouse) -> None:
    made = house.renewals.renew(request(house), caller=PVA)
    before, after = credentials(house)
    assert after == made
    assert (before.status, after.status) == (Status.GOOD, Status.GOOD), "both are good during the overlap"
    old, new = (x509.load_der_x509_certificate(each.der) for each in (before, after))
    assert spki_der(old) == spki_der(new)
    assert HardwareModuleName.of(old) == HardwareModuleName.of(new)
    assert ExpectedSystemState.of(new) == ExpectedSystemState(
        manifest_id="gw/2", manifest_digest=digest_of(house, "gw/2"), svn=2
    )
    kind, subject, record = house.audit_trail()[-1]
    assert (kind, subject, record["result_id"]) == ("credential-renewed", before.device_id, "0a0b")
    newest = house.renewals.newest(before.device_id or "")
    assert newest.pfc_chain[0] == after.der


@pytest.mark.requirement("R82")
def test_the_same_request_again_gets_the_same_credential(house: CaHouse) -> None:
    first = house.renewals.renew(request(house), caller=PVA)
    again = house.renewals.renew(request(house, result_id="0c"), caller=PVA)
    assert (again, len(credentials(house))) == (first, 2)
    house.clock.advance(days=8)
    house.renewals.supersede_due()
    assert house.renewals.renew(request(house), caller=PVA).serial == first.serial


@pytest.mark.requirement("R82")
@pytest.mark.requirement("R79")
def test_the_old_one_is_superseded_when_its_window_is_closed_and_not_before(house: CaHouse) -> None:
    house.renewals.renew(request(house), caller=PVA)
    house.clock.advance(days=7, minutes=-1)
    assert house.renewals.supersede_due() == 0
    house.clock.advance(seconds=1)
    assert house.renewals.supersede_due() == 1
    before, after = credentials(house)
    assert (before.status, before.reason) == (Status.REVOKED, Reason.SUPERSEDED)
    assert after.status is Status.GOOD
    changes, _ = house.changes(after=0, limit=20)
    assert [(each.serial, each.reason) for each in changes if each.reason] == [
        (before.serial, Reason.SUPERSEDED)
    ]
    listed = house.lists.published(before.ca_id)
    assert x509.load_der_x509_crl(listed.der).get_revoked_certificate_by_serial_number(before.serial)
    assert house.renewals.supersede_due() == 0
    assert house.audit_trail()[-1][0] == "certificate-revoked"


@pytest.mark.requirement("R82")
@pytest.mark.check("P12")
def test_what_is_superseded_is_in_the_list_that_it_names(house: CaHouse) -> None:
    ca_id = credentials(house)[0].ca_id
    with house.store.reading() as records:
        second = records.manifest("acme", "gw/2")
    house.publish_manifest(manifest_id="gw/3", svn=3, follows=second)
    house.lists.divide(ca_id, count=2, caller=ADMIN)
    for _ in range(100):
        world = house.copy()
        made = world.renewals.renew(request(world), caller=PVA)
        if made.crl_partition == 1:
            break
    world.clock.advance(minutes=1)
    world.renewals.renew(request(world, "gw/3", serial=made.serial), caller=PVA)
    world.clock.advance(days=8)
    assert world.renewals.supersede_due() == 2
    before, between, _ = credentials(world)
    assert (before.crl_partition, between.crl_partition) == (0, 1)
    lists = [x509.load_der_x509_crl(world.lists.published(crl_name(ca_id, each)).der) for each in (0, 1)]
    assert [[each.serial_number for each in crl] for crl in lists] == [[before.serial], [between.serial]]


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_a_device_that_was_not_updated_keeps_its_credential(house: CaHouse) -> None:
    house.clock.advance(days=30)
    assert house.renewals.supersede_due() == 0
    assert credentials(house)[0].status is Status.GOOD


@pytest.mark.requirement("R82")
def test_updates_follow_one_another_and_may_be_jumped(house: CaHouse) -> None:
    with house.store.reading() as records:
        second = records.manifest("acme", "gw/2")
    house.publish_manifest(
        manifest_id="gw/3", svn=3, follows=second, until=house.clock() + timedelta(days=20)
    )
    jumped = house.copy()
    third = jumped.renewals.renew(request(jumped, "gw/3"), caller=PVA)
    jumped.clock.advance(days=8)
    assert jumped.renewals.supersede_due() == 1, "at the end of its own window, not of the second's"
    assert refused(jumped, request(jumped, "gw/2")) == "manifest-no-successor", "nobody goes back"
    made = house.renewals.renew(request(house), caller=PVA)
    house.clock.advance(minutes=1)
    next_one = request(house, "gw/3", serial=made.serial, ca_id=made.ca_id)
    assert house.renewals.renew(next_one, caller=PVA).serial != third.serial
    house.clock.advance(days=21)
    assert house.renewals.supersede_due() == 2
    assert [each.status for each in credentials(house)] == [Status.REVOKED, Status.REVOKED, Status.GOOD]


def _unknown(house: CaHouse) -> RenewalRequest:
    return request(house, serial=7)


def _no_manifest(house: CaHouse) -> RenewalRequest:
    return request(house, manifest_digest=bytes(32))


def _of_another_supplier(house: CaHouse) -> RenewalRequest:
    house.publish_manifest("other", manifest_id="ap/1", models=("ap-9",))
    return request(house, manifest_digest=digest_of(house, "ap/1", "other"))


def _for_another_model(house: CaHouse) -> RenewalRequest:
    with house.store.reading() as records:
        second = records.manifest("acme", "gw/2")
    house.publish_manifest(manifest_id="gw/3", svn=3, models=("gw-2",), follows=second)
    return request(house, "gw/3")


def _no_successor(house: CaHouse) -> RenewalRequest:
    house.publish_manifest(manifest_id="gw/alone", svn=9)
    return request(house, "gw/alone")


def _a_step_back(house: CaHouse) -> RenewalRequest:
    made = house.renewals.renew(request(house), caller=PVA)
    return request(house, "gw/1", serial=made.serial, ca_id=made.ca_id)


def _window_over(house: CaHouse) -> RenewalRequest:
    house.clock.advance(days=366)
    return request(house)


def _revoked(house: CaHouse) -> RenewalRequest:
    before = credentials(house)[0]
    house.revocation.revoke(before.ca_id, before.serial, reason="keyCompromise", caller=supplier("acme"))
    return request(house)


def _on_hold(house: CaHouse) -> RenewalRequest:
    before = credentials(house)[0]
    house.revocation.revoke(before.ca_id, before.serial, reason="certificateHold", caller=supplier("acme"))
    return request(house)


def _reopened(house: CaHouse) -> RenewalRequest:
    house.revocation.reopen(credentials(house)[0].device_id or "", caller=supplier("acme"))
    return request(house)


@pytest.mark.requirement("R82")
@pytest.mark.negative
@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (_unknown, "no-such-credential"),
        (_no_manifest, "manifest-not-for-this-device"),
        (_of_another_supplier, "manifest-not-for-this-device"),
        (_for_another_model, "manifest-not-for-this-device"),
        (_window_over, "manifest-not-for-this-device"),
        (_no_successor, "manifest-no-successor"),
        (_a_step_back, "manifest-no-successor"),
        (_revoked, "credential-revoked"),
        (_on_hold, "credential-revoked"),
        (_reopened, "not-enrolled-with-this-key"),
    ],
)
def test_a_device_moves_forward_along_its_suppliers_manifests_or_not_at_all(
    house: CaHouse, made: Callable[[CaHouse], RenewalRequest], reason: str
) -> None:
    assert refused(house, made(house)) == reason


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_a_hold_on_any_credential_of_the_device_keeps_new_ones_back(house: CaHouse) -> None:
    asked = request(house)
    made = house.renewals.renew(asked, caller=PVA)
    house.revocation.revoke(made.ca_id, made.serial, reason="certificateHold", caller=supplier("acme"))
    assert refused(house, asked) == "platform-credential-on-hold"


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_a_device_without_a_good_credential_finds_none(house: CaHouse) -> None:
    asked = _revoked(house)
    with pytest.raises(NotFoundError):
        house.renewals.newest(credentials(house)[0].device_id or "")
    with pytest.raises(NotFoundError):
        house.renewals.newest("00" * 32)
    with pytest.raises(ConflictError):
        house.renewals.renew(asked, caller=PVA)


@pytest.mark.requirement("R82")
def test_what_a_line_was_issued_is_what_took_the_place_of_the_old_credential(house: CaHouse) -> None:
    page = house.bulk.reissue(
        Reissue(supplier="acme", model="gw-1", manifest_id="gw/2"), caller=supplier("acme")
    )
    [made] = page.issued.values()
    asked = house.renewals.renew(request(house), caller=PVA)
    assert (asked.ca_id, asked.serial) == (made.ca_id, made.serial), "the device gets one, whoever asks"
    assert len(credentials(house)) == 2
    house.clock.advance(days=8)
    assert house.renewals.supersede_due() == 1
    before, after = credentials(house)
    assert (before.reason, after.status) == (Reason.SUPERSEDED, Status.GOOD)


@pytest.mark.requirement("R82")
def test_a_device_that_goes_further_than_its_line_was_issued_goes_on_from_there(house: CaHouse) -> None:
    with house.store.reading() as records:
        second = records.manifest("acme", "gw/2")
    house.bulk.reissue(Reissue(supplier="acme", model="gw-1", manifest_id="gw/2"), caller=supplier("acme"))
    house.clock.advance(minutes=1)
    house.publish_manifest(manifest_id="gw/3", svn=3, follows=second)
    third = house.renewals.renew(request(house, "gw/3"), caller=PVA)
    old, between, newest = credentials(house)
    assert newest.serial == third.serial
    with house.store.reading() as records:
        noted = [records.renewal(each.ca_id, each.serial) for each in (old, between, newest)]
    assert [None if each is None else each.new_serial for each in noted] == [
        between.serial,
        newest.serial,
        None,
    ]


@pytest.mark.requirement("R82")
def test_a_line_whose_manifest_follows_nothing_ends_no_credential(house: CaHouse) -> None:
    house.publish_manifest(manifest_id="gw/9", svn=9)
    house.bulk.reissue(Reissue(supplier="acme", model="gw-1", manifest_id="gw/9"), caller=supplier("acme"))
    house.clock.advance(days=30)
    assert house.renewals.supersede_due() == 0
    assert [each.status for each in credentials(house)] == [Status.GOOD, Status.GOOD]
