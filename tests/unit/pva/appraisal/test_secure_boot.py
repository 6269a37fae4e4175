"""Secure Boot in the appraisal: findings where the manifest does not confirm PCR 7 (A20)."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

import pytest

from pva.appraisal.appraisal import Appraisal
from pva.appraisal.boot_events import replay_boot_log
from pva.appraisal.findings import Scope
from pva.appraisal.secure_boot import secure_boot_findings
from standards.boot_log.algorithms import SHA384
from standards.boot_log.encode import Measurement, build_event_log, encode_event_log
from standards.boot_log.events import EV_SEPARATOR
from standards.boot_log.payloads import signature_data
from standards.boot_log.replay import replay
from standards.boot_log.secure_boot import SHIM_LOCK
from standards.rats.ar4si import Tier
from standards.rats.corim import Manifest, PlatformReference
from tests.fakes.attesting_device import SHA256, AttestingDevice, measurements
from tests.fakes.pva_world import reference_manifest
from tests.unit.pva.appraisal.appraisals import appraised, booted, found
from tests.unit.standards.boot_log.secure_boots import (
    DBX_VARIABLE,
    FIRMWARE_AUTHORITY,
    OWNER,
    PK,
    POLICY,
    SBAT,
    SHIM_AUTHORITY,
    authority,
    separator,
    variable,
)

GOOD_PCR_7 = (*POLICY, separator(), FIRMWARE_AUTHORITY, SBAT, SHIM_AUTHORITY)
STRANGER = authority(signature_data(OWNER, b"a stranger's certificate"))


def device(pcr_7: Sequence[Measurement]) -> AttestingDevice:
    """A device whose other registers are always the same."""
    rest = [each for each in measurements() if each.pcr != 7]
    return booted(*rest, *pcr_7)


def without_pcr_7(manifest: Manifest) -> Manifest:
    registers = {pcr: value for pcr, value in manifest.platform.registers[SHA256].items() if pcr != 7}
    events = tuple(each for each in manifest.events if each.pcr != 7)
    return replace(manifest, events=events, platform=PlatformReference(registers={SHA256: registers}))


def judged(pcr_7: Sequence[Measurement], *, referenced: bool = False) -> Appraisal:
    """Against a manifest that says nothing about PCR 7, or that describes the good one."""
    good = reference_manifest(device(GOOD_PCR_7))
    return appraised(device(pcr_7), good if referenced else without_pcr_7(good))


def codes(appraisal: Appraisal) -> list[str]:
    return [code for _, code in found(appraisal) if code.startswith("secure-boot")]


def test_a_good_pcr_7_without_reference_value_gets_no_finding_of_its_own() -> None:
    appraisal = judged(GOOD_PCR_7)
    assert found(appraisal) == [("platform", "no-reference-value"), ("tre", "platform-not-affirmed")]


BAD = {
    "secure-boot-disabled": [variable("SecureBoot", b"\x00"), *GOOD_PCR_7[1:]],
    "secure-boot-variable-missing": [each for each in GOOD_PCR_7 if each is not DBX_VARIABLE],
    "secure-boot-variable-repeated": [PK, *GOOD_PCR_7],
    "secure-boot-variable-after-separator": [*GOOD_PCR_7, PK],
    "secure-boot-separator-wrong": [*POLICY, separator(b"\xff" * 4), FIRMWARE_AUTHORITY],
    "secure-boot-database-malformed": [*POLICY[:2], variable("KEK", b"no list"), *GOOD_PCR_7[3:]],
    "secure-boot-authority-not-in-db": [*GOOD_PCR_7, STRANGER],
    "secure-boot-not-proven": [replace(POLICY[0], measured=b"something else"), *GOOD_PCR_7[1:]],
}


@pytest.mark.negative
@pytest.mark.check("A20")
@pytest.mark.parametrize("code", BAD)
def test_a_pcr_7_that_is_wrong_in_one_respect_gets_that_finding(code: str) -> None:
    appraisal = judged(BAD[code])
    assert codes(appraisal) == [code]
    finding = next(each for each in appraisal.findings if each.code == code)
    assert (finding.scope, finding.expected is None, finding.measured is None) == ("platform", False, False)
    assert "PCR 7 of bank sha256" in finding.subject
    proven = code not in {"secure-boot-disabled", "secure-boot-not-proven"}
    assert appraisal.tiers[Scope.PLATFORM] is (Tier.CONTRAINDICATED if proven else Tier.WARNING)
    assert appraisal.tiers[Scope.TRE] is Tier.WARNING


@pytest.mark.negative
@pytest.mark.check("A20")
@pytest.mark.parametrize("code", BAD)
def test_a_pcr_7_that_differs_from_its_reference_is_explained(code: str) -> None:
    appraisal = judged(BAD[code], referenced=True)
    assert ("platform", "configuration-pcr-mismatch") in found(appraisal)
    assert codes(appraisal) == [code]
    assert appraisal.tiers[Scope.PLATFORM] is Tier.CONTRAINDICATED


@pytest.mark.check("A20")
@pytest.mark.parametrize("code", BAD)
def test_a_pcr_7_that_the_manifest_confirms_is_what_its_supplier_approved(code: str) -> None:
    approved = device(BAD[code])
    appraisal = appraised(approved, reference_manifest(approved))
    assert found(appraisal) == []
    assert appraisal.tier is Tier.AFFIRMING


@pytest.mark.negative
@pytest.mark.check("A20")
def test_without_a_manifest_secure_boot_is_judged_all_the_same() -> None:
    appraisal = appraised(device([*GOOD_PCR_7, STRANGER]), None)
    assert codes(appraisal) == ["secure-boot-authority-not-in-db"]
    assert appraisal.tiers[Scope.PLATFORM] is Tier.CONTRAINDICATED


@pytest.mark.negative
@pytest.mark.check("A20")
def test_a_platform_that_measures_no_secure_boot_is_a_warning() -> None:
    appraisal = judged([separator()])
    assert codes(appraisal) == ["secure-boot-disabled"]
    assert appraisal.tiers[Scope.PLATFORM] is Tier.WARNING


@pytest.mark.negative
@pytest.mark.check("A20")
def test_a_shim_that_validates_nothing_is_as_good_as_no_secure_boot() -> None:
    appraisal = judged([*GOOD_PCR_7, authority(b"\x01", name="MokSBState", vendor=SHIM_LOCK)])
    assert codes(appraisal) == ["secure-boot-disabled"]
    assert "MokSBState" in appraisal.findings[-2].subject


@pytest.mark.negative
@pytest.mark.check("A19")
@pytest.mark.check("A20")
@pytest.mark.parametrize("place", range(len(GOOD_PCR_7)))
def test_whoever_carries_the_log_cannot_make_a_device_look_compromised(place: int) -> None:
    """Data spoiled, type changed: the log still replays, and the platform is a warning at most."""
    good = GOOD_PCR_7[place]
    spoiled = replace(good, data=b"spoiled", measured=good.data)
    retyped = replace(good, type=EV_SEPARATOR)
    for edited in (spoiled, retyped):
        pcr_7 = [edited if each is good else each for each in GOOD_PCR_7]
        assert judged(pcr_7).tiers[Scope.PLATFORM] is Tier.WARNING


@pytest.mark.negative
def test_many_violations_give_few_findings() -> None:
    strangers = [authority(signature_data(OWNER, bytes([number]) * 40)) for number in range(50)]
    unreadable = [replace(PK, measured=bytes([number])) for number in range(50)]
    again = list(chain.from_iterable((PK, DBX_VARIABLE) for _ in range(50)))
    appraisal = judged([*POLICY, *again, separator(), *strangers, *unreadable])
    assert sorted(codes(appraisal)) == [
        "secure-boot-authority-not-in-db",
        "secure-boot-not-proven",
        "secure-boot-variable-repeated",
        "secure-boot-variable-repeated",
    ]


@pytest.mark.check("A20")
def test_pcr_7_is_read_only_where_it_was_quoted() -> None:
    appraisal = appraised(device([STRANGER]), None, selections={SHA256: (0, 4)})
    assert codes(appraisal) == []


@pytest.mark.check("A20")
@pytest.mark.parametrize(
    ("confirmed", "contradicted", "expected"),
    [((SHA256,), (), 0), ((), (), 1), ((SHA256,), (SHA384,), 1), ((SHA256, SHA384), (), 0)],
    ids=["one bank confirmed", "none known", "one contradicted", "both confirmed"],
)
def test_one_confirmed_bank_speaks_for_the_others_unless_they_contradict(
    confirmed: tuple[int, ...], contradicted: tuple[int, ...], expected: int
) -> None:
    log = build_event_log([*GOOD_PCR_7, STRANGER], algorithms=(SHA256, SHA384))
    quoted = {bank: {7: replay(log, bank=bank)[7]} for bank in (SHA256, SHA384)}
    boot = replay_boot_log(encode_event_log(log), quoted=quoted)
    registers = {bank: quoted[bank] for bank in confirmed} | {
        bank: {7: b"\x01" * 48} for bank in contradicted
    }
    manifest = replace(
        reference_manifest(device(GOOD_PCR_7)), platform=PlatformReference(registers=registers)
    )
    assert len(list(secure_boot_findings(boot, manifest=manifest))) == expected
