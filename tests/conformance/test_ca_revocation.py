"""What openssl makes of a platform credential when it asks the CRL of every CA above it: issuing CA and ES root."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.profiles import Kind
from messages.enrollment import EnrollmentResult
from tests.fakes.ca import ADMIN, NOW, CaHouse
from tests.fakes.enrolling_device import EnrollingDevice
from tests.tools import need


@pytest.fixture
def house() -> CaHouse:
    made = CaHouse()
    made.product_line()
    made.publish_manifest()
    return made


def enrolled(house: CaHouse) -> x509.Certificate:
    """The platform credential of a device that enrols now."""
    device = EnrollingDevice(maker=house.maker)
    house.list_devices(device)
    challenge = house.enrollment.begin(device.request().encode())
    result = house.enrollment.activate(device.activation(challenge).encode())
    assert isinstance(result, EnrollmentResult)
    return x509.load_der_x509_certificate(result.pfc_chain[0])


def judged(house: CaHouse, pfc: x509.Certificate, folder: Path, *, lists: tuple[Kind, ...]) -> str:
    """What `openssl verify` says about `pfc`, with the published CRLs of these CAs at hand."""
    house.lists.publish_due()
    with house.store.reading() as records:
        known = {each.kind: each for each in records.authorities(Kind.ES_ROOT, Kind.ISSUING_CA)}
    certificates = {"root": known[Kind.ES_ROOT].x509(), "issuing": known[Kind.ISSUING_CA].x509(), "pfc": pfc}
    for name, certificate in certificates.items():
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    published = [house.lists.published(known[kind].ca_id).der for kind in lists]
    text = b"".join(x509.load_der_x509_crl(each).public_bytes(Encoding.PEM) for each in published)
    (folder / "lists.pem").write_bytes(text)
    command = [
        *(need("openssl"), "verify", "-x509_strict", "-crl_check_all", "-CRLfile", "lists.pem"),
        *("-CAfile", "root.pem", "-untrusted", "issuing.pem"),
        *("-attime", str(int(NOW.timestamp()) + 1), "pfc.pem"),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == done.stdout.startswith("pfc.pem: OK")
    return done.stdout + done.stderr


@pytest.mark.check("P9")
@pytest.mark.check("P14")
def test_with_the_lists_of_issuing_ca_and_es_root_a_credential_is_good(
    house: CaHouse, tmp_path: Path
) -> None:
    assert judged(house, enrolled(house), tmp_path, lists=(Kind.ES_ROOT, Kind.ISSUING_CA)) == "pfc.pem: OK\n"


@pytest.mark.negative
@pytest.mark.check("P9")
@pytest.mark.parametrize("reason", ["cACompromise", "cessationOfOperation"])
def test_the_es_roots_list_ends_an_issuing_ca_and_all_its_credentials(
    house: CaHouse, tmp_path: Path, reason: str
) -> None:
    pfc = enrolled(house)
    with house.store.reading() as records:
        issuing = records.authorities(Kind.ISSUING_CA)[0].x509()
    house.revocation.revoke(house.es_root().ca_id, issuing.serial_number, reason=reason, caller=ADMIN)
    said = judged(house, pfc, tmp_path, lists=(Kind.ES_ROOT, Kind.ISSUING_CA))
    assert "error 23 at 1 depth lookup: certificate revoked" in said


@pytest.mark.negative
@pytest.mark.check("P9")
@pytest.mark.parametrize(("absent", "depth"), [(Kind.ES_ROOT, 1), (Kind.ISSUING_CA, 0)])
def test_a_list_that_is_missing_is_missed(house: CaHouse, tmp_path: Path, absent: Kind, depth: int) -> None:
    lists = tuple(kind for kind in (Kind.ES_ROOT, Kind.ISSUING_CA) if kind is not absent)
    said = judged(house, enrolled(house), tmp_path, lists=lists)
    assert f"error 3 at {depth} depth lookup: unable to get certificate CRL" in said
