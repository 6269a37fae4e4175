"""The CA as its people run it: first steps, the process, its typed clients over real TLS; openssl looks on."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from clients.ca import CaDeviceClient, CaOperatorClient, CaPublicClient
from clients.ca_status import CaStatusClient
from edge.http_client import HttpError, UnreachableError
from standards.pki.crl import verify_crl
from standards.pki.extensions import OperatorRole
from tests.conformance.ca_service import ROOT, Installation
from tests.fakes.ca import SupplierSigner, batch_of, csr_for, manifest_of
from tests.fakes.enrolling_device import EnrollingDevice, TpmMaker
from tests.forked_python import run_module
from tests.tools import need


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    responder = ec.generate_private_key(ec.SECP256R1())
    made = Installation(folder=tmp_path_factory.mktemp("ca"), maker=TpmMaker(), responder=responder)
    made.set_up()
    for who, role, tenant in (("acme-desk", "es", "acme"), ("ocsp-1", "ocsp", "")):
        made.admit(who, role=role, tenant=tenant)
    made.start()
    try:
        yield made
    finally:
        if made.served is not None:
            assert made.stop() == 0


def signer(desk: CaOperatorClient, purpose: str) -> SupplierSigner:
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.load_pem_x509_csr(csr_for(key).encode())
    return SupplierSigner(key=key, certificate=desk.certify_supplier("acme", purpose=purpose, csr=csr))


def test_what_the_first_steps_made_is_closed_to_others(installation: Installation) -> None:
    for folder in ("first", "keys", "secrets"):
        assert (installation.folder / folder).stat().st_mode & 0o777 == 0o700
    for key in (*installation.folder.glob("keys/*"), *installation.folder.glob("*/*.key")):
        assert key.stat().st_mode & 0o777 == 0o600
        assert b"ENCRYPTED" in key.read_bytes()
    again = installation.bootstrap("init", "--out", str(installation.folder / "first"), "--ip", "127.0.0.1")
    assert again.returncode == 1
    assert "exists already" in again.stderr
    wrong = installation.bootstrap(
        "tls", "--kind", "server", "--name", "x", "--out", str(installation.folder / "x")
    )
    assert wrong.returncode == 1
    assert "Traceback" not in wrong.stderr


@pytest.mark.requirement("R75")
def test_a_ceremony_certifies_a_key_that_takes_two_elsewhere(installation: Installation) -> None:
    csr, out = installation.folder / "result.csr", installation.folder / "result.pem"
    csr.write_text(csr_for(ec.generate_private_key(ec.SECP256R1())))
    words = ("--name", "pva-1", "--purpose", "attestation-result", "--csr", str(csr), "--out", str(out))
    refused = installation.bootstrap("operator", "--role", "sho", *words)
    assert (refused.returncode, out.exists(), "Traceback" in refused.stderr) == (1, False, False)
    made = installation.bootstrap("operator", "--role", "pva", *words)
    assert made.returncode == 0, made.stderr
    certificate = x509.load_pem_x509_certificate(out.read_bytes())
    assert OperatorRole.of(certificate) == OperatorRole(role="pva", id="pva-1")


@pytest.mark.negative
def test_nobody_enters_the_operator_listener_without_a_certificate(installation: Installation) -> None:
    with pytest.raises(UnreachableError):
        CaOperatorClient(installation.client("operator")).es_roots()
    with pytest.raises(HttpError) as caught:
        CaOperatorClient(installation.client("operator", who="acme-desk")).create_es_root("mine")
    assert caught.value.status == 403


@pytest.mark.requirement("R80")
def test_the_whole_way_over_the_wire(installation: Installation, tmp_path: Path) -> None:
    admin = CaOperatorClient(installation.client("operator", who="admin"))
    desk = CaOperatorClient(installation.client("operator", who="acme-desk"))
    devices = CaDeviceClient(installation.client("device"))
    root = admin.create_es_root("acme")
    issuing = admin.create_issuing_ca("acme", name="gateways", models=["gw-1"], tre_level=2)
    assert [each.ca_id for each in desk.issuing_cas()] == [issuing.ca_id]
    assert [each.certificate for each in desk.es_roots()] == [root.certificate]
    manifest = replace(manifest_of(), valid_from=None, valid_to=None)
    accepted = desk.accept_manifest(signer(desk, "manifest-signing").sign_manifest(manifest))
    assert (accepted.manifest, accepted.models) == ("gw/1", ("gw-1",))
    device = EnrollingDevice(maker=installation.maker)
    now = datetime.now(UTC).replace(microsecond=0)
    token = signer(desk, "batch-signing").sign_batch(batch_of("acme", device.device_id, at=now))
    assert desk.import_batch(token).devices == 1

    # the answer to the activation is lost, the process is killed, and the device asks again
    activation = device.activation(devices.begin(device.request()))
    first = devices.activate(activation)
    installation.stop(signal.SIGKILL)
    installation.start()
    again = CaDeviceClient(installation.client("device")).activate(activation)
    assert again == first
    pfc = x509.load_der_x509_certificate(first.pfc_chain[0])

    status = CaStatusClient(installation.client("operator", who="ocsp-1"))
    changes = status.status_changes(after=0)
    assert [(each.serial, each.revocation) for each in changes.changes] == [(pfc.serial_number, None)]
    assert installation.responder is not None
    csr = x509.load_pem_x509_csr(csr_for(installation.responder).encode())
    delegate = status.request_delegate(issuing.ca_id, csr=csr)
    assert delegate.public_key() == installation.responder.public_key()

    desk = CaOperatorClient(installation.client("operator", who="acme-desk"))
    revoked = desk.revoke_platform_credential(issuing.ca_id, pfc.serial_number, reason="keyCompromise")
    assert (revoked.status, revoked.reason, revoked.version) == ("revoked", "keyCompromise", 2)
    assert desk.platform_credential(issuing.ca_id, pfc.serial_number).certificate == pfc
    desk.reopen_device(device.device_id)
    _judge_with_openssl(installation, pfc, issuing_ca=issuing.ca_id, root=root.ca_id, folder=tmp_path)


def _judge_with_openssl(
    installation: Installation, pfc: x509.Certificate, *, issuing_ca: str, root: str, folder: Path
) -> None:
    """Everything from the public listener; with CRLs the PfC is revoked, without it is a good one."""
    public = CaPublicClient(installation.client("public"))
    certificates = {name: public.certificate(name) for name in (issuing_ca, root)}
    lists = {name: public.revocation_list(name) for name in (issuing_ca, root)}
    issuer = x509.load_der_x509_certificate(certificates[issuing_ca])
    verified = verify_crl(lists[issuing_ca], issuer=issuer, at=datetime.now(UTC))
    assert list(verified.revoked) == [pfc.serial_number]
    files = {"pfc": pfc, "ca": issuer, "root": x509.load_der_x509_certificate(certificates[root])}
    for name, certificate in files.items():
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    crls = [x509.load_der_x509_crl(each).public_bytes(Encoding.PEM) for each in lists.values()]
    (folder / "crls.pem").write_bytes(b"".join(crls))
    verify = [need("openssl"), "verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "ca.pem"]
    plain = _run([*verify, "pfc.pem"], folder)
    assert plain.returncode == 0, plain.stderr
    checked = _run([*verify, "-crl_check_all", "-CRLfile", "crls.pem", "pfc.pem"], folder)
    assert checked.returncode != 0
    assert "certificate revoked" in checked.stderr


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.negative
def test_a_device_of_no_batch_is_told_so(installation: Installation) -> None:
    stranger = EnrollingDevice(maker=installation.maker)
    with pytest.raises(HttpError) as caught:
        CaDeviceClient(installation.client("device")).begin(stranger.request())
    assert caught.value.problem is not None
    assert (caught.value.status, caught.value.problem.reason) == (403, "ek-not-listed")


@pytest.mark.negative
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"responder_keys": "responder_kees"}, "responder_kees"),
        ({'"makers"': '"nowhere"'}, "no such folder"),
        ({"first/tls-root.pem": "first/absent.pem"}, "absent.pem"),
    ],
)
def test_wrong_settings_stop_the_start(
    installation: Installation, change: dict[str, str], sentence: str
) -> None:
    text = installation.config.read_text()
    for old, new in change.items():
        text = text.replace(old, new)
    wrong = installation.folder / "wrong.toml"
    wrong.write_text(text)
    ended = run_module([sys.executable, "-m", "ca.app", "--config", str(wrong)], cwd=ROOT)
    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
