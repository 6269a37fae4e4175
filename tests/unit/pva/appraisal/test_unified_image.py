"""The TRE's image where the kernel's command line is a section of a unified image: the log has its digest alone."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pva.appraisal.findings import Scope
from standards.boot_log.encode import Measurement
from standards.boot_log.events import EV_IPL
from standards.rats.ar4si import Tier
from standards.rats.corim import Manifest
from standards.rats.manifest import PlatformReference
from tests.fakes.attesting_device import SHA256, AttestingDevice, command_line, unified_measurements
from tests.fakes.pva_world import reference_manifest
from tests.unit.pva.appraisal.appraisals import appraised, booted, found

PCRS = (0, 1, 2, 3, 4, 5, 6, 7, 11, 12, 14)
UNIFIED = booted(*unified_measurements())
OTHER_TRE = command_line(b"\x0b" * 32)


def manifest_of(device: AttestingDevice, *, without: Sequence[int] = ()) -> Manifest:
    """What a supplier signs for this boot: every register, and the TRE's image in words of its own."""
    values = device.pcr_values({SHA256: PCRS})[SHA256]
    registers = {pcr: value for pcr, value in values.items() if pcr not in without}
    return replace(
        reference_manifest(device), platform=PlatformReference(registers={SHA256: registers}), events=()
    )


def test_the_tre_is_affirmed_while_image_sections_and_what_stands_beside_have_their_values() -> None:
    appraisal = appraised(UNIFIED, manifest_of(UNIFIED), selections={SHA256: PCRS})
    assert found(appraisal) == []
    assert appraisal.tiers == {Scope.PLATFORM: Tier.AFFIRMING, Scope.TRE: Tier.AFFIRMING}


@pytest.mark.negative
@pytest.mark.parametrize("pcr", [4, 11, 12])
def test_a_register_of_the_three_without_a_reference_value_affirms_no_tre(pcr: int) -> None:
    appraisal = appraised(UNIFIED, manifest_of(UNIFIED, without=[pcr]), selections={SHA256: PCRS})
    assert ("tre", "tre-image-not-measured") in found(appraisal)
    assert appraisal.tiers[Scope.TRE] is Tier.WARNING


@pytest.mark.negative
@pytest.mark.parametrize("pcr", [11, 12])
def test_a_register_of_the_three_that_nobody_quoted_affirms_no_tre(pcr: int) -> None:
    asked = tuple(each for each in PCRS if each != pcr)
    appraisal = appraised(UNIFIED, manifest_of(UNIFIED), selections={SHA256: asked})
    assert appraisal.tiers[Scope.TRE] is not Tier.AFFIRMING


@pytest.mark.negative
@pytest.mark.parametrize(
    "boot",
    [
        unified_measurements(line=OTHER_TRE),
        [*unified_measurements(), Measurement(pcr=12, type=EV_IPL, data=OTHER_TRE, measured=OTHER_TRE)],
        [*unified_measurements(), Measurement(pcr=11, type=EV_IPL, data=b"later", measured=b"later")],
    ],
    ids=["another command line", "one from beside the image", "sections of another image"],
)
def test_another_command_line_affirms_no_tre(boot: Sequence[Measurement]) -> None:
    appraisal = appraised(booted(*boot), manifest_of(UNIFIED), selections={SHA256: PCRS})
    assert ("tre", "tre-image-not-measured") in found(appraisal)
    assert appraisal.tiers[Scope.TRE] is not Tier.AFFIRMING


@pytest.mark.negative
def test_sections_that_a_program_extended_after_another_boot_affirm_no_tre() -> None:
    other = [
        replace(each, measured=b"another loader") if each.data == b"gateway.efi" else each
        for each in unified_measurements()
    ]
    appraisal = appraised(booted(*other), manifest_of(UNIFIED), selections={SHA256: PCRS})
    assert ("tre", "tre-image-not-measured") in found(appraisal)
