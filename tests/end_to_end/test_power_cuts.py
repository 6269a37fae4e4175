"""A process that is killed leaves a store that starts again: services, TRE and TPM."""

import time

import pytest

from lab.parties import Question
from lab.scene import Scene
from lab.story import enroll
from standards.rats.ar4si import Tier
from tests.end_to_end.lab_services import add_devices

DEVICE = "cut-off"
RESPONDER_BACK_S = 20.0


@pytest.fixture(scope="module")
def scene(network: Scene) -> Scene:
    add_devices(network, (DEVICE,), batch="service-cuts")
    assert enroll(network, DEVICE).status == 0
    return network


def is_affirmed(scene: Scene, question: Question | None = None) -> bool:
    """Whether the device's answer to a question (a new one, if none waits) is affirmed to the operator."""
    asked = question or scene.operator.ask(scene.ids[DEVICE])
    deadline = time.monotonic() + RESPONDER_BACK_S
    answer = scene.devices[DEVICE].agent("attest")
    while answer.outcome == "refused: status-unavailable" and time.monotonic() < deadline:
        answer = scene.devices[DEVICE].agent("attest")  # the responder is not level with the CA yet
    token = scene.operator.progress(asked).result
    assert token is not None, answer
    return answer.status == 0 and scene.operator.verify(token, asked).status is Tier.AFFIRMING


@pytest.mark.parametrize("role", ["ca", "ocsp", "pva"])
def test_a_killed_service_starts_again_and_knows_what_it_knew(scene: Scene, role: str) -> None:
    question = scene.operator.ask(scene.ids[DEVICE])
    scene.services.restart(role)
    assert scene.operator.progress(question).state == "pending"
    assert is_affirmed(scene, question)


@pytest.mark.parametrize("part", ["tre", "tpm"])
def test_a_device_that_lost_power_comes_up_with_its_credential(scene: Scene, part: str) -> None:
    scene.processes.kill(f"{DEVICE}-{part}")
    scene.power_on(DEVICE)
    assert scene.devices[DEVICE].agent("status").outcome == "enrolled"
    assert is_affirmed(scene)


@pytest.mark.negative
def test_a_device_that_enrolled_cannot_enrol_again_unasked(scene: Scene) -> None:
    answer = scene.devices[DEVICE].agent("enroll")
    assert answer.status != 0
    assert answer.refusal is not None
    assert answer.refusal.remedy


@pytest.mark.negative
def test_a_pva_without_a_responder_signs_nothing_and_says_when_to_come_back(scene: Scene) -> None:
    question = scene.operator.ask(scene.ids[DEVICE])
    scene.processes.kill("ocsp")
    try:
        answer = scene.devices[DEVICE].agent("attest")
        assert answer.outcome == "refused: status-unavailable"
        assert scene.operator.progress(question).result is None
    finally:
        scene.services.start_ocsp()
    assert is_affirmed(scene, question)
