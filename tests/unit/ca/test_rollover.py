"""Next keys of roots and issuing CAs: what each relying party still accepts, and what the old key no longer signs."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ca.errors import ConflictError, InvalidInputError, NotFoundError
from ca.key_algorithms import CA_KEYS, KeyAlgorithm, algorithm_of
from ca.lifecycle import AuthorityState
from ca.profiles import Kind
from ca.records import Authority
from messages.enrollment import EnrollmentResult
from standards.pki import oids
from standards.pki.crl import verify_crl
from standards.pki.errors import PathError
from standards.pki.fingerprints import spki_sha256
from standards.pki.paths import validate_path
from tests.fakes.ca import ADMIN, CaHouse, batch_of, csr_for, manifest_of, supplier
from tests.fakes.enrolling_device import EnrollingDevice

ACME = supplier("acme")


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    made = CaHouse()
    made.hierarchy.make_root(Kind.OPERATORS_ROOT)
    made.hierarchy.make_root(Kind.TLS_ROOT)
    made.product_line()
    made.publish_manifest()
    return made


@pytest.fixture
def house(founded: CaHouse) -> CaHouse:
    return founded.copy()


def root(house: CaHouse, kind: Kind = Kind.OPERATORS_ROOT) -> Authority:
    with house.store.reading() as records:
        found = records.root(kind, supplier="acme" if kind is Kind.ES_ROOT else None)
    assert found is not None
    return found


def recorded(house: CaHouse, ca_id: str) -> Authority:
    with house.store.reading() as records:
        found = records.authority(ca_id)
    assert found is not None
    return found


def issuing_ca(house: CaHouse) -> Authority:
    with house.store.reading() as records:
        model = records.model("acme", "gw-1")
    assert model is not None
    return recorded(house, model.ca_id)


def challenger(house: CaHouse) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    return house.certification.certify_operator("pva", service="pva-1", purpose="challenge", csr=csr_for(key))


def load(der: bytes | None) -> x509.Certificate:
    assert der is not None
    return x509.load_der_x509_certificate(der)


def enrolled(house: CaHouse, batch: str) -> list[x509.Certificate]:
    device = EnrollingDevice(maker=house.maker)
    house.list_devices(device, batch=batch)
    challenge = house.enrollment.begin(device.request().encode())
    result = house.enrollment.activate(device.activation(challenge).encode())
    assert isinstance(result, EnrollmentResult)
    return [x509.load_der_x509_certificate(each) for each in result.pfc_chain]


def accepted(
    house: CaHouse, chain: list[x509.Certificate], *, anchor: Authority, eku: x509.ObjectIdentifier
) -> bool:
    try:
        validate_path(chain[0], intermediates=chain[1:], anchors=[anchor.x509()], at=house.clock(), eku=eku)
    except PathError:
        return False
    return True


@pytest.mark.requirement("R74")
@pytest.mark.parametrize("algorithm", sorted(CA_KEYS))
def test_whoever_trusts_either_key_of_the_operators_root_accepts_what_both_signed(
    house: CaHouse, algorithm: KeyAlgorithm
) -> None:
    before = challenger(house)
    old = root(house)
    new = house.rollover.roll_root(old.ca_id, algorithm=algorithm, caller=ADMIN)
    after = challenger(house)
    assert algorithm_of(new.x509().public_key()) is algorithm
    assert new.x509().subject == old.x509().subject
    old_with_new = load(recorded(house, old.ca_id).by_successor)
    new_with_old = load(recorded(house, new.ca_id).by_predecessor)
    purpose = oids.EKU_CHALLENGE
    assert accepted(house, [before], anchor=old, eku=purpose)
    assert accepted(house, [after], anchor=new, eku=purpose)
    assert accepted(house, [after, new_with_old], anchor=old, eku=purpose)
    assert accepted(house, [before, old_with_new], anchor=new, eku=purpose)
    # and neither without the cross-certificate that leads there
    assert not accepted(house, [after], anchor=old, eku=purpose)
    assert not accepted(house, [before], anchor=new, eku=purpose)
    assert not accepted(house, [before, new_with_old], anchor=new, eku=purpose)


def test_a_third_generation_is_reached_from_the_second(house: CaHouse) -> None:
    first = root(house)
    second = house.rollover.roll_root(first.ca_id, algorithm=KeyAlgorithm.P384, caller=ADMIN)
    third = house.rollover.roll_root(second.ca_id, algorithm=KeyAlgorithm.P256, caller=ADMIN)
    new_with_old = load(recorded(house, third.ca_id).by_predecessor)
    assert accepted(house, [challenger(house), new_with_old], anchor=second, eku=oids.EKU_CHALLENGE)
    assert recorded(house, second.ca_id).by_predecessor is not None
    assert recorded(house, second.ca_id).by_successor is not None
    assert [each.state for each in generations(house)] == [
        AuthorityState.SUPERSEDED,
        AuthorityState.SUPERSEDED,
        AuthorityState.ACTIVE,
    ]


def generations(house: CaHouse) -> list[Authority]:
    with house.store.reading() as records:
        return records.roots(Kind.OPERATORS_ROOT)


@pytest.mark.requirement("R74")
def test_devices_of_before_and_after_are_accepted_under_either_es_root(house: CaHouse) -> None:
    early = enrolled(house, "b-early")
    old = root(house, Kind.ES_ROOT)
    house.clock.advance(days=1)
    new = house.rollover.roll_root(old.ca_id, algorithm=KeyAlgorithm.P384, caller=ADMIN)
    middle = enrolled(house, "b-middle")  # its issuing CA is still the old root's
    line = issuing_ca(house)
    house.rollover.roll_issuing_ca(line.ca_id, algorithm=KeyAlgorithm.P256, caller=ADMIN)
    late = enrolled(house, "b-late")
    assert issuing_ca(house).ca_id != line.ca_id
    late[0].verify_directly_issued_by(issuing_ca(house).x509())
    purpose = oids.EKU_PLATFORM_CREDENTIAL
    for chain in (middle, late):
        assert accepted(house, chain, anchor=old, eku=purpose)
        assert accepted(house, chain, anchor=new, eku=purpose)
    assert accepted(house, early, anchor=old, eku=purpose)
    old_with_new = load(recorded(house, old.ca_id).by_successor)
    assert accepted(house, [*early, old_with_new], anchor=new, eku=purpose)


def test_what_a_supplier_signed_under_either_key_is_accepted(house: CaHouse) -> None:
    before = house.signer("batch-signing")
    old = root(house, Kind.ES_ROOT)
    house.rollover.roll_root(old.ca_id, algorithm=KeyAlgorithm.P256, caller=ADMIN)
    after = house.signer("batch-signing")
    for number, signer in enumerate((before, after)):
        devices = f"{number:064x}"
        token = signer.sign_batch(batch_of("acme", devices, batch=f"roll-{number}", at=house.clock()))
        assert house.batches.import_batch(token, caller=ACME).devices == 1
    signed = house.signer("manifest-signing").sign_manifest(manifest_of(manifest_id="gw/2", svn=2))
    assert house.manifests.accept(signed, caller=ACME).svn == 2


@pytest.mark.negative
def test_a_signer_revoked_in_the_books_of_the_old_key_is_refused(house: CaHouse) -> None:
    before = house.signer("batch-signing")
    old = root(house, Kind.ES_ROOT)
    house.rollover.roll_root(old.ca_id, algorithm=KeyAlgorithm.P256, caller=ADMIN)
    house.revocation.revoke(old.ca_id, before.certificate.serial_number, reason="keyCompromise", caller=ADMIN)
    token = before.sign_batch(batch_of("acme", "0" * 64, batch="late", at=house.clock()))
    with pytest.raises(InvalidInputError) as caught:
        house.batches.import_batch(token, caller=ACME)
    assert caught.value.reason == "signer-not-valid"


@pytest.mark.check("P9")
def test_the_old_key_goes_on_signing_its_list_and_delegates(house: CaHouse) -> None:
    chain = enrolled(house, "b-early")
    line = issuing_ca(house)
    house.rollover.roll_issuing_ca(line.ca_id, algorithm=KeyAlgorithm.P384, caller=ADMIN)
    house.revocation.revoke(line.ca_id, chain[0].serial_number, reason="superseded", caller=ADMIN)
    der = house.lists.published(line.ca_id).der
    assert chain[0].serial_number in verify_crl(der, issuer=line.x509(), at=house.clock()).revoked
    house.clock.advance(hours=13)
    assert line.ca_id in {each.ca_id for each in house.lists.publish_due()}
    key = ec.generate_private_key(ec.SECP256R1())
    house.responder_keys = frozenset({spki_sha256(key.public_key())})
    responder = supplier("ocsp-1")
    made = house.certification.certify_responder(line.ca_id, csr=csr_for(key), caller=responder)
    made.verify_directly_issued_by(line.x509())


@pytest.mark.negative
def test_the_old_key_signs_no_other_certificate(house: CaHouse) -> None:
    old = root(house)
    house.rollover.roll_root(old.ca_id, algorithm=KeyAlgorithm.P256, caller=ADMIN)
    superseded = recorded(house, old.ca_id)
    with pytest.raises(ConflictError):
        house.signing.issuer(superseded)
    with pytest.raises(ConflictError):
        house.signing.issuer(superseded, kind=Kind.CHALLENGE)
    with pytest.raises(ConflictError):
        house.rollover.roll_root(old.ca_id, algorithm=KeyAlgorithm.P256, caller=ADMIN)


@pytest.mark.negative
def test_what_cannot_roll_over(house: CaHouse) -> None:
    for other in (root(house, Kind.TLS_ROOT).ca_id, issuing_ca(house).ca_id, "0" * 32):
        with pytest.raises(NotFoundError):
            house.rollover.roll_root(other, algorithm=KeyAlgorithm.P256, caller=ADMIN)
    with pytest.raises(NotFoundError):
        house.rollover.roll_issuing_ca(
            root(house, Kind.ES_ROOT).ca_id, algorithm=KeyAlgorithm.P256, caller=ADMIN
        )
    with pytest.raises(InvalidInputError):
        house.rollover.roll_root(root(house).ca_id, algorithm=KeyAlgorithm.ED25519, caller=ADMIN)
    assert len(generations(house)) == 1


@pytest.mark.negative
def test_an_imported_root_and_what_is_below_it_get_their_keys_from_the_supplier(house: CaHouse) -> None:
    other = CaHouse()
    certificate = other.hierarchy.create_es_root("apart", caller=ADMIN)
    pem = certificate.x509().public_bytes(Encoding.PEM).decode()
    imported = house.hierarchy.import_es_root("apart", certificate=pem, caller=ADMIN)
    with pytest.raises(ConflictError, match="with the supplier"):
        house.rollover.roll_root(imported.ca_id, algorithm=KeyAlgorithm.P256, caller=ADMIN)


def test_the_cross_certificates_are_published(house: CaHouse) -> None:
    old = root(house)
    new = house.rollover.roll_root(old.ca_id, algorithm=KeyAlgorithm.P256, caller=ADMIN)
    assert house.lists.certificate_of(new.ca_id) == new.certificate
    assert house.lists.certificate_of(f"{new.ca_id}-by-predecessor") == new.by_predecessor
    by_successor = house.lists.certificate_of(f"{old.ca_id}-by-successor")
    assert by_successor == recorded(house, old.ca_id).by_successor
    for nothing in (f"{new.ca_id}-by-successor", f"{new.ca_id}-x", "0" * 32):
        assert house.lists.certificate_of(nothing) is None
