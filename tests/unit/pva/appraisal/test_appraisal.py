"""The appraisal: default deny, and where a deviation is reported."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pva.appraisal.findings import FINDINGS, FindingCode, Scope, find
from standards.boot_log.encode import Measurement
from standards.boot_log.events import EV_IPL
from standards.rats.ar4si import STANDARD_VALUES, Tier, tier_of_claim
from standards.rats.corim import PlatformReference
from tests.fakes.attesting_device import (
    SHA256,
    TRE_IMAGE,
    command_line,
    measurements,
)
from tests.fakes.credentials import MODEL, hw_type
from tests.fakes.pki import NOW
from tests.fakes.pva_world import POLICY, SELECTION, reference_manifest
from tests.unit.pva.appraisal.appraisals import GOOD, appraised, booted, found

OTHER_TRE = b"\x07" * 32


def test_what_the_manifest_confirms_is_affirmed() -> None:
    appraisal = appraised(GOOD, reference_manifest(GOOD))
    assert found(appraisal) == []
    assert appraisal.tier is Tier.AFFIRMING
    assert appraisal.accepted_svn == 3


@pytest.mark.requirement("R69")
@pytest.mark.requirement("R74b")
@pytest.mark.negative
def test_another_kernel_is_a_finding_about_the_platform() -> None:
    changed = booted(*measurements(kernel=b"another kernel"))
    appraisal = appraised(changed, reference_manifest(GOOD))
    assert found(appraisal) == [
        ("platform", "pcr-mismatch"),
        ("platform", "kernel-mismatch"),
        ("tre", "platform-not-affirmed"),
    ]
    finding = appraisal.findings[0]
    assert finding.subject == "PCR 9 of bank sha256"
    assert finding.expected == GOOD.pcr_values(SELECTION)[SHA256][9].hex()
    assert finding.measured == changed.pcr_values(SELECTION)[SHA256][9].hex()
    assert finding.event is not None
    assert "position 0" in finding.event
    assert appraisal.tiers == {Scope.PLATFORM: Tier.CONTRAINDICATED, Scope.TRE: Tier.WARNING}
    assert appraisal.vectors[Scope.PLATFORM]["executables"] == 96
    assert appraisal.accepted_svn is None


@pytest.mark.requirement("R69")
@pytest.mark.negative
def test_another_tre_is_a_finding_about_the_tre_and_leaves_the_platform_affirmed() -> None:
    changed = booted(*measurements(line=command_line(OTHER_TRE)))
    appraisal = appraised(changed, reference_manifest(GOOD))
    assert found(appraisal) == [
        ("tre", "pcr-mismatch"),
        ("tre", "command-line-mismatch"),
        ("tre", "tre-image-mismatch"),
    ]
    assert appraisal.tiers == {Scope.PLATFORM: Tier.AFFIRMING, Scope.TRE: Tier.CONTRAINDICATED}
    image = appraisal.findings[2]
    assert (image.expected, image.measured) == (TRE_IMAGE.hex(), OTHER_TRE.hex())


@pytest.mark.negative
def test_configuration_has_a_claim_of_its_own() -> None:
    boot = [
        replace(each, measured=b"linux /evil") if each.data.startswith(b"grub_cmd") else each
        for each in measurements()
    ]
    appraisal = appraised(booted(*boot), reference_manifest(GOOD))
    assert ("platform", "configuration-pcr-mismatch") in found(appraisal)
    assert appraisal.vectors[Scope.PLATFORM]["configuration"] == 96
    assert appraisal.vectors[Scope.PLATFORM]["executables"] == 3


@pytest.mark.negative
def test_each_scope_with_a_deviating_event_gets_its_finding() -> None:
    boot = [
        replace(each, measured=b"linux /evil") if each.data.startswith(b"grub_cmd") else each
        for each in measurements(line=command_line(OTHER_TRE))
    ]
    codes = found(appraised(booted(*boot), reference_manifest(GOOD)))
    assert ("platform", "configuration-pcr-mismatch") in codes
    assert ("tre", "event-mismatch") in codes
    assert ("tre", "tre-image-mismatch") in codes


@pytest.mark.negative
@pytest.mark.parametrize("surplus", [0, 1], ids=["missing", "surplus"])
def test_a_missing_or_a_surplus_event_is_the_platforms(surplus: int) -> None:
    extra = [Measurement(pcr=14, type=EV_IPL, data=b"MokListX\x00", measured=b"mok x")]
    device = booted(*GOOD.boot, *extra) if surplus else booted(*GOOD.boot[:-1])
    appraisal = appraised(device, reference_manifest(GOOD))
    finding = appraisal.findings[0]
    assert (finding.scope, finding.code) == ("platform", "configuration-pcr-mismatch")
    assert finding.event is not None
    assert "no event" in finding.event


@pytest.mark.negative
@pytest.mark.check("A24")
def test_without_a_manifest_nothing_is_affirmed() -> None:
    appraisal = appraised(GOOD, None)
    assert appraisal.tiers == {Scope.PLATFORM: Tier.WARNING, Scope.TRE: Tier.WARNING}
    assert appraisal.accepted_svn is None


@pytest.mark.negative
@pytest.mark.check("A24")
@pytest.mark.parametrize("pcr", SELECTION[SHA256])
def test_a_quoted_pcr_without_reference_value_is_not_affirmed(pcr: int) -> None:
    manifest = reference_manifest(GOOD)
    registers = {index: value for index, value in manifest.platform.registers[SHA256].items() if index != pcr}
    manifest = replace(manifest, platform=PlatformReference(registers={SHA256: registers}))
    appraisal = appraised(GOOD, manifest)
    assert ("platform", "no-reference-value") in found(appraisal)
    assert appraisal.tiers[Scope.PLATFORM] is Tier.WARNING
    assert appraisal.tiers[Scope.TRE] is Tier.WARNING


@pytest.mark.negative
@pytest.mark.check("A24")
def test_a_bank_without_reference_values_is_not_affirmed() -> None:
    manifest = replace(reference_manifest(GOOD), platform=PlatformReference(registers={}))
    assert appraised(GOOD, manifest).tier is Tier.WARNING


@pytest.mark.negative
def test_without_a_tre_image_the_tre_is_at_most_a_warning() -> None:
    appraisal = appraised(GOOD, reference_manifest(GOOD, tre_image_digest=None))
    assert found(appraisal) == [("tre", "tre-image-no-reference")]
    assert appraisal.tiers == {Scope.PLATFORM: Tier.AFFIRMING, Scope.TRE: Tier.WARNING}


@pytest.mark.negative
@pytest.mark.parametrize(
    "line",
    [
        b"/vmlinuz ro",
        b"/vmlinuz pva.tre=" + TRE_IMAGE.hex().encode() + b" pva.tre=" + OTHER_TRE.hex().encode(),
        b'/vmlinuz note="x pva.tre=' + TRE_IMAGE.hex().encode() + b' y"',
        b"/vmlinuz xpva.tre=" + TRE_IMAGE.hex().encode(),
    ],
    ids=["none", "two", "inside quotes", "another parameter"],
)
def test_a_command_line_that_does_not_name_one_tre(line: bytes) -> None:
    device = booted(*measurements(line=line))
    appraisal = appraised(device, reference_manifest(device, tre_image_digest=TRE_IMAGE))
    assert found(appraisal) == [("tre", "tre-image-not-measured")]
    assert appraisal.tiers[Scope.TRE] is Tier.WARNING


@pytest.mark.negative
@pytest.mark.check("A19")
@pytest.mark.parametrize("referenced", [True, False], ids=["PCR 8 as approved", "PCR 8 without reference"])
def test_a_label_that_the_carrier_moved_does_not_contraindicate(*, referenced: bool) -> None:
    menu = b"linux /vmlinuz.old pva.tre=" + OTHER_TRE.hex().encode()
    honest = [
        replace(each, data=b"grub_cmd: " + menu + b"\x00", measured=menu)
        if each.data.startswith(b"grub_cmd")
        else each
        for each in measurements()
    ]
    approved = reference_manifest(booted(*honest))
    if not referenced:
        rest = {pcr: value for pcr, value in approved.platform.registers[SHA256].items() if pcr != 8}
        approved = replace(approved, platform=PlatformReference(registers={SHA256: rest}))
    appraisal = appraised(booted(*(relabelled(each) for each in honest)), approved)
    assert ("tre", "tre-image-unproven") in found(appraisal)
    assert appraisal.tiers[Scope.TRE] is Tier.WARNING


def relabelled(measurement: Measurement) -> Measurement:
    """A boot loader's event under another label, which its digest does not cover."""
    label, colon, text = measurement.data.partition(b":")
    others = {b"grub_cmd": b"kernel_cmdline", b"kernel_cmdline": b"grub_cmd"}
    return replace(measurement, data=others.get(label, label) + colon + text)


@pytest.mark.negative
@pytest.mark.check("A19")
def test_a_command_line_that_its_digest_does_not_cover_names_nothing() -> None:
    forged = [
        replace(each, data=b"kernel_cmdline: " + command_line() + b"\x00", measured=b"quiet")
        if each.data.startswith(b"kernel_cmdline")
        else each
        for each in measurements()
    ]
    device = booted(*forged)
    appraisal = appraised(device, reference_manifest(device, tre_image_digest=TRE_IMAGE))
    assert found(appraisal) == [("tre", "tre-image-not-measured")]


@pytest.mark.negative
def test_a_command_line_in_a_pcr_that_was_not_quoted_names_nothing() -> None:
    selections = {SHA256: (0, 4, 7)}
    registers = {pcr: reference_manifest(GOOD).platform.registers[SHA256][pcr] for pcr in (0, 4, 7)}
    manifest = reference_manifest(GOOD, platform=PlatformReference(registers={SHA256: registers}))
    appraisal = appraised(GOOD, manifest, selections=selections)
    assert found(appraisal) == [("tre", "tre-image-not-measured")]


@pytest.mark.negative
@pytest.mark.check("A25")
def test_after_its_window_a_manifest_without_a_successor_is_expired() -> None:
    window = {"valid_from": NOW - timedelta(days=2), "valid_to": NOW - timedelta(days=1)}
    appraisal = appraised(GOOD, reference_manifest(GOOD, **window))
    assert set(found(appraisal)) == {
        ("tre", "manifest-expired"),
        ("platform", "manifest-expired"),
        ("tre", "platform-not-affirmed"),
    }
    assert appraisal.tier is Tier.WARNING
    assert appraisal.accepted_svn is None


@pytest.mark.negative
def test_before_its_window_a_state_is_not_affirmed() -> None:
    window = {"valid_from": NOW + timedelta(days=1), "valid_to": NOW + timedelta(days=2)}
    appraisal = appraised(GOOD, reference_manifest(GOOD, **window))
    assert ("platform", "manifest-not-yet-valid") in found(appraisal)
    assert appraisal.accepted_svn is None


@pytest.mark.negative
@pytest.mark.check("A25")
@pytest.mark.requirement("R28")
def test_a_model_that_is_not_permitted_any_more_is_contraindicated() -> None:
    appraisal = appraised(GOOD, reference_manifest(GOOD), models={})
    assert ("tre", "model-not-permitted") in found(appraisal)
    assert appraisal.tier is Tier.CONTRAINDICATED


@pytest.mark.negative
@pytest.mark.check("A25")
@pytest.mark.requirement("R28")
@pytest.mark.parametrize(
    "models",
    [{MODEL: hw_type(2)}, {MODEL: hw_type(2), "another": hw_type()}],
    ids=["unknown", "of a model that the manifest is not for"],
)
def test_a_credential_of_another_model_than_the_manifest_describes(models: Mapping[str, str]) -> None:
    appraisal = appraised(GOOD, reference_manifest(GOOD), models=models)
    assert found(appraisal)[:2] == [("tre", "model-mismatch"), ("platform", "model-mismatch")]
    assert appraisal.tier is Tier.CONTRAINDICATED
    assert appraisal.accepted_svn is None


def test_every_finding_lowers_its_claim_below_affirming_with_a_value_of_the_draft() -> None:
    for code, rule in FINDINGS.items():
        assert rule.value in STANDARD_VALUES[rule.claim.value], code
        assert tier_of_claim(rule.value) in {Tier.WARNING, Tier.CONTRAINDICATED}, code
    assert set(FINDINGS) == set(FindingCode)


def test_texts_of_findings_are_harmless_and_short() -> None:
    hostile = "\x1b[31m" + "x" * 5000 + "\n"
    finding = find(FindingCode.PCR_MISMATCH, scope=Scope.TRE, subject=hostile, event=hostile, measured="")
    assert finding.subject.isprintable()
    assert finding.event is not None
    assert len(finding.event) <= 1000
    assert finding.measured is None


def test_the_policy_digest_changes_with_every_part() -> None:
    changed: list[dict[str, Any]] = [
        {"pcr_selections": {SHA256: (0,)}},
        {"clock_grace": timedelta(0)},
        {"result_life": timedelta(seconds=1)},
    ]
    digests = {POLICY.digest, *(replace(POLICY, **each).digest for each in changed)}
    assert len(digests) == 4
    assert POLICY.id.startswith("ni:///sha-256;")
