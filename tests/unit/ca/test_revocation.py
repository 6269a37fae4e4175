"""Revocation, the change feed, CRLs, and letting a device enrol again."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ca.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from ca.lifecycle import REASON_CODES, Reason, Status
from ca.profiles import Kind
from ca.records import Issued
from ca.revocation import Revocation
from ca.revocation_lists import still_listed
from edge.process import configure_logging
from standards.pki.crl import verify_crl
from tests.fakes.ca import ADMIN, NOW, CaHouse, csr_for, supplier
from tests.fakes.enrolling_device import EnrollingDevice

ACME, OTHER = supplier("acme"), supplier("other")


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    made = CaHouse()
    made.product_line("acme")
    made.product_line("other", models=("ap-9",))
    made.publish_manifest()
    return made


@pytest.fixture(scope="module")
def founded_with_device(founded: CaHouse) -> tuple[CaHouse, Issued]:
    made = founded.copy()
    return made, enrolled(made)


@pytest.fixture
def house(founded: CaHouse) -> CaHouse:
    return founded.copy()


@pytest.fixture
def with_device(founded_with_device: tuple[CaHouse, Issued]) -> tuple[CaHouse, Issued]:
    house, pfc = founded_with_device
    return house.copy(), pfc


def enrolled(house: CaHouse, batch: str = "batch-1") -> Issued:
    device = EnrollingDevice(maker=house.maker)
    house.list_devices(device, batch=batch)
    challenge = house.enrollment.begin(device.request().encode())
    house.enrollment.activate(device.activation(challenge).encode())
    with house.store.reading() as records:
        return records.certificates_of_device(device.device_id)[0]


def crl_of(house: CaHouse, ca_id: str) -> dict[int, tuple[int, str]]:
    """Serial -> (number of the reason, date) of the newest CRL, verified as a relying party does it."""
    with house.store.reading() as records:
        authority = records.authority(ca_id)
    assert authority is not None
    verified = verify_crl(house.lists.published(ca_id).der, issuer=authority.x509(), at=house.clock())
    return {serial: (each.reason.value, f"{each.at:%H:%M}") for serial, each in verified.revoked.items()}


@pytest.mark.requirement("R74")
@pytest.mark.check("P10")
@pytest.mark.parametrize("reason", [each for each in Reason if each is not Reason.CA_COMPROMISE])
def test_a_revocation_is_in_status_feed_and_crl(with_device: tuple[CaHouse, Issued], reason: Reason) -> None:
    house, pfc = with_device
    house.clock.advance(minutes=7)
    made = house.revocation.revoke(pfc.ca_id, pfc.serial, reason=str(reason), caller=ACME)
    assert (made.status, made.reason, made.version) == (Status.REVOKED, reason, 2)
    assert crl_of(house, pfc.ca_id) == {pfc.serial: (REASON_CODES[reason], "12:07")}
    changes, complete = house.changes(after=0, limit=10)
    assert complete
    assert [(each.status, each.version) for each in changes] == [(Status.GOOD, 1), (Status.REVOKED, 2)]
    assert changes[1].seq > changes[0].seq
    assert house.audit_trail()[-1][0] == "certificate-revoked"


@pytest.mark.negative
@pytest.mark.check("P10")
@pytest.mark.parametrize(
    "reason", ["unspecified", "7", "removeFromCRL", "aACompromise", "cACompromise", "", "KeyCompromise", "0"]
)
def test_a_reason_that_a_credential_cannot_have_is_refused(
    with_device: tuple[CaHouse, Issued], reason: str
) -> None:
    house, pfc = with_device
    with pytest.raises(InvalidInputError) as caught:
        house.revocation.revoke(pfc.ca_id, pfc.serial, reason=reason, caller=ACME)
    assert "keyCompromise(1)" in caught.value.remedy
    assert house.revocation.find(pfc.ca_id, pfc.serial, caller=ACME).status is Status.GOOD


@pytest.mark.negative
def test_another_supplier_can_neither_see_nor_revoke(with_device: tuple[CaHouse, Issued]) -> None:
    house, pfc = with_device
    with pytest.raises(NotPermittedError) as caught:
        house.revocation.revoke(pfc.ca_id, pfc.serial, reason="superseded", caller=OTHER)
    assert caught.value.reason == "another-supplier"
    with pytest.raises(NotPermittedError):
        house.revocation.find(pfc.ca_id, pfc.serial, caller=OTHER)
    with pytest.raises(NotPermittedError):
        house.revocation.reopen(pfc.device_id or "", caller=OTHER)
    assert house.revocation.find(pfc.ca_id, pfc.serial, caller=ADMIN).status is Status.GOOD


@pytest.mark.negative
def test_a_serial_number_means_nothing_without_its_issuer(with_device: tuple[CaHouse, Issued]) -> None:
    house, pfc = with_device
    with pytest.raises(NotFoundError):
        house.revocation.revoke(house.es_root().ca_id, pfc.serial, reason="superseded", caller=ADMIN)


@pytest.mark.negative
def test_certificates_of_the_operators_are_for_administrators(house: CaHouse) -> None:
    root = house.hierarchy.make_root(Kind.OPERATORS_ROOT)
    key = ec.generate_private_key(ec.SECP256R1())
    made = house.certification.certify_operator("pva", service="pva-1", purpose="challenge", csr=csr_for(key))
    for caller in (ACME, supplier("")):
        with pytest.raises(NotPermittedError):
            house.revocation.revoke(root.ca_id, made.serial_number, reason="superseded", caller=caller)
    house.revocation.revoke(root.ca_id, made.serial_number, reason="superseded", caller=ADMIN)


@pytest.mark.negative
def test_a_crl_that_cannot_be_made_does_not_unsay_the_revocation(
    house: CaHouse, capsys: pytest.CaptureFixture[str]
) -> None:
    pfc = enrolled(house)

    def fails(_: str, __: int) -> None:
        raise OSError("no key today")

    configure_logging(role="ca")
    revocation = Revocation(store=house.store, clock=house.clock, publish=fails)
    made = revocation.revoke(pfc.ca_id, pfc.serial, reason="superseded", caller=ACME)
    assert made.status is Status.REVOKED
    assert "crl-not-made" in capsys.readouterr().err
    assert [each.ca_id for each in house.lists.publish_due()] == [pfc.ca_id]


@pytest.mark.check("P13")
def test_a_hold_is_replaced_by_a_real_reason_once(with_device: tuple[CaHouse, Issued]) -> None:
    house, pfc = with_device
    house.revocation.revoke(pfc.ca_id, pfc.serial, reason="certificateHold", caller=ACME)
    with pytest.raises(ConflictError):
        house.revocation.revoke(pfc.ca_id, pfc.serial, reason="certificateHold", caller=ACME)
    house.revocation.revoke(pfc.ca_id, pfc.serial, reason="privilegeWithdrawn", caller=ACME)
    with pytest.raises(ConflictError) as caught:
        house.revocation.revoke(pfc.ca_id, pfc.serial, reason="keyCompromise", caller=ACME)
    assert caught.value.reason == "already-revoked"
    changes, _ = house.changes(after=0, limit=10)
    assert [each.version for each in changes] == [1, 2, 3]
    assert crl_of(house, pfc.ca_id)[pfc.serial][0] == 9


@pytest.mark.negative
def test_a_held_device_is_not_reopened(with_device: tuple[CaHouse, Issued]) -> None:
    house, pfc = with_device
    house.revocation.revoke(pfc.ca_id, pfc.serial, reason="certificateHold", caller=ACME)
    with pytest.raises(ConflictError) as caught:
        house.revocation.reopen(pfc.device_id or "", caller=ACME)
    assert caught.value.reason == "platform-credential-on-hold"


@pytest.mark.negative
def test_only_an_enrolled_device_is_reopened(house: CaHouse) -> None:
    device = EnrollingDevice(maker=house.maker)
    with pytest.raises(NotFoundError):
        house.revocation.reopen(device.device_id, caller=ACME)
    house.list_devices(device)
    with pytest.raises(ConflictError) as caught:
        house.revocation.reopen(device.device_id, caller=ACME)
    assert caught.value.reason == "not-enrolled"


def test_the_feed_is_read_in_pages(house: CaHouse) -> None:
    for number in range(5):
        enrolled(house, f"batch-{number}")
    first, complete = house.changes(after=0, limit=2)
    assert not complete
    rest, complete = house.changes(after=first[-1].seq, limit=1000)
    assert complete
    seqs = [each.seq for each in (*first, *rest)]
    assert len(seqs) == 5
    assert seqs == sorted(set(seqs))
    assert house.changes(after=seqs[-1], limit=1) == ([], True)


def test_the_feed_is_about_issuing_cas_only(house: CaHouse) -> None:
    house.signer("batch-signing")
    assert house.changes(after=0, limit=10) == ([], True)


@pytest.mark.check("P9")
@pytest.mark.check("P14")
def test_crl_numbers_grow_and_an_empty_list_is_absent(house: CaHouse) -> None:
    root = house.es_root().ca_id
    first = house.lists.published(root)
    crl = x509.load_der_x509_crl(first.der)
    assert len(crl) == 0
    assert crl.next_update_utc == NOW + timedelta(hours=24)
    assert house.lists.publish(root).number == first.number + 1
    house.clock.advance(minutes=5)
    later = house.lists.publish(root)
    # by the clock: a store that was set back to a backup has forgotten which numbers it gave
    assert later.number == int(house.clock().timestamp())


@pytest.mark.check("P12")
def test_a_revocation_that_waited_for_the_store_is_in_the_next_crl(house: CaHouse) -> None:
    pfc = enrolled(house)
    asked_at = house.clock()
    house.clock.advance(seconds=2)
    house.lists.publish(pfc.ca_id)  # another process was faster
    with house.store.writing() as records:
        issued = records.certificate(pfc.ca_id, pfc.serial)
        assert issued is not None
        records.change_status(issued, status=Status.REVOKED, reason=Reason.SUPERSEDED, at=asked_at)
    # and was killed before it made the CRL
    assert [each.ca_id for each in house.lists.publish_due()] == [pfc.ca_id]
    assert pfc.serial in crl_of(house, pfc.ca_id)


@pytest.mark.check("P9")
def test_a_crl_is_due_at_half_of_its_life_or_after_a_change(with_device: tuple[CaHouse, Issued]) -> None:
    house, pfc = with_device
    assert house.lists.publish_due() == []
    house.clock.advance(hours=12)
    assert len(house.lists.publish_due()) == 4
    assert house.lists.publish_due() == []
    house.clock.advance(minutes=1)
    with house.store.writing() as records:
        issued = records.certificate(pfc.ca_id, pfc.serial)
        assert issued is not None
        records.change_status(issued, status=Status.REVOKED, reason=Reason.SUPERSEDED, at=house.clock())
    house.clock.advance(seconds=1)
    assert [each.ca_id for each in house.lists.publish_due()] == [pfc.ca_id]
    assert house.lists.publish_due() == []


@pytest.mark.check("P15")
def test_an_entry_stays_for_one_crl_after_expiry(with_device: tuple[CaHouse, Issued]) -> None:
    house, pfc = with_device
    house.revocation.revoke(pfc.ca_id, pfc.serial, reason="superseded", caller=ACME)
    house.clock.at = pfc.not_after + timedelta(hours=1)
    assert pfc.serial in crl_of_any_age(house, pfc.ca_id)
    house.clock.advance(hours=1)
    assert pfc.serial not in crl_of_any_age(house, pfc.ca_id)
    assert still_listed([pfc], shown_until=None) == [pfc]


def crl_of_any_age(house: CaHouse, ca_id: str) -> set[int]:
    made = house.lists.publish(ca_id)
    return {entry.serial_number for entry in x509.load_der_x509_crl(made.der)}


@pytest.mark.negative
def test_an_imported_or_unknown_ca_has_no_crl_here(house: CaHouse) -> None:
    with pytest.raises(NotFoundError):
        house.lists.published("0" * 32)
    with pytest.raises(NotFoundError):
        house.lists.publish("0" * 32)
