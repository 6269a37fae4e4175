"""From a validation to the state beside the status: a device, its TRE, PVA, CA and responder as processes (D6)."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from edge.process import system_random
from lab.identities import DPF, SHO, SHO_2
from lab.scene import Scene
from lab.story import APPROVED, attest, enroll
from standards.pki.platform_state import PlatformState
from standards.rats.ear import AttestationResult
from tests.end_to_end.lab_services import add_devices

DEVICE = "state-told"
OTHER_KERNEL = "vmlinuz-6.1.0-of-someone-else"
REQUEST_TYPE = "application/ocsp-request"
WAIT_S = 30.0

pytestmark = [pytest.mark.requirement("R101"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def scene(network: Scene) -> Scene:
    add_devices(network, (DEVICE,), batch="states-by-ocsp")
    return network


def validated(scene: Scene) -> AttestationResult:
    """A look at the device by its operator."""
    _, result = attest(scene, DEVICE, step="v")
    assert result is not None
    return result


def state_told(
    scene: Scene, who: str | None, path: tuple[x509.Certificate, x509.Certificate]
) -> PlatformState | None:
    """What one operator is told beside `good`, or everybody on the public listener (None)."""
    nonce = x509.OCSPNonce(system_random(32))
    builder = ocsp.OCSPRequestBuilder().add_certificate(path[0], path[1], hashes.SHA256())
    request = builder.add_extension(nonce, critical=False).build().public_bytes(Encoding.DER)
    listener, route = ("public", "/") if who is None else ("operator", "/v1/ocsp")
    http = scene.services.http("ocsp", listener, None if who is None else scene.services.identity(who))
    answer = ocsp.load_der_ocsp_response(http.post(route, request, content_type=REQUEST_TYPE).body)
    assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert answer.extensions.get_extension_for_class(x509.OCSPNonce).value == nonce
    return PlatformState.of(answer.single_extensions)


def state_in(result: AttestationResult) -> PlatformState:
    return PlatformState(
        state_digest=result.pcr_digest, tier=result.status.value, result_time=result.issued_at
    )


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_who_asked_for_a_validation_finds_it_beside_the_status(scene: Scene) -> None:
    enrolled = enroll(scene, DEVICE)
    assert enrolled.status == 0, enrolled
    path = scene.suppliers[APPROVED].credential(int(enrolled.said["serial"], 16))
    assert state_told(scene, SHO, path) is None
    first = validated(scene)
    eventually(lambda: state_told(scene, SHO, path) == state_in(first))
    assert state_in(first).tier == "affirming"
    scene.power_on(DEVICE, release=replace(scene.release(), kernel=OTHER_KERNEL))
    second = validated(scene)
    eventually(lambda: state_told(scene, SHO, path) == state_in(second))
    assert state_in(second).tier == "contraindicated"
    assert second.pcr_digest != first.pcr_digest
    for other in {SHO_2, DPF} - set(second.audience):
        assert state_told(scene, other, path) is None
    assert SHO_2 not in second.audience
    assert state_told(scene, None, path) is None
