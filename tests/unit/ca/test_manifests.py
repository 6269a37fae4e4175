"""Accepting reference manifests: signed under the supplier's own ES root, never a step back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from ca.errors import ConflictError, InvalidInputError, RefusedError
from tests.fakes.ca import NOW, CaHouse, SupplierSigner, manifest_of, supplier

ACME = supplier("acme")

pytestmark = pytest.mark.requirement("R79")


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    made = CaHouse()
    made.product_line("acme", models=("gw-1", "gw-2"))
    made.product_line("other", models=("ap-9",))
    return made


@pytest.fixture
def house(founded: CaHouse, signer: SupplierSigner) -> CaHouse:  # noqa: ARG001, the signer is certified first
    return founded.copy()


@pytest.fixture(scope="module")
def signer(founded: CaHouse) -> SupplierSigner:
    return founded.signer("manifest-signing")


def refusal(house: CaHouse, signed: bytes) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        house.manifests.accept(signed, caller=ACME)
    assert caught.value.remedy
    return caught.value


def current(house: CaHouse, model: str = "gw-1") -> str | None:
    with house.store.reading() as records:
        found = records.current_manifest("acme", model)
    return None if found is None else found.manifest_id


def test_a_manifest_becomes_the_current_one_of_its_models(house: CaHouse, signer: SupplierSigner) -> None:
    signed = signer.sign_manifest(manifest_of(models=("gw-1",)))
    made = house.manifests.accept(signed, caller=ACME)
    assert house.manifests.accept(signed, caller=ACME) == made
    assert (current(house), current(house, "gw-2")) == ("gw/1", None)
    house.publish_manifest(manifest_id="gw/2", models=("gw-1", "gw-2"), svn=1)
    assert (current(house), current(house, "gw-2")) == ("gw/2", "gw/2")


@pytest.mark.negative
@pytest.mark.check("A29")
def test_a_security_version_never_falls(house: CaHouse, signer: SupplierSigner) -> None:
    house.publish_manifest(manifest_id="gw/3", svn=3)
    refused = refusal(house, signer.sign_manifest(manifest_of(manifest_id="gw/2", svn=2)))
    assert refused.reason == "manifest-rollback"
    assert current(house) == "gw/3"


@pytest.mark.negative
def test_a_manifest_of_another_supplier_is_refused(house: CaHouse) -> None:
    foreign = house.signer("manifest-signing", "other")
    for vendor in ("acme", "other"):
        signed = foreign.sign_manifest(manifest_of(vendor))
        assert refusal(house, signed).reason == "manifest-signature"
    assert current(house) is None


@pytest.mark.negative
def test_a_manifest_that_names_another_vendor_is_refused(house: CaHouse, signer: SupplierSigner) -> None:
    signed = signer.sign_manifest(manifest_of("other", models=("ap-9",)))
    assert refusal(house, signed).reason == "manifest-of-another-supplier"


@pytest.mark.negative
def test_a_certificate_for_another_purpose_signs_no_manifest(house: CaHouse) -> None:
    signed = house.signer("batch-signing").sign_manifest(manifest_of())
    assert refusal(house, signed).reason == "manifest-signature"


@pytest.mark.negative
def test_a_changed_byte_is_refused(house: CaHouse, signer: SupplierSigner) -> None:
    signed = bytearray(signer.sign_manifest(manifest_of()))
    signed[-1] ^= 1
    assert refusal(house, bytes(signed)).reason == "manifest-signature"
    assert refusal(house, b"").reason == "manifest-signature"


@pytest.mark.negative
def test_another_manifest_of_the_same_id_is_refused(house: CaHouse, signer: SupplierSigner) -> None:
    house.publish_manifest()
    signed = signer.sign_manifest(replace(manifest_of(), version="1.1"))
    with pytest.raises(ConflictError) as caught:
        house.manifests.accept(signed, caller=ACME)
    assert caught.value.reason == "manifest-exists-already"


@pytest.mark.negative
def test_an_unknown_model_is_refused(house: CaHouse, signer: SupplierSigner) -> None:
    signed = signer.sign_manifest(manifest_of(models=("gw-1", "ap-9")))
    assert refusal(house, signed).reason == "model-unknown"


@pytest.mark.negative
def test_a_closed_window_is_refused(house: CaHouse, signer: SupplierSigner) -> None:
    over = replace(manifest_of(), valid_from=NOW - timedelta(days=2), valid_to=NOW)
    assert refusal(house, signer.sign_manifest(over)).reason == "manifest-not-valid"


@pytest.mark.negative
def test_a_revoked_signer_signs_no_manifest(house: CaHouse, signer: SupplierSigner) -> None:
    root = house.es_root().ca_id
    house.revocation.revoke(root, signer.certificate.serial_number, reason="superseded", caller=ACME)
    with pytest.raises(InvalidInputError) as caught:
        house.manifests.accept(signer.sign_manifest(manifest_of()), caller=ACME)
    assert caught.value.reason == "signer-not-valid"
