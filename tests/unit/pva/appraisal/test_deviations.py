"""A PCR that differs is explained by the component whose digest is another one (A21)."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pva.appraisal.appraisal import Appraisal
from pva.appraisal.findings import Scope
from standards.boot_log.algorithms import BANKS
from standards.boot_log.encode import Measurement
from standards.boot_log.replay import replay
from standards.rats.ar4si import Tier
from standards.rats.corim import Manifest, PlatformReference, ReferenceEvent
from standards.rats.ear import Finding
from tests.fakes.attesting_device import SHA256, AttestingDevice, decoded, measurements
from tests.fakes.pva_world import reference_manifest
from tests.unit.pva.appraisal.appraisals import GOOD, appraised, booted
from tests.unit.standards.boot_log.boot_chains import GRUB, STUB, command, file, wide

PCRS = {SHA256: (0, 4, 5, 7, 8, 9, 11, 12, 13)}
FIRMWARE = tuple(each for each in measurements() if each.pcr in (0, 7))


def digest_of(part: Measurement) -> bytes:
    return BANKS[SHA256].digest(part.data if part.measured is None else part.measured)


def manifest_of(boot: Sequence[Measurement], *, tre_events: Sequence[Measurement] = ()) -> Manifest:
    """The manifest of a boot; `tre_events` are of the scope `tre`."""
    log = decoded(boot)
    registers = dict.fromkeys(PCRS[SHA256], bytes(32)) | replay(log, bank=SHA256)
    of_the_tre = {digest_of(each) for each in tre_events}
    events = [
        ReferenceEvent(
            pcr=pcr,
            position=position,
            digest={SHA256: event.digests[SHA256]},
            name=f"event {position} of PCR {pcr}",
            scope="tre" if event.digests[SHA256] in of_the_tre else "platform",
        )
        for pcr in registers
        for position, event in enumerate(log.extended_into(pcr))
    ]
    platform = PlatformReference(registers={SHA256: registers})
    return replace(reference_manifest(GOOD, tre_image_digest=None), platform=platform, events=tuple(events))


def changed(boot: Sequence[Measurement], place: int) -> AttestingDevice:
    parts = [replace(each, measured=b"another") if each is boot[place] else each for each in boot]
    return booted(*FIRMWARE, *parts)


def judged(
    device: AttestingDevice, boot: Sequence[Measurement], *, tre_events: Sequence[Measurement] = ()
) -> Appraisal:
    manifest = manifest_of((*FIRMWARE, *boot), tre_events=tre_events)
    return appraised(device, manifest, selections=PCRS)


def components(appraisal: Appraisal) -> list[Finding]:
    names = ("boot-loader", "kernel", "initrd", "command-line")
    return [each for each in appraisal.findings if each.code.removesuffix("-mismatch") in names]


GRUB_PARTS = {
    "shim": (1, "boot-loader-mismatch", "boot loader"),
    "grub": (2, "boot-loader-mismatch", "boot loader"),
    "kernel file": (5, "kernel-mismatch", "kernel '/boot/os-6.1'"),
    "kernel image": (6, "kernel-mismatch", "kernel 'without a path'"),
    "command line": (7, "command-line-mismatch", "command line"),
    "first initrd": (9, "initrd-mismatch", "initrd '/boot/early.img'"),
    "second initrd": (10, "initrd-mismatch", "initrd '(hd0,gpt2)/boot/main.img'"),
    "load options": (11, "command-line-mismatch", "command line 'LOADED_IMAGE::LoadOptions'"),
    "loaded initrd": (12, "initrd-mismatch", "initrd 'Linux initrd'"),
}
STUB_PARTS = {
    "systemd-boot": (0, "boot-loader-mismatch", "boot loader"),
    "unified kernel image": (2, "kernel-mismatch", "kernel"),
    "section .linux": (4, "kernel-mismatch", "kernel '.linux'"),
    "section .cmdline": (8, "command-line-mismatch", "command line '.cmdline'"),
    "section .initrd": (10, "initrd-mismatch", "initrd '.initrd'"),
    "command line": (23, "command-line-mismatch", "command line"),
    "initrd add-on": (26, "initrd-mismatch", "initrd 'extra.initrd'"),
}


def check_named(boot: Sequence[Measurement], part: tuple[int, str, str]) -> None:
    place, code, subject = part
    appraisal = judged(changed(boot, place), boot)
    (finding,) = components(appraisal)
    assert (finding.code, finding.scope) == (code, "platform")
    assert finding.subject.startswith(subject)
    assert f"PCR {boot[place].pcr} of bank sha256" in finding.subject
    assert finding.expected == digest_of(boot[place]).hex()
    assert finding.measured == BANKS[SHA256].digest(b"another").hex()
    assert appraisal.tiers[Scope.PLATFORM] is Tier.CONTRAINDICATED


@pytest.mark.check("A21")
@pytest.mark.parametrize("boot", [GRUB, STUB], ids=["grub", "systemd-stub"])
def test_a_boot_as_its_manifest_describes_it_has_no_finding(boot: Sequence[Measurement]) -> None:
    appraisal = judged(booted(*FIRMWARE, *boot), boot)
    assert [each.code for each in appraisal.findings] == ["tre-image-no-reference"]
    assert appraisal.tiers[Scope.PLATFORM] is Tier.AFFIRMING


@pytest.mark.negative
@pytest.mark.check("A21")
@pytest.mark.requirement("R94")
@pytest.mark.parametrize("part", GRUB_PARTS)
def test_another_component_of_a_grub_boot_is_named(part: str) -> None:
    check_named(GRUB, GRUB_PARTS[part])


@pytest.mark.negative
@pytest.mark.check("A21")
@pytest.mark.requirement("R94")
@pytest.mark.parametrize("part", STUB_PARTS)
def test_another_component_of_a_unified_kernel_image_is_named(part: str) -> None:
    check_named(STUB, STUB_PARTS[part])


@pytest.mark.negative
@pytest.mark.check("A21")
@pytest.mark.parametrize(
    ("boot", "place", "code"),
    [
        (GRUB, 0, "configuration-pcr-mismatch"),
        (GRUB, 3, "pcr-mismatch"),
        (GRUB, 4, "configuration-pcr-mismatch"),
        (STUB, 1, "configuration-pcr-mismatch"),
        (STUB, 3, "pcr-mismatch"),
        (STUB, 6, "pcr-mismatch"),
        (STUB, 24, "configuration-pcr-mismatch"),
        (STUB, 27, "pcr-mismatch"),
    ],
    ids=["GPT", "grub.cfg", "grub_cmd", "loader.conf", "name", ".osrel", "credentials", "extension"],
)
def test_what_is_no_such_component_is_still_a_deviation(
    boot: Sequence[Measurement], place: int, code: str
) -> None:
    appraisal = judged(changed(boot, place), boot)
    register = appraisal.findings[0]
    assert (register.code, register.subject) == (code, f"PCR {boot[place].pcr} of bank sha256")
    assert register.event is not None
    assert appraisal.tiers[Scope.PLATFORM] is Tier.CONTRAINDICATED


@pytest.mark.negative
@pytest.mark.check("A21")
def test_one_event_more_accuses_nothing_that_came_after_it() -> None:
    surplus = file("/boot/grub/custom.cfg", b"custom")
    boot = [*GRUB[:4], surplus, *GRUB[4:]]
    appraisal = judged(booted(*FIRMWARE, *boot), GRUB)
    assert components(appraisal) == []
    assert appraisal.findings[0].subject == "PCR 9 of bank sha256"
    assert "custom.cfg" in (appraisal.findings[0].event or "")
    assert "expected no event" in (appraisal.findings[0].event or "")


@pytest.mark.negative
@pytest.mark.check("A21")
def test_a_component_that_no_manifest_expects_is_named_without_an_expected_value() -> None:
    surplus = wide(12, "init=/bin/sh")
    boot = [*STUB[:24], surplus, *STUB[24:]]
    (finding,) = components(judged(booted(*FIRMWARE, *boot), STUB))
    assert (finding.code, finding.expected) == ("command-line-mismatch", None)
    assert "init=/bin/sh" in (finding.event or "")


@pytest.mark.negative
@pytest.mark.check("A21")
def test_components_in_another_order_are_not_other_components() -> None:
    swapped = [*GRUB[:9], GRUB[10], GRUB[9], *GRUB[11:]]
    appraisal = judged(booted(*FIRMWARE, *swapped), GRUB)
    assert components(appraisal) == []
    assert appraisal.tiers[Scope.PLATFORM] is Tier.CONTRAINDICATED


@pytest.mark.negative
@pytest.mark.check("A21")
def test_of_many_strange_initrds_one_is_reported() -> None:
    strange = [file(f"/initrd.{number}", b"strange %d" % number) for number in range(40)]
    appraisal = judged(booted(*FIRMWARE, *GRUB[:5], *strange), GRUB)
    assert [each.code for each in components(appraisal)].count("initrd-mismatch") == 1


@pytest.mark.negative
@pytest.mark.check("A21")
@pytest.mark.requirement("R69")
def test_a_component_is_reported_in_the_scope_that_its_event_has() -> None:
    appraisal = judged(changed(GRUB, 7), GRUB, tre_events=[GRUB[7]])
    (finding,) = components(appraisal)
    assert (finding.code, finding.scope) == ("command-line-mismatch", "tre")
    assert appraisal.tiers[Scope.PLATFORM] is Tier.AFFIRMING


@pytest.mark.negative
@pytest.mark.check("A21")
@pytest.mark.requirement("R69")
def test_a_command_before_the_command_line_leaves_the_tre_alone() -> None:
    boot = [*GRUB[:4], command("set debug=all"), *GRUB[4:]]
    appraisal = judged(booted(*FIRMWARE, *boot), GRUB, tre_events=[GRUB[7]])
    codes = {(each.scope, each.code) for each in appraisal.findings}
    assert ("platform", "configuration-pcr-mismatch") in codes
    assert not any(scope == "tre" and code.endswith("mismatch") for scope, code in codes)


@pytest.mark.negative
@pytest.mark.check("A19")
@pytest.mark.check("A21")
def test_a_label_that_the_carrier_changed_makes_no_deviation() -> None:
    """Whatever the events of a good boot are called, their digests are the reference values."""
    relabelled = [
        replace(each, data=b"kernel_cmdline: evil\x00", measured=each.measured) for each in GRUB[1:]
    ]
    appraisal = judged(booted(*FIRMWARE, GRUB[0], *relabelled), GRUB)
    assert appraisal.tiers[Scope.PLATFORM] is Tier.AFFIRMING
