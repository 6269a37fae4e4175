"""Devices without an event log: their registers are compared alone, by leave of a signed manifest."""

from dataclasses import replace

import pytest

from pva.appraisal.deviations import NO_EVENT
from pva.refusals import RefusalCode, RefusalError
from standards.rats.corim import Manifest, PlatformReference, decode_manifest, encode_manifest
from standards.rats.errors import RatsError
from standards.rats.manifest import ReferenceEvent
from standards.rats.submodules import Finding
from tests.fakes.attesting_device import SHA256, AttestingDevice, measurements
from tests.fakes.pki import NOW
from tests.fakes.pva_world import World, reference_manifest


def unlogged_manifest(device: AttestingDevice, **changed: object) -> Manifest:
    return reference_manifest(device, **{"events": (), "pcr_values_only": True, **changed})


def world_without_logs(**changed: object) -> World:
    """A world whose manifest, and so whose credentials, are for devices without a log."""
    world = World(device=AttestingDevice(logged=False))
    world.signed_manifest = world.sign(unlogged_manifest(world.device, id="u-boot", **changed))
    world.state = world.publish(world.signed_manifest)
    return world


def findings_of(world: World, device: AttestingDevice) -> list[Finding]:
    result = world.validate(world.answer(device))
    return [each for part in result.result.submodules.values() for each in part.findings]


@pytest.mark.requirement("R71")
def test_a_device_without_a_log_is_affirmed_by_its_registers() -> None:
    world = world_without_logs()
    result = world.validate(world.answer())
    assert result.status == "affirming"


@pytest.mark.check("A18")
@pytest.mark.negative
def test_without_leave_of_its_manifest_no_device_does_without_a_log() -> None:
    world = World(device=AttestingDevice(logged=False))
    with pytest.raises(RefusalError) as error:
        world.validate(world.answer())
    assert error.value.code is RefusalCode.BOOT_LOG_MISSING
    assert not world.store.results


@pytest.mark.check("A18")
@pytest.mark.negative
def test_nor_does_one_whose_manifest_is_not_held() -> None:
    world = world_without_logs()
    world.references.by_digest.clear()
    with pytest.raises(RefusalError) as error:
        world.validate(world.answer())
    assert error.value.code is RefusalCode.BOOT_LOG_MISSING


@pytest.mark.check("A21")
@pytest.mark.negative
def test_another_register_is_named_and_it_is_said_that_no_event_can_be() -> None:
    world = world_without_logs()
    other = replace(world.device, boot=tuple(measurements(kernel=b"another")))
    found = findings_of(world, other)
    by_code = {each.code: each for each in found}
    assert set(by_code) == {"pcr-mismatch", "tre-image-not-measured", "platform-not-affirmed"}
    assert by_code["pcr-mismatch"].subject == "PCR 9 of bank sha256"
    assert by_code["pcr-mismatch"].event == by_code["tre-image-not-measured"].event == NO_EVENT
    assert by_code["tre-image-not-measured"].measured == "other values of PCR 9"


@pytest.mark.check("A20")
@pytest.mark.negative
def test_another_secure_boot_register_is_configuration_without_a_guess_at_its_variables() -> None:
    world = world_without_logs()
    boot = tuple(each for each in world.device.boot if each.pcr != 7)
    codes = {each.code for each in findings_of(world, replace(world.device, boot=boot))}
    assert codes == {"configuration-pcr-mismatch", "tre-image-not-measured", "platform-not-affirmed"}


@pytest.mark.check("A24")
@pytest.mark.negative
def test_a_manifest_without_a_tre_image_affirms_no_tre() -> None:
    world = world_without_logs(tre_image_digest=None)
    assert [each.code for each in findings_of(world, world.device)] == ["tre-image-no-reference"]


def test_a_log_that_comes_all_the_same_is_replayed() -> None:
    world = world_without_logs()
    logged = replace(world.device, logged=True)
    assert world.validate(world.answer(logged)).status == "affirming"
    message = replace(world.answer(logged.later()), boot_log=AttestingDevice(boot=()).boot_log)
    with pytest.raises(RefusalError) as error:
        world.validate(message)
    assert error.value.code is RefusalCode.BOOT_LOG_MISMATCH


@pytest.mark.check("A24")
@pytest.mark.negative
def test_such_a_manifest_names_every_register_that_is_quoted() -> None:
    world = World()
    whole = unlogged_manifest(world.device)
    registers = {pcr: value for pcr, value in whole.platform.registers[SHA256].items() if pcr != 4}
    signed = world.sign(replace(whole, platform=PlatformReference(registers={SHA256: registers})))
    with pytest.raises(RefusalError) as error:
        world.recognition.import_manifest(signed, only_of=None, by="supplier", at=NOW)
    assert error.value.code is RefusalCode.MANIFEST_INCONSISTENT
    assert "PCR 4" in error.value.reason


def test_the_format_carries_it_and_refuses_events_beside_it() -> None:
    manifest = unlogged_manifest(AttestingDevice())
    assert decode_manifest(encode_manifest(manifest)) == manifest
    event = ReferenceEvent(pcr=4, position=0, digest={SHA256: bytes(32)}, name="shim", scope="platform")
    with pytest.raises(RatsError):
        encode_manifest(replace(manifest, events=(event,)))
    with pytest.raises(RatsError):
        encode_manifest(replace(manifest, platform=PlatformReference()))
