"""What others try with a good device: hold its evidence back, or certify it themselves."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from messages.evidence import encode_evidence
from pva.refusals import RefusalCode, RefusalError
from standards.pki.extensions import ExpectedSystemState
from tests.fakes.credentials import CredentialPlan, FakeSupplier
from tests.fakes.pki import NOW, Validity, p256
from tests.fakes.pva_world import World, good, reference_manifest


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.negative
@pytest.mark.check("A14")
@pytest.mark.check("A24")
def test_evidence_that_is_overtaken_while_the_responder_is_asked_is_no_finding(world: World) -> None:
    world.validate(world.answer())
    first = world.ask()
    held_back = world.answer(world.device.later())
    overtaking = replace(world.store.requests[first], id="second")

    def slow_status(*_: object) -> Any:
        if (
            "second" not in world.store.requests
        ):  # the first request expires, the next one is answered at once
            world.store.requests["second"] = overtaking
            late = world.store.requests.pop(first)
            world.validate(world.answer(world.device.later(5000)))
            world.store.requests[first] = late
        return good(NOW)

    slow = replace(world.verifier, status_of=slow_status)
    with pytest.raises(RefusalError) as caught:
        slow.validate_platform(encode_evidence(held_back), at=NOW)
    assert caught.value.code is RefusalCode.CONCURRENT_VALIDATION
    assert first not in world.store.results


@pytest.mark.negative
@pytest.mark.check("A26")
def test_another_supplier_cannot_take_a_device_over(world: World) -> None:
    world.validate(world.answer())
    rival = FakeSupplier.make("Rival")
    world.recognise(rival)
    manifest = replace(reference_manifest(world.device), supplier="Rival")
    signed = world.sign(manifest, by=rival)
    imported = world.recognition.import_manifest(signed, only_of=None, by="rival", at=NOW)
    state = ExpectedSystemState(manifest_id=imported.id, manifest_digest=imported.digest, svn=imported.svn)
    newer = CredentialPlan(state=state, validity=Validity(before=timedelta(0)))
    impostor = replace(world.device.later(), ak_key=p256())
    token, challenge = world.challenge()
    chain = world.chain(device=impostor, plan=newer, supplier=rival)
    message = impostor.evidence(challenge, token=token, chain=chain)
    before = dict(world.store.histories)
    with pytest.raises(RefusalError) as caught:
        world.validate(message)
    assert caught.value.code is RefusalCode.IDENTITY_CONFLICT
    assert world.store.histories == before
