"""What the proven IMA measurements say about the running platform (A22). Pure.

Rule: findings of the scope `platform` only. What the list's carrier can bring about by leaving something out is never
worse than a warning; a contradiction is one that the AK has signed. Names are shown escaped: who may name a file on the
device must not be able to write a finding.
"""

from collections.abc import Iterator, Mapping

from pva.boot_events import BootEvents
from pva.findings import FindingCode, Scope, find
from pva.ima_log import IMA_BANK, ImaMeasurement, ImaMeasurements
from standards.boot_log.algorithms import SHA256
from standards.ima.measured import BOOT_AGGREGATE, shown_name
from standards.ima.replay import boot_aggregate
from standards.rats.ear import Finding

SHOWN_MAX = 8
"""Names that one finding shows."""

_REGISTERS = (10, 8)
"""Registers under a boot_aggregate: those of today's kernels, then of kernels before 5.8."""


def ima_findings(boot: BootEvents, *, asked: bool) -> Iterator[Finding]:
    """Findings about the list that came with the evidence; about its absence where it was `asked` for."""
    if boot.ima is not None:
        yield from _boot_findings(boot.ima, registers=boot.quoted.get(SHA256, {}))
        yield from _violation_findings(boot.ima)
    elif asked:
        yield find(FindingCode.IMA_LOG_MISSING, scope=Scope.PLATFORM, subject="IMA list")


def _boot_findings(ima: ImaMeasurements, *, registers: Mapping[int, bytes]) -> Iterator[Finding]:
    """Whether the first record is of the boot that was quoted."""
    first = None if ima.first is None else ima.first.measured
    expected = [boot_aggregate(registers, bank=IMA_BANK, registers=count) for count in _REGISTERS]
    if first is None or (first.name, first.algorithm) != (BOOT_AGGREGATE, IMA_BANK):
        yield find(
            FindingCode.IMA_BOOT_AGGREGATE_UNPROVEN,
            scope=Scope.PLATFORM,
            subject="first entry of the IMA list",
            expected=f"boot_aggregate of the bank {IMA_BANK}",
            measured="no entry" if first is None else f"{first.algorithm} {shown_name(first.name or b'')}",
        )
    elif first.digest not in expected:
        yield find(
            FindingCode.IMA_BOOT_AGGREGATE_MISMATCH,
            scope=Scope.PLATFORM,
            subject="boot_aggregate of the IMA list",
            expected=expected[0].hex(),
            measured=(first.digest or b"").hex(),
        )


def _violation_findings(ima: ImaMeasurements) -> Iterator[Finding]:
    violations = ima.violations
    if violations:
        rest = len(violations) - SHOWN_MAX
        shown = ", ".join(_shown(each) for each in violations[:SHOWN_MAX])
        yield find(
            FindingCode.IMA_VIOLATION,
            scope=Scope.PLATFORM,
            subject=f"{len(violations)} violations in the IMA list",
            expected="none",
            measured=shown + (f", and {rest} more" if rest > 0 else ""),
        )


def _shown(measurement: ImaMeasurement) -> str:
    return f"entry {measurement.number} {shown_name(measurement.measured.name or b'')[:100]}"
