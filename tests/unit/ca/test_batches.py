"""Importing batch lists: all or nothing, and only under the supplier's own ES root."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ca.errors import ConflictError, NotFoundError, RefusedError
from messages.batch import BatchList
from standards.pki.jws import sign_jws
from tests.fakes.ca import ADMIN, NOW, CaHouse, SupplierSigner, batch_of, supplier

ACME = supplier("acme")
ONE, TWO, THREE = ("11" * 32, "22" * 32, "33" * 32)

pytestmark = [pytest.mark.requirement("R78"), pytest.mark.requirement("R80")]


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    made = CaHouse()
    made.product_line("acme")
    made.product_line("other", models=("ap-9",))
    return made


@pytest.fixture
def house(founded: CaHouse, signer: SupplierSigner) -> CaHouse:  # noqa: ARG001, the signer is certified first
    return founded.copy()


@pytest.fixture(scope="module")
def signer(founded: CaHouse) -> SupplierSigner:
    return founded.signer("batch-signing")


def listed(house: CaHouse, *device_ids: str) -> list[str]:
    with house.store.reading() as records:
        return [each.device_id for each in records.listed_already(device_ids)]


def refusal(house: CaHouse, token: str) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        house.batches.import_batch(token, caller=ACME)
    assert listed(house, ONE, TWO, THREE) == []
    return caught.value


def test_a_list_is_imported_whole(house: CaHouse, signer: SupplierSigner) -> None:
    made = house.batches.import_batch(signer.sign_batch(batch_of("acme", ONE, TWO)), caller=ACME)
    assert (made.batch, made.supplier, made.devices) == ("batch-1", "acme", 2)
    assert sorted(listed(house, ONE, TWO, THREE)) == [ONE, TWO]
    assert house.audit_trail()[-1][0] == "batch-imported"


def test_the_same_list_twice_is_one_whoever_signed_it_again(house: CaHouse, signer: SupplierSigner) -> None:
    batch = batch_of("acme", ONE)
    first = house.batches.import_batch(signer.sign_batch(batch), caller=ACME)
    again = house.batches.import_batch(house.signer("batch-signing").sign_batch(batch), caller=ACME)
    assert again == first


def test_many_devices_are_imported(house: CaHouse, signer: SupplierSigner) -> None:
    many = [f"{number:064x}" for number in range(1, 1201)]
    assert house.batches.import_batch(signer.sign_batch(batch_of("acme", *many)), caller=ACME).devices == 1200
    assert len(listed(house, *many)) == 1200


@pytest.mark.negative
def test_another_list_of_the_same_name_is_refused(house: CaHouse, signer: SupplierSigner) -> None:
    house.batches.import_batch(signer.sign_batch(batch_of("acme", ONE)), caller=ACME)
    with pytest.raises(ConflictError) as caught:
        house.batches.import_batch(signer.sign_batch(batch_of("acme", TWO)), caller=ACME)
    assert caught.value.reason == "batch-exists-already"
    assert listed(house, TWO) == []


@pytest.mark.negative
def test_a_list_signed_by_another_supplier_is_refused(house: CaHouse) -> None:
    foreign = house.signer("batch-signing", "other")
    assert refusal(house, foreign.sign_batch(batch_of("acme", ONE))).reason == "batch-signature"
    assert refusal(house, foreign.sign_batch(batch_of("other", ONE))).reason == "batch-signature"


@pytest.mark.negative
def test_a_list_that_names_another_supplier_is_refused(house: CaHouse, signer: SupplierSigner) -> None:
    assert refusal(house, signer.sign_batch(batch_of("other", ONE))).reason == "batch-of-another-supplier"


@pytest.mark.negative
def test_a_certificate_for_another_purpose_signs_no_list(house: CaHouse) -> None:
    manifests = house.signer("manifest-signing")
    assert refusal(house, manifests.sign_batch(batch_of("acme", ONE))).reason == "batch-signature"


@pytest.mark.negative
def test_another_key_signs_no_list(house: CaHouse, signer: SupplierSigner) -> None:
    thief = house.signer("batch-signing", "other")
    header, payload, _ = signer.sign_batch(batch_of("acme", ONE)).split(".")
    forged = f"{header}.{payload}.{thief.sign_batch(batch_of('acme', ONE)).split('.')[2]}"
    assert refusal(house, forged).reason == "batch-signature"


@pytest.mark.negative
def test_a_token_of_another_type_is_no_list(house: CaHouse, signer: SupplierSigner) -> None:
    token = sign_jws(
        batch_of("acme", ONE).claims(), key=signer.key, chain=[signer.certificate], typ="ear+jwt"
    )
    assert refusal(house, token).reason == "batch-signature"


@pytest.mark.negative
@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", "\ufffd" * 10, "." * 100])
def test_what_is_no_token_is_refused(house: CaHouse, text: str) -> None:
    assert refusal(house, text).reason == "batch-signature"


@pytest.mark.negative
def test_a_revoked_signer_signs_no_list(house: CaHouse, signer: SupplierSigner) -> None:
    house.revocation.revoke(
        house.es_root().ca_id, signer.certificate.serial_number, reason="keyCompromise", caller=ACME
    )
    assert refusal(house, signer.sign_batch(batch_of("acme", ONE))).reason == "signer-not-valid"


@pytest.mark.negative
def test_an_expired_signer_signs_no_list(house: CaHouse, signer: SupplierSigner) -> None:
    house.clock.advance(days=731)
    assert refusal(house, signer.sign_batch(batch_of("acme", ONE))).reason == "batch-signature"


@pytest.mark.negative
def test_an_unknown_model_refuses_the_whole_list(house: CaHouse, signer: SupplierSigner) -> None:
    batch = batch_of("acme", ONE, TWO)
    strange = replace(batch.devices[1], model="ap-9")
    mixed = replace(batch, devices=(batch.devices[0], strange))
    assert refusal(house, signer.sign_batch(mixed)).reason == "model-unknown"


@pytest.mark.negative
def test_a_device_twice_in_a_list_is_refused(house: CaHouse, signer: SupplierSigner) -> None:
    batch = batch_of("acme", ONE, TWO)
    claims = batch.claims()
    claims["devices"].append(dict(claims["devices"][0], serial="another"))
    token = sign_jws(claims, key=signer.key, chain=[signer.certificate], typ="pva-batch+jwt")
    assert refusal(house, token).reason == "batch-malformed"


@pytest.mark.negative
def test_a_device_of_an_earlier_list_refuses_the_whole_list(house: CaHouse, signer: SupplierSigner) -> None:
    house.batches.import_batch(signer.sign_batch(batch_of("acme", ONE)), caller=ACME)
    with pytest.raises(ConflictError) as caught:
        house.batches.import_batch(
            signer.sign_batch(batch_of("acme", TWO, ONE, batch="batch-2")), caller=ACME
        )
    assert (caught.value.reason, caught.value.subject) == ("device-listed-already", ONE)
    assert listed(house, TWO) == []


@pytest.mark.negative
@pytest.mark.check("A26")
def test_a_device_of_another_supplier_is_refused_without_naming_him(
    house: CaHouse, signer: SupplierSigner
) -> None:
    house.batches.import_batch(signer.sign_batch(batch_of("acme", ONE)), caller=ACME)
    token = house.signer("batch-signing", "other").sign_batch(batch_of("other", ONE, model="ap-9"))
    with pytest.raises(ConflictError) as caught:
        house.batches.import_batch(token, caller=supplier("other"))
    assert caught.value.reason == "device-of-another-supplier"
    assert "acme" not in caught.value.detail + caught.value.remedy


@pytest.mark.negative
def test_a_serial_number_is_given_once(house: CaHouse, signer: SupplierSigner) -> None:
    house.batches.import_batch(signer.sign_batch(batch_of("acme", ONE)), caller=ACME)
    again = batch_of("acme", TWO, batch="batch-2")
    same = BatchList(
        batch="batch-2",
        supplier="acme",
        issued_at=NOW,
        devices=(replace(again.devices[0], serial="batch-1/0"),),
    )
    with pytest.raises(ConflictError) as caught:
        house.batches.import_batch(signer.sign_batch(same), caller=ACME)
    assert caught.value.reason == "device-listed-already"


@pytest.mark.negative
def test_a_list_of_the_future_is_refused(house: CaHouse, signer: SupplierSigner) -> None:
    batch = batch_of("acme", ONE, at=NOW + timedelta(minutes=6))
    assert refusal(house, signer.sign_batch(batch)).reason == "batch-of-the-future"


@pytest.mark.negative
def test_a_supplier_without_a_root_imports_nothing(house: CaHouse, signer: SupplierSigner) -> None:
    with pytest.raises(NotFoundError):
        house.batches.import_batch(signer.sign_batch(batch_of("acme", ONE)), caller=supplier("nobody"))
    with pytest.raises(NotFoundError):
        house.batches.import_batch(signer.sign_batch(batch_of("acme", ONE)), caller=ADMIN)
