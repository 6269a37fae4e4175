"""The gate of docs/BRING-YOUR-OWN-DPF.md, run against a PVA: it opens for the right device and for no other."""

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jsonschema_rs
import pytest
from cryptography import x509

from messages.errors import MessageError
from messages.evidence import encode_evidence
from standards.pki.errors import PathError
from tests.end_to_end.own_gate import Gate
from tests.end_to_end.pva_service import LIFE
from tests.end_to_end.test_pva_process import Site
from tests.fakes.attesting_device import AttestingDevice, measurements
from tests.fakes.ocsp_responder import FakeResponder
from tests.fakes.pki import Authority

SCHEMA = Path(__file__).parents[2] / "docs/ear.schema.json"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    running = Site(tmp_path)
    yield running
    assert running.pva.stop() == 0
    running.pva.close()


def gate_of(site: Site) -> Gate:
    return Gate(
        pva=site.pva.operator("sho"),
        tenant="t",
        operators_root=site.pva.operators.certificate,
        supplier_root=site.pva.supplier.root.certificate,
        ocsp_url=site.pva.responder.url,
    )


def chain_of(site: Site) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(der) for der in site.pva.supplier.chain(site.credential)]


def asked(site: Site, gate: Gate, *, chain: list[x509.Certificate] | None = None) -> list[str]:
    """What the gate says, while the device answers whatever it is asked."""
    done = threading.Event()

    def answer() -> None:
        while not done.wait(0.1):
            try:
                evidence = encode_evidence(site.evidence())
            except Exception:  # noqa: BLE001, S112  # nothing waits for the device yet
                continue
            site.pva.device.submit_evidence(evidence)
            return

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        return gate.why_not(site.device.device_id, chain or chain_of(site), wait_s=30)
    finally:
        done.set()
        thread.join()


@pytest.mark.requirement("R81")
@pytest.mark.requirement("R68")
def test_the_gate_opens_for_the_right_device(site: Site) -> None:
    assert asked(site, gate_of(site)) == []


@pytest.mark.requirement("R94")
def test_a_result_has_the_claims_of_its_schema(site: Site) -> None:
    request_id = site.ask()
    site.pva.device.submit_evidence(encode_evidence(site.evidence()))
    token = site.pva.operator("sho").validation(request_id).result
    assert token is not None
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    schema = json.loads(SCHEMA.read_text())
    jsonschema_rs.validate(schema, claims)
    assert set(claims) <= set(schema["properties"])
    for scope in claims["submods"].values():
        assert set(scope) <= set(schema["$defs"]["submodule"]["properties"])


@pytest.mark.negative
@pytest.mark.requirement("R68")
def test_the_gate_stays_shut_for_another_kernel_and_says_why(site: Site) -> None:
    site.device = replace(site.device, boot=tuple(measurements(kernel=b"kernel of somebody else")))
    assert "kernel-mismatch" in asked(site, gate_of(site))


@pytest.mark.negative
@pytest.mark.requirement("R68")
def test_the_gate_asks_for_the_status_itself(site: Site) -> None:
    issued = {site.credential.serial_number: site.credential}
    newer = FakeResponder(site.pva.supplier.issuing, issued=issued)
    newer.revoked[site.credential.serial_number] = x509.ReasonFlags.key_compromise
    assert asked(site, replace(gate_of(site), ocsp_url=newer.url)) == ["credential-revoked"]
    newer.close()


@pytest.mark.negative
def test_the_gate_does_not_take_the_credential_of_another_device(site: Site) -> None:
    other = site.pva.credential(AttestingDevice(ek_seed=b"another"), site.state)
    chain = [other, *chain_of(site)[1:]]
    assert asked(site, gate_of(site), chain=chain) == ["another-credential"]


@pytest.mark.negative
def test_the_gate_believes_its_own_roots_alone(site: Site) -> None:
    stranger = Authority.root("a stranger", validity=LIFE).certificate
    with pytest.raises(MessageError):
        asked(site, replace(gate_of(site), operators_root=stranger))
    site.device = site.device.later(60_000)
    with pytest.raises(PathError):
        asked(site, replace(gate_of(site), supplier_root=stranger))


@pytest.mark.negative
def test_silence_opens_nothing(site: Site) -> None:
    with pytest.raises(TimeoutError):
        gate_of(site).why_not(site.device.device_id, chain_of(site), wait_s=0.3)
