"""Secure Boot (A20) in the appraisal: findings where the manifest does not confirm PCR 7.

Rule: a PCR 7 that equals its reference value is what the supplier approved, Secure Boot included, and gets no finding
here. Where it differs, or has no reference value, the facts say what is wrong; what only the log's text says, and no
digest covers, is at most `warning`, so that whoever carries the log cannot make a device look compromised.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from pva.appraisal.boot_events import BootEvents, cause_of
from pva.appraisal.findings import FindingCode, Scope, find
from standards.boot_log.algorithms import BANKS
from standards.boot_log.describe import describe
from standards.boot_log.secure_boot import SECURE_BOOT_PCR
from standards.boot_log.secure_boot_facts import SECURE_BOOT, SecureBootFacts, Violation, ViolationKind
from standards.rats.corim import Manifest
from standards.rats.ear import Finding

_CODES = MappingProxyType(
    {
        ViolationKind.MISSING: FindingCode.SECURE_BOOT_VARIABLE_MISSING,
        ViolationKind.REPEATED: FindingCode.SECURE_BOOT_VARIABLE_REPEATED,
        ViolationKind.AFTER_SEPARATOR: FindingCode.SECURE_BOOT_VARIABLE_LATE,
        ViolationKind.SEPARATOR: FindingCode.SECURE_BOOT_SEPARATOR_WRONG,
        ViolationKind.DATABASE: FindingCode.SECURE_BOOT_DATABASE_MALFORMED,
        ViolationKind.AUTHORITY: FindingCode.SECURE_BOOT_AUTHORITY_UNKNOWN,
    }
)


def secure_boot_findings(boot: BootEvents, *, manifest: Manifest | None) -> Iterator[Finding]:
    """Findings about PCR 7 in the strongest quoted bank that the manifest contradicts, or else does not know."""
    bank = _open_bank(boot.quoted, registers={} if manifest is None else manifest.platform.registers)
    if bank is None:
        return
    facts = boot.secure_boot(bank=bank)
    if facts is not None:
        place = f"PCR {SECURE_BOOT_PCR} of bank {BANKS[bank].name}"
        yield from _disabled(facts, place=place)
        yield from _violations(facts, boot=boot, place=place)


def _open_bank(
    quoted: Mapping[int, Mapping[int, bytes]], *, registers: Mapping[int, Mapping[int, bytes]]
) -> int | None:
    """The bank to read, or None where one bank is confirmed and none contradicted, or PCR 7 was not quoted."""
    for bank, of_bank in quoted.items():
        if registers.get(bank, {}).get(SECURE_BOOT_PCR) != of_bank.get(SECURE_BOOT_PCR):
            break
    else:
        return None  # confirmed in every bank, or not quoted
    values = {bank: each[SECURE_BOOT_PCR] for bank, each in quoted.items() if SECURE_BOOT_PCR in each}
    expected = {bank: registers.get(bank, {}).get(SECURE_BOOT_PCR) for bank in values}
    contradicted = [bank for bank in values if expected[bank] not in (None, values[bank])]
    unknown = [bank for bank in values if expected[bank] is None]
    if not contradicted and len(unknown) < len(values):
        return None
    return max(contradicted or unknown, key=lambda bank: BANKS[bank].size, default=None)


def _disabled(facts: SecureBootFacts, *, place: str) -> Iterator[Finding]:
    """Off, never measured, or on with a shim that was told to load everything."""
    value = facts.variables.get(SECURE_BOOT)
    if not facts.enabled and (value is not None or not facts.measured):
        measured = "not measured" if value is None else value.hex() or "no value"
        yield find(
            FindingCode.SECURE_BOOT_DISABLED,
            scope=Scope.PLATFORM,
            subject=f"variable {SECURE_BOOT}, {place}",
            expected="01",
            measured=measured,
        )
    if not facts.shim_validates:
        yield find(
            FindingCode.SECURE_BOOT_DISABLED,
            scope=Scope.PLATFORM,
            subject=f"shim's variable MokSBState, {place}",
            expected="00",
            measured="01",
        )


def _violations(facts: SecureBootFacts, *, boot: BootEvents, place: str) -> Iterator[Finding]:
    """The first violation of each kind and subject; one finding for all that is not proven."""
    said: set[tuple[ViolationKind, str]] = set()
    for violation in facts.violations:
        key = (violation.kind, violation.subject)
        if violation.proven and key not in said:
            said.add(key)
            yield _finding(_CODES[violation.kind], violation, boot=boot, place=place)
    unproven = [each for each in facts.violations if not each.proven]
    if unproven:
        yield _finding(FindingCode.SECURE_BOOT_NOT_PROVEN, unproven[0], boot=boot, place=place)


def _finding(code: FindingCode, violation: Violation, *, boot: BootEvents, place: str) -> Finding:
    event = next((each for each in boot.log.events if each.number == violation.event), None)
    finding = find(
        code,
        scope=Scope.PLATFORM,
        subject=f"{violation.subject}, {place}",
        expected=violation.expected,
        measured=violation.measured,
        event=None if event is None else f"event {event.number}, {describe(event)}",
    )
    return finding if event is None else replace(finding, cause=cause_of(event))
