"""What the certification authority issues is what the PVA accepts: credentials, signers, the PVA's own keys."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.issuance import issue
from ca.profiles import Kind
from ca.records import Authority
from ca.template import Issuer, Places, Template
from pva.appraisal.credential import Supplier, validate_credential
from pva.manifests.proposals import ProposalDesk
from pva.manifests.recognition import RecognitionDesk, RecognitionWish
from pva.refusals import RefusalCode, RefusalError
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState, HardwareModuleName
from standards.pki.fingerprints import certificate_der, spki_der
from standards.pki.paths import validate_path
from standards.rats.corim import sign_manifest
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.ca import NOW, OCSP_URL, PUBLIC_URL, CaHouse, csr_for, supplier
from tests.fakes.credentials import hw_type
from tests.fakes.pki import p256
from tests.fakes.pva_references import MemoryReferences
from tests.fakes.pva_world import ADMINISTRATORS, POLICY, reference_manifest

STATE = ExpectedSystemState(manifest_id="release-1", manifest_digest=bytes(32), svn=3)
DEVICE = AttestingDevice()
PLACES = Places(crl_url=f"{PUBLIC_URL}/1.crl", certificate_url=f"{PUBLIC_URL}/1.cer", ocsp_url=OCSP_URL)


@pytest.fixture(scope="module")
def house() -> CaHouse:
    return CaHouse()


@pytest.fixture(scope="module")
def line(house: CaHouse) -> Authority:
    return house.product_line()


def platform_credential(house: CaHouse, line: Authority) -> x509.Certificate:
    template = Template(
        kind=Kind.PLATFORM_CREDENTIAL,
        public_key=DEVICE.ak_key.public_key(),
        tre_level=2,
        hardware_module=HardwareModuleName(
            hw_type=oids.hw_type_of_model(1), serial=bytes.fromhex(DEVICE.device_id)
        ),
        expected_state=STATE,
    )
    issuer = Issuer(
        kind=Kind.ISSUING_CA, certificate=line.x509(), key=house.keys.load(line.ca_id), places=PLACES
    )
    return issue(template, issuer=issuer, serial=7, at=NOW)


def es_root(house: CaHouse) -> x509.Certificate:
    return house.es_root().x509()


@pytest.mark.check("A25")
@pytest.mark.requirement("R74")
def test_a_platform_credential_leads_to_the_recognised_root(house: CaHouse, line: Authority) -> None:
    credential = platform_credential(house, line)
    acme = Supplier(name="acme", root=es_root(house), models={"gw-1": hw_type()}, ocsp_url=OCSP_URL)
    chain = [certificate_der(credential), certificate_der(line.x509())]
    validated = validate_credential(chain, suppliers=[acme], device_id=DEVICE.device_id, at=NOW)
    assert validated.expected_state == STATE
    assert validated.tre_level == 2
    assert validated.issuer == line.x509()
    assert validated.certifies(spki_der(DEVICE.ak_key.public_key()))


def test_a_hosted_root_is_recognised_and_its_manifest_signer_trusted(house: CaHouse, line: Authority) -> None:
    assert line.state
    references = MemoryReferences()
    desk = RecognitionDesk(
        store=references, policy=POLICY, proposals=ProposalDesk(records=references, needed=1)
    )
    wish = RecognitionWish(
        name="acme",
        root_pem=es_root(house).public_bytes(Encoding.PEM),
        models={"gw-1": hw_type()},
        ocsp_url=OCSP_URL,
    )
    desk.recognise(wish, by=ADMINISTRATORS[0], at=NOW)
    key = p256()
    certification = house.certification
    signer = certification.certify_supplier(
        "acme", purpose="manifest-signing", csr=csr_for(key), caller=supplier("acme")
    )
    manifest = reference_manifest(DEVICE, supplier="acme", models=("gw-1",))
    signed = sign_manifest(manifest, key=key, chain=[signer])
    at = NOW + timedelta(minutes=1)
    assert desk.import_manifest(signed, only_of="acme", by="acme", at=at).supplier == "acme"
    batch = certification.certify_supplier(
        "acme", purpose="batch-signing", csr=csr_for(key), caller=supplier("acme")
    )
    with pytest.raises(RefusalError) as caught:
        desk.import_manifest(
            sign_manifest(manifest, key=key, chain=[batch]), only_of="acme", by="acme", at=at
        )
    assert caught.value.code is RefusalCode.MANIFEST_WRONG_PURPOSE


@pytest.mark.parametrize(
    ("purpose", "eku"),
    [("challenge", oids.EKU_CHALLENGE), ("attestation-result", oids.EKU_ATTESTATION_RESULT)],
)
def test_the_pvas_own_certificates_are_those_that_it_asks_for(
    purpose: str, eku: x509.ObjectIdentifier
) -> None:
    house = CaHouse()
    root = house.hierarchy.make_root(Kind.OPERATORS_ROOT).x509()
    certificate = house.certify_operator(purpose, csr=csr_for(p256()))
    path = validate_path(certificate, intermediates=(), anchors=[root], at=NOW, eku=eku)
    assert path[-1] == root
