"""What openssl makes of a platform credential when it asks the CRL of every CA above it: issuing CA and ES root."""

import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.names import crl_name
from ca.profiles import Kind
from messages.enrollment import EnrollmentResult
from tests.conformance.pkilint import lint
from tests.fakes.ca import ADMIN, NOW, PUBLIC_URL, CaHouse
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


@pytest.mark.check("P12")
def test_openssl_takes_the_list_that_the_credential_names_and_no_other(
    house: CaHouse, tmp_path: Path
) -> None:
    with house.store.reading() as records:
        issuing = records.authorities(Kind.ISSUING_CA)[0]
    house.lists.divide(issuing.ca_id, count=2, caller=ADMIN)
    pfc = enrolled(house)
    assert judged_by_partitions(house, pfc, tmp_path) == {"own": True, "other": False}
    house.revocation.revoke(issuing.ca_id, pfc.serial_number, reason="superseded", caller=ADMIN)
    assert judged_by_partitions(house, pfc, tmp_path) == {"own": False, "other": False}


def judged_by_partitions(house: CaHouse, pfc: x509.Certificate, folder: Path) -> dict[str, bool]:
    """Whether openssl accepts `pfc` with its own partition's list alone, and with the other one alone."""
    with house.store.reading() as records:
        known = {each.kind: each for each in records.authorities(Kind.ES_ROOT, Kind.ISSUING_CA)}
    for kind, file in ((Kind.ES_ROOT, "root.pem"), (Kind.ISSUING_CA, "issuing.pem")):
        (folder / file).write_bytes(known[kind].x509().public_bytes(Encoding.PEM))
    (folder / "pfc.pem").write_bytes(pfc.public_bytes(Encoding.PEM))
    own = pfc.extensions.get_extension_for_class(x509.CRLDistributionPoints).value[0].full_name
    assert own is not None
    said = {}
    for partition in range(2):
        name = crl_name(known[Kind.ISSUING_CA].ca_id, partition)
        crl = x509.load_der_x509_crl(house.lists.published(name).der)
        (folder / "list.pem").write_bytes(crl.public_bytes(Encoding.PEM))
        command = [
            *(
                need("openssl"),
                "verify",
                "-x509_strict",
                "-crl_check",
                "-extended_crl",
                "-CRLfile",
                "list.pem",
            ),
            *("-CAfile", "root.pem", "-untrusted", "issuing.pem"),
            *("-attime", str(int(NOW.timestamp()) + 1), "pfc.pem"),
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        which = "own" if own[0].value == f"{PUBLIC_URL}/crl/{name}.crl" else "other"
        said[which] = done.returncode == 0
        judged_by_pkilint = lint("lint_crl", folder / "list.pem", "-t", "CRL", "-p", "PKIX")
        assert judged_by_pkilint.returncode == 0, judged_by_pkilint.stdout
    return said


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
