"""The PVA over real sockets: one device from request to result, replays, restarts, revocation, silence."""

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from clients.audit_log import AuditLogClient
from clients.inclusion import check_promise
from clients.pva import PvaDeviceClient
from edge.http_client import HttpClient, HttpError
from lab.keyring import make_log_key
from messages.evidence import EvidenceMessage, encode_evidence
from standards.merkle.checkpoint import VerifierKey
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState
from standards.rats.ear import RESULT_TYPE, read_claims
from tests.end_to_end.pva_service import ROOT, PvaService
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.credentials import MODEL, hw_type
from tests.fakes.pki import p256
from tests.fakes.pva_world import reference_manifest
from tests.forked_python import run_module

LOG = """
[audit_log]
name = "pva-1.example.net/log"
key = "log-key/log.key"
passphrase_file = "log-key/passphrase"
interval_s = 0.05
"""


class Site:
    """A PVA that knows one supplier and the release of its devices."""

    def __init__(self, folder: Path, *, more: str = "", crl_url: str | None = None) -> None:
        """Start everything, with `more` settings, and enrol one device.

        With `crl_url` the supplier has no responder, and its CRL lies there.
        """
        self.pva = PvaService(folder, more=more)
        self.pva.start()
        now = self.pva.now().replace(microsecond=0)
        self.device = AttestingDevice()
        manifest = reference_manifest(
            self.device,
            supplier="t",
            valid_from=now - timedelta(days=1),
            valid_to=now + timedelta(days=1),
        )
        root = self.pva.supplier.root.certificate.public_bytes(Encoding.PEM).decode()
        for administrator in ("admin", "admin-2"):
            issuing = self.pva.supplier.issuing.certificate.public_bytes(Encoding.PEM).decode()
            self.pva.suppliers(administrator).recognise(
                supplier="t",
                root_pem=root,
                models={MODEL: hw_type()},
                ocsp_url=self.pva.responder.url,
                crls=() if crl_url is None else ((issuing, crl_url),),
            )
        entry = self.pva.operator("supplier").import_manifest(self.pva.sign(manifest))
        for administrator in ("admin", "admin-2"):
            self.pva.operator(administrator).approve_manifest(entry.digest)
        digest = bytes.fromhex(entry.digest)
        self.state = ExpectedSystemState(manifest_id=entry.id, manifest_digest=digest, svn=entry.svn)
        self.credential = self.pva.credential(self.device, self.state)
        self._asked = 0

    def ask(self, device: AttestingDevice | None = None) -> str:
        """Request a validation as the operator."""
        self._asked += 1
        return self.pva.operator("sho").request_validation(
            device_id=(device or self.device).device_id,
            nonce=self._asked.to_bytes(32, "big"),
            audience=["t", "dpf-1"],
        )

    def evidence(self) -> EvidenceMessage:
        """The device's answer, some powered time after its last one."""
        self.device = self.device.later()
        return self.pva.evidence(self.device, self.credential)

    def refused(self, message: EvidenceMessage) -> str:
        """Hand in evidence that must be refused; the stable code."""
        with pytest.raises(HttpError) as caught:
            self.pva.device.submit_evidence(encode_evidence(message))
        assert caught.value.problem is not None
        assert caught.value.problem.remedy
        return caught.value.problem.type

    def told(self, request_id: str) -> list[str]:
        """Codes of the refused tries that the operator sees."""
        return [each.code for each in self.pva.operator("sho").validation(request_id).refusals]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    running = Site(tmp_path)
    yield running
    assert running.pva.stop() == 0
    running.pva.close()


@pytest.mark.requirement("R71")
@pytest.mark.requirement("R81")
@pytest.mark.requirement("R93")
@pytest.mark.requirement("R94")
@pytest.mark.requirement("R95")
def test_from_request_to_signed_result(site: Site) -> None:
    request_id = site.ask()
    receipt = site.pva.device.submit_evidence(encode_evidence(site.evidence()))
    assert receipt.status == "affirming"
    shown = site.pva.operator("sho").validation(request_id)
    assert shown.state == "completed"
    assert shown.result is not None
    claims = site.pva.verified(shown.result, eku=oids.EKU_ATTESTATION_RESULT, typ=RESULT_TYPE)
    result = read_claims(claims)
    assert result.result_id == receipt.result_id
    assert result.nonce == (1).to_bytes(32, "big")
    assert result.expires_at - result.issued_at <= timedelta(minutes=5)


@pytest.mark.requirement("R95")
def test_the_leaf_that_a_result_promises_is_in_the_log_in_time(tmp_path: Path) -> None:
    make_log_key(tmp_path / "log-key", "pva-1.example.net/log")
    site = Site(tmp_path, more=LOG)
    key = VerifierKey.parse((tmp_path / "log-key" / "log.vkey").read_text())
    request_id = site.ask()
    site.pva.device.submit_evidence(encode_evidence(site.evidence()))
    shown = site.pva.operator("sho").validation(request_id)
    assert shown.result is not None
    claims = site.pva.verified(shown.result, eku=oids.EKU_ATTESTATION_RESULT, typ=RESULT_TYPE)
    result = read_claims(claims)
    log = AuditLogClient(HttpClient(site.pva.urls["operator"], tls=site.pva.certificates.tls("sho")))
    for _ in range(200):
        state = check_promise(result, log=log, key=key, at=site.pva.now())
        if state.checkpoint is not None:
            break
        time.sleep(0.05)
    else:
        raise AssertionError(state)
    assert site.pva.stop() == 0
    site.pva.close()


@pytest.mark.negative
@pytest.mark.requirement("R94")
def test_replays_are_refused_each_by_its_name_also_after_a_restart(site: Site) -> None:
    request_id = site.ask()
    recorded = site.evidence()
    site.pva.device.submit_evidence(encode_evidence(recorded))
    assert site.refused(recorded) == "challenge-used"
    site.pva.kill()
    site.pva.start()
    assert site.refused(recorded) == "challenge-used"
    assert site.told(request_id) == ["challenge-used", "challenge-used"]
    second = site.ask()
    fresh = site.evidence()
    spliced = replace(recorded, challenge_token=fresh.challenge_token)
    assert site.refused(spliced) == "nonce-mismatch"
    fresh = site.evidence()
    spliced = replace(recorded, challenge_token=fresh.challenge_token, body=fresh.body)
    assert site.refused(spliced) == "nonce-mismatch"
    assert site.told(second) == ["nonce-mismatch", "nonce-mismatch"]
    assert site.pva.device.submit_evidence(encode_evidence(site.evidence())).status == "affirming"


@pytest.mark.negative
@pytest.mark.requirement("R61")
def test_another_devices_quote_is_refused(site: Site) -> None:
    other = AttestingDevice(ek_seed=b"another device")
    others_credential = site.pva.credential(other, site.state)
    site.ask()
    token, challenge = site.pva.challenge(site.device)
    relayed = other.evidence(challenge, token=token, chain=site.pva.supplier.chain(others_credential))
    assert site.refused(relayed) == "device-mismatch"
    token, challenge = site.pva.challenge(site.device)
    relayed = other.evidence(challenge, token=token, chain=site.pva.supplier.chain(site.credential))
    assert site.refused(relayed) == "ak-mismatch"


@pytest.mark.negative
@pytest.mark.requirement("R74")
@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (x509.ReasonFlags.key_compromise, "pfc-revoked"),
        (x509.ReasonFlags.certificate_hold, "pfc-on-hold"),
    ],
)
def test_a_revoked_credential_gets_no_result(site: Site, reason: x509.ReasonFlags, code: str) -> None:
    site.pva.responder.revoked[site.credential.serial_number] = reason
    request_id = site.ask()
    assert site.refused(site.evidence()) == code
    shown = site.pva.operator("sho").validation(request_id)
    assert (shown.state, shown.result) == ("pending", None)
    (told,) = shown.refusals
    assert told.code == code
    assert site.device.device_id in told.subject
    assert told.remedy


@pytest.mark.negative
@pytest.mark.check("A25")
def test_silence_of_the_responder_signs_nothing_and_passes(site: Site) -> None:
    site.ask()
    site.pva.responder.silent = True
    assert site.refused(site.evidence()) == "status-unavailable"
    site.pva.responder.silent = False
    assert site.pva.device.submit_evidence(encode_evidence(site.evidence())).status == "affirming"


@pytest.mark.negative
@pytest.mark.requirement("R94")
def test_a_changed_boot_is_contraindicated_and_explained(site: Site) -> None:
    request_id = site.ask()
    kernel = next(each for each in site.device.boot if each.pcr == 9)
    changed = replace(kernel, measured=b"another kernel")
    site.device = replace(
        site.device, boot=tuple(changed if each is kernel else each for each in site.device.boot)
    )
    receipt = site.pva.device.submit_evidence(encode_evidence(site.evidence()))
    assert receipt.status == "contraindicated"
    token = site.pva.operator("sho").validation(request_id).result
    assert token is not None
    result = read_claims(site.pva.verified(token, eku=oids.EKU_ATTESTATION_RESULT, typ=RESULT_TYPE))
    register, component = result.submodules["platform"].findings
    assert (register.code, component.code) == ("pcr-mismatch", "kernel-mismatch")
    for finding in (register, component):
        assert finding.expected != finding.measured
        assert finding.event is not None


@pytest.mark.negative
def test_a_device_cannot_reach_the_operators_routes_nor_a_stranger_the_listener(site: Site) -> None:
    for path in ("/v1/validations", "/v1/suppliers", "/v1/manifests"):
        with pytest.raises(HttpError) as caught:
            site.pva.device_http.post_json(path, {})
        assert caught.value.status == 404
    wrong_listener = HttpClient(site.pva.urls["operator"], tls=site.pva.certificates.tls("sho"))
    with pytest.raises(HttpError) as caught:
        PvaDeviceClient(wrong_listener).challenge(site.device.device_id)
    assert caught.value.status == 404


@pytest.mark.negative
def test_a_pva_does_not_start_with_keys_that_do_not_fit(tmp_path: Path) -> None:
    pva = PvaService(tmp_path)
    one_key = p256()
    pva.write_signing_key("challenge", one_key, oids.EKU_CHALLENGE)
    pva.write_signing_key("result", one_key, oids.EKU_ATTESTATION_RESULT)
    assert "one key" in failed_start(tmp_path)
    pva.write_signing_key("result", p256(), oids.EKU_CHALLENGE)
    assert oids.EKU_ATTESTATION_RESULT.dotted_string in failed_start(tmp_path)
    pva.write_signing_key("result", p256(), oids.EKU_ATTESTATION_RESULT)
    pva.write_signing_key("approval", one_key, oids.EKU_STATE_APPROVAL)
    assert "challenge_key and approval_key are one key" in failed_start(tmp_path)
    pva.close()


def failed_start(folder: Path) -> str:
    """What the process says when it refuses to start."""
    command = [sys.executable, "-m", "pva.app", "--config", str(folder / "pva.toml")]
    outcome = run_module(command, cwd=ROOT)
    assert (outcome.returncode, outcome.stdout) == (2, "")
    return outcome.stderr
