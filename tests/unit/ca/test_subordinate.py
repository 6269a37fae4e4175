"""A CA elsewhere issues below a root that is hosted here, with a key of its own and for nothing else (R75)."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from ca.errors import ConflictError, InvalidInputError, NotFoundError
from ca.profiles import OPERATOR_ROLES, Kind
from ca.records import Authority, EstEnrollment, EstState
from messages.enrollment import EnrollmentResult
from pva.appraisal.credential import Supplier, validate_credential
from standards.pki import oids
from standards.pki.crl import verify_crl
from standards.pki.fingerprints import ca_id, certificate_der, spki_sha256
from tests.fakes.ca import ADMIN, CaHouse, batch_of, csr_for, manifest_of, supplier
from tests.fakes.enrolling_device import EnrollingDevice

LINE = "pva-2 gateways"


@pytest.fixture(scope="module")
def founded() -> CaHouse:
    made = CaHouse()
    made.hierarchy.make_root(Kind.OPERATORS_ROOT)
    made.hierarchy.make_root(Kind.TLS_ROOT)
    made.hierarchy.create_es_root("acme", caller=ADMIN)
    return made


@pytest.fixture
def house(founded: CaHouse) -> CaHouse:
    """The CA that hosts the supplier's root."""
    return founded.copy()


def elsewhere(house: CaHouse) -> tuple[CaHouse, Authority]:
    """The CA of whoever runs a PVA, and its issuing CA below the root that `house` has."""
    made = CaHouse()
    root = house.es_root().x509()
    made.hierarchy.import_es_root("acme", certificate=pem(root), caller=ADMIN)
    line = made.hierarchy.create_issuing_ca("acme", title=LINE, models=("gw-1",), tre_level=2, caller=ADMIN)
    assert line.csr is not None
    csr = x509.load_der_x509_csr(line.csr).public_bytes(Encoding.PEM).decode()
    certificate = house.certification.certify_issuing_ca(
        "acme", title=LINE, tre_level=2, csr=csr, caller=ADMIN
    )
    made.hierarchy.complete_issuing_ca(line.ca_id, certificate=pem(certificate), caller=ADMIN)
    with made.store.reading() as records:
        completed = records.authority(line.ca_id)
    assert completed is not None
    return made, completed


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def p256() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.mark.requirement("R75")
def test_a_device_that_the_pvas_own_ca_enrolled_is_recognised_by_the_suppliers_root(house: CaHouse) -> None:
    other, line = elsewhere(house)
    assert not set(other.keys.known) & set(house.keys.known)
    other.manifests.accept(
        house.signer("manifest-signing").sign_manifest(manifest_of()), caller=supplier("acme")
    )
    device = EnrollingDevice(maker=other.maker)
    token = house.signer("batch-signing")
    other.batches.import_batch(token.sign_batch(batch_of("acme", device.device_id)), caller=supplier("acme"))
    challenge = other.enrollment.begin(device.request().encode())
    result = other.enrollment.activate(device.activation(challenge).encode())
    assert isinstance(result, EnrollmentResult)
    recognised = Supplier(
        name="acme",
        root=house.es_root().x509(),
        models={"gw-1": oids.hw_type_of_model(1).dotted_string},
        ocsp_url="http://ocsp.example.net/",
    )
    found = validate_credential(
        result.pfc_chain, suppliers=[recognised], device_id=device.device_id, at=house.clock()
    )
    assert certificate_der(found.issuer) == line.certificate
    assert found.tre_level == 2


@pytest.mark.requirement("R75")
def test_the_root_ends_an_issuing_ca_elsewhere(house: CaHouse) -> None:
    _, line = elsewhere(house)
    root = house.es_root()
    serial = line.x509().serial_number
    house.revocation.revoke(root.ca_id, serial, reason="cessationOfOperation", caller=ADMIN)
    crl = house.lists.published(root.ca_id).der
    assert serial in verify_crl(crl, issuer=root.x509(), at=house.clock()).revoked


@pytest.mark.requirement("R75")
@pytest.mark.negative
@pytest.mark.parametrize("purpose", sorted(OPERATOR_ROLES))
def test_a_key_of_a_service_becomes_no_ca(house: CaHouse, purpose: Kind) -> None:
    key = p256()
    house.certify_operator(str(purpose), csr=csr_for(key))
    with pytest.raises(ConflictError) as caught:
        house.certification.certify_issuing_ca(
            "acme", title=LINE, tre_level=2, csr=csr_for(key), caller=ADMIN
        )
    assert caught.value.reason == "key-of-another-power"
    with house.store.reading() as records:
        assert records.kinds_of_key(spki_sha256(key.public_key())) == {purpose}


@pytest.mark.requirement("R75")
@pytest.mark.negative
def test_a_key_of_a_ca_becomes_nothing_else(house: CaHouse) -> None:
    key = p256()
    house.certification.certify_issuing_ca("acme", title=LINE, tre_level=2, csr=csr_for(key), caller=ADMIN)
    own = house.keys.load(house.es_root().ca_id)
    assert isinstance(own, ec.EllipticCurvePrivateKey)
    for of_a_ca in (key, own):
        house.responder_keys = frozenset({spki_sha256(of_a_ca.public_key())})
        csr = csr_for(of_a_ca)
        with pytest.raises(ConflictError):
            house.certification.certify_operator("pva", service="one", purpose="challenge", csr=csr)
        with pytest.raises(ConflictError):
            house.certification.certify_tls("client", caller=ADMIN, holder="one", csr=csr)
        with pytest.raises(ConflictError):
            house.certification.certify_supplier("acme", purpose="batch-signing", csr=csr, caller=ADMIN)
        registered = EstEnrollment(
            kind=Kind.TLS_CLIENT,
            spki_sha256=spki_sha256(of_a_ca.public_key()),
            state=EstState.REGISTERED,
            since=house.clock(),
            name="one",
        )
        house.register(registered)
        der = x509.load_pem_x509_csr(csr_for(of_a_ca).encode()).public_bytes(Encoding.DER)
        with pytest.raises(ConflictError):
            house.est.enroll("tls-client", der)
    assert ca_id(own.public_key()) == house.es_root().ca_id


@pytest.mark.negative
def test_what_is_no_issuing_ca_is_refused(house: CaHouse) -> None:
    certify = house.certification.certify_issuing_ca
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    ed25519_csr = builder.sign(ed25519.Ed25519PrivateKey.generate(), None).public_bytes(Encoding.PEM).decode()
    for level, title, csr in ((4, LINE, csr_for(p256())), (2, "", csr_for(p256())), (2, LINE, ed25519_csr)):
        with pytest.raises(InvalidInputError):
            certify("acme", title=title, tre_level=level, csr=csr, caller=ADMIN)
    with pytest.raises(NotFoundError):
        certify("nobody", title=LINE, tre_level=2, csr=csr_for(p256()), caller=ADMIN)
