"""Making hierarchies: hosted and imported ES roots, issuing CAs, the roots of the operators."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.errors import ConflictError, InvalidInputError, NotFoundError
from ca.lifecycle import AuthorityState
from ca.profiles import Kind
from ca.records import Authority
from standards.pki import oids
from standards.pki.extensions import tre_level
from tests.fakes.ca import ADMIN, NOW, CaHouse, SupplierSigner, batch_of, csr_for, manifest_of, supplier
from tests.fakes.enrolling_device import EnrollingDevice
from tests.fakes.pki import key_usage

CA_USAGE = ("key_cert_sign", "crl_sign")


@dataclass(kw_only=True)
class OutsideRoot:
    """An ES root whose key is with the supplier; every part of what it signs can be made wrong."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    name: x509.Name = field(
        default_factory=lambda: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Acme root")])
    )

    def sign(  # every part is open to be wrong
        self,
        key: ec.EllipticCurvePublicKey,
        *,
        subject: x509.Name | None = None,
        constraints: tuple[bool, int | None] = (True, 0),
        usage: tuple[str, ...] = CA_USAGE,
        not_after: datetime = NOW + timedelta(days=3650),
        purposes: tuple[x509.ObjectIdentifier, ...] = (),
        key_identifier: bool = True,
    ) -> str:
        """PEM certificate of `key`."""
        is_ca, path_length = constraints
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateways")]))
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length), critical=True)
            .add_extension(key_usage(*usage), critical=True)
        )
        if key_identifier:
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(list(purposes)), critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def certificate(self, **wrong: object) -> str:
        """PEM of the root itself."""
        right: dict[str, object] = {"subject": self.name, "constraints": (True, None), **wrong}
        return self.sign(self.key.public_key(), **right)  # type: ignore[arg-type]  # tests name what is wrong


@pytest.fixture
def house() -> CaHouse:
    return CaHouse()


def pending(house: CaHouse, root: OutsideRoot) -> Authority:
    house.hierarchy.import_es_root("acme", certificate=root.certificate(), caller=ADMIN)
    return house.hierarchy.create_issuing_ca(
        "acme", title="gateways", models=["gw-1"], tre_level=3, caller=ADMIN
    )


def csr_key(authority: Authority) -> ec.EllipticCurvePublicKey:
    assert authority.csr is not None
    key = x509.load_der_x509_csr(authority.csr).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def signer_of(root: OutsideRoot, purpose: x509.ObjectIdentifier) -> SupplierSigner:
    """A signing key that the supplier certified himself."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = root.sign(
        key.public_key(), constraints=(False, None), usage=("digital_signature",), purposes=(purpose,)
    )
    return SupplierSigner(key=key, certificate=x509.load_pem_x509_certificate(pem.encode()))


def test_a_hosted_root_certifies_its_issuing_cas(house: CaHouse) -> None:
    issuing = house.product_line(models=("gw-1", "gw-2"), tre_level=3)
    root = house.es_root()
    certificate = issuing.x509()
    certificate.verify_directly_issued_by(root.x509())
    assert tre_level(certificate) == 3
    assert issuing.state is AuthorityState.ACTIVE
    with house.store.reading() as records:
        models = records.models_of(ca_id=issuing.ca_id)
    assert [(each.model, each.hw_type) for each in models] == [("gw-1", 1), ("gw-2", 2)]
    assert house.lists.published(issuing.ca_id).number > 0


@pytest.mark.negative
def test_everything_is_made_once(house: CaHouse) -> None:
    house.product_line(models=("gw-1",))
    with pytest.raises(ConflictError):
        house.hierarchy.create_es_root("acme", caller=ADMIN)
    for title, models in (("acme gateways", ["gw-2"]), ("another line", ["gw-1"])):
        with pytest.raises(ConflictError):
            house.hierarchy.create_issuing_ca("acme", title=title, models=models, tre_level=1, caller=ADMIN)
    assert house.hierarchy.make_root(Kind.TLS_ROOT) == house.hierarchy.make_root(Kind.TLS_ROOT)


def test_two_suppliers_may_use_the_same_names(house: CaHouse) -> None:
    house.product_line("acme", models=("gw-1",))
    other = house.product_line("other", models=("gw-1",))
    with house.store.reading() as records:
        assert records.models_of(ca_id=other.ca_id)[0].hw_type == 2


@pytest.mark.negative
@pytest.mark.parametrize(
    ("models", "level"),
    [([], 1), (["a", "a"], 1), (["gw-1"], 0), (["gw-1"], 4), ([" x"], 1), (["\u00e4"], 1)],
)
def test_a_product_line_needs_models_and_a_level(house: CaHouse, models: list[str], level: int) -> None:
    house.hierarchy.create_es_root("acme", caller=ADMIN)
    with pytest.raises(InvalidInputError):
        house.hierarchy.create_issuing_ca("acme", title="gw", models=models, tre_level=level, caller=ADMIN)
    with house.store.reading() as records:
        assert records.authorities(Kind.ISSUING_CA) == []


@pytest.mark.negative
def test_a_product_line_needs_an_es_root(house: CaHouse) -> None:
    with pytest.raises(NotFoundError):
        house.hierarchy.create_issuing_ca("acme", title="gw", models=["a"], tre_level=1, caller=ADMIN)


@pytest.mark.requirement("R79")
def test_devices_enrol_below_an_imported_root(house: CaHouse) -> None:
    root = OutsideRoot()
    issuing = pending(house, root)
    assert issuing.state is AuthorityState.PENDING
    completed = house.hierarchy.complete_issuing_ca(
        issuing.ca_id, certificate=root.sign(csr_key(issuing)), caller=ADMIN
    )
    assert completed.state is AuthorityState.ACTIVE
    assert completed.ca_id == issuing.ca_id
    device = EnrollingDevice(maker=house.maker)
    manifest = signer_of(root, oids.EKU_MANIFEST_SIGNING).sign_manifest(manifest_of())
    house.manifests.accept(manifest, caller=supplier("acme"))
    token = signer_of(root, oids.EKU_BATCH_SIGNING).sign_batch(batch_of("acme", device.device_id))
    house.batches.import_batch(token, caller=supplier("acme"))
    challenge = house.enrollment.begin(device.request().encode())
    chain = house.enrollment.activate(device.activation(challenge).encode()).pfc_chain
    pfc, above = (x509.load_der_x509_certificate(each) for each in chain)
    pfc.verify_directly_issued_by(above)
    above.verify_directly_issued_by(x509.load_pem_x509_certificate(root.certificate().encode()))


@pytest.mark.negative
def test_an_imported_root_signs_nothing_here(house: CaHouse) -> None:
    root = OutsideRoot()
    pending(house, root)
    with pytest.raises(ConflictError) as caught:
        house.certification.certify_supplier(
            "acme",
            purpose="batch-signing",
            csr=csr_for(ec.generate_private_key(ec.SECP256R1())),
            caller=ADMIN,
        )
    assert caught.value.reason == "issuer-cannot-sign"
    with pytest.raises(NotFoundError):
        house.lists.published(house.es_root().ca_id)


@pytest.mark.negative
@pytest.mark.parametrize(
    "wrong",
    [
        {"constraints": (False, None)},
        {"constraints": (True, 0)},
        {"usage": ("crl_sign",)},
        {"not_after": NOW - timedelta(hours=1)},
        {"key_identifier": False},
    ],
)
def test_what_cannot_be_an_es_root_is_refused(house: CaHouse, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        house.hierarchy.import_es_root("acme", certificate=OutsideRoot().certificate(**wrong), caller=ADMIN)
    with house.store.reading() as records:
        assert records.authorities(Kind.ES_ROOT) == []


@pytest.mark.negative
def test_a_root_that_somebody_else_signed_is_refused(house: CaHouse) -> None:
    root = OutsideRoot()
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    forged = root.sign(stranger, subject=root.name, constraints=(True, None))
    with pytest.raises(InvalidInputError) as caught:
        house.hierarchy.import_es_root("acme", certificate=forged, caller=ADMIN)
    assert caught.value.reason == "certificate-signature"


@pytest.mark.negative
def test_a_root_belongs_to_one_supplier(house: CaHouse) -> None:
    root = OutsideRoot().certificate()
    house.hierarchy.import_es_root("acme", certificate=root, caller=ADMIN)
    with pytest.raises(ConflictError):
        house.hierarchy.import_es_root("other", certificate=root, caller=ADMIN)


@pytest.mark.negative
@pytest.mark.parametrize(
    "text", ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_is_refused(house: CaHouse, text: str) -> None:
    with pytest.raises(InvalidInputError):
        house.hierarchy.import_es_root("acme", certificate=text, caller=ADMIN)
    with pytest.raises(InvalidInputError):
        house.hierarchy.import_es_root("acme", certificate=OutsideRoot().certificate() * 2, caller=ADMIN)


@pytest.mark.negative
@pytest.mark.parametrize(
    "wrong",
    [
        {"constraints": (False, None)},
        {"usage": ("key_cert_sign",)},
        {"usage": ("crl_sign",)},
        {"not_after": NOW - timedelta(hours=1)},
        {"key_identifier": False},
        {"purposes": (ExtendedKeyUsageOID.SERVER_AUTH,)},
    ],
)
def test_an_issuing_certificate_that_would_not_serve_is_refused(
    house: CaHouse, wrong: dict[str, object]
) -> None:
    root = OutsideRoot()
    issuing = pending(house, root)
    made = root.sign(csr_key(issuing), **wrong)  # type: ignore[arg-type]  # tests name what is wrong
    with pytest.raises(InvalidInputError):
        house.hierarchy.complete_issuing_ca(issuing.ca_id, certificate=made, caller=ADMIN)
    with house.store.reading() as records:
        assert records.authority(issuing.ca_id) == issuing


@pytest.mark.negative
def test_an_issuing_certificate_of_another_key_or_root_is_refused(house: CaHouse) -> None:
    root = OutsideRoot()
    issuing = pending(house, root)
    stranger = root.sign(ec.generate_private_key(ec.SECP256R1()).public_key())
    namesake = OutsideRoot().sign(csr_key(issuing))
    for made, reason in ((stranger, "another-key"), (namesake, "certificate-signature")):
        with pytest.raises(InvalidInputError) as caught:
            house.hierarchy.complete_issuing_ca(issuing.ca_id, certificate=made, caller=ADMIN)
        assert caught.value.reason == reason


@pytest.mark.negative
def test_an_issuing_ca_is_completed_once(house: CaHouse) -> None:
    root = OutsideRoot()
    issuing = pending(house, root)
    made = root.sign(csr_key(issuing))
    house.hierarchy.complete_issuing_ca(issuing.ca_id, certificate=made, caller=ADMIN)
    with pytest.raises(ConflictError):
        house.hierarchy.complete_issuing_ca(issuing.ca_id, certificate=made, caller=ADMIN)
    with pytest.raises(NotFoundError):
        house.hierarchy.complete_issuing_ca("0" * 32, certificate=made, caller=ADMIN)
