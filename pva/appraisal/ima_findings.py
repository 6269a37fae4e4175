"""What the proven IMA measurements say about the running platform (A22). Pure.

Rule: findings of the scope `platform` only. What the list's carrier can bring about by leaving something out is never
worse than a warning; a contradiction is one that the AK has signed. Names are shown escaped: who may name a file on the
device must not be able to write a finding.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from messages.runtime_policy import VerifiedRuntimePolicy
from pva.appraisal.boot_events import BootEvents
from pva.appraisal.continuity import ImaProgress
from pva.appraisal.findings import TEXT_MAX, FindingCode, Scope, find
from pva.appraisal.ima_log import IMA_BANK, ImaMeasurement, ImaMeasurements
from pva.appraisal.quote import PlatformQuote
from standards.boot_log.algorithms import SHA256
from standards.ima.entries import IMA_PCR
from standards.ima.errors import ImaError
from standards.ima.file_signatures import verify_file_signature
from standards.ima.measured import BOOT_AGGREGATE, Measured, shown_name
from standards.ima.replay import boot_aggregate
from standards.rats.ear import Cause, Finding

SHOWN_MAX = 8
"""Names that one finding shows, and findings about single files."""

_CODES = frozenset(
    {
        FindingCode.IMA_LOG_MISSING,
        FindingCode.IMA_BOOT_AGGREGATE_MISMATCH,
        FindingCode.IMA_BOOT_AGGREGATE_UNPROVEN,
        FindingCode.IMA_VIOLATION,
        FindingCode.IMA_FILE_NOT_ALLOWED,
        FindingCode.IMA_SIGNATURE_INVALID,
    }
)
_REGISTERS = (10, 8)
"""Registers under a boot_aggregate: those of today's kernels, then of kernels before 5.8."""


def ima_findings(
    boot: BootEvents, *, asked: bool, runtime: VerifiedRuntimePolicy | None
) -> Iterator[Finding]:
    """Findings about the list that came with the evidence; about its absence where it was `asked` for.

    Without a runtime policy the files themselves are not judged, and not affirmed either.
    """
    if boot.ima is not None:
        if boot.ima.whole:
            yield from _boot_findings(boot.ima, registers=boot.quoted.get(SHA256, {}))
        yield from _violation_findings(boot.ima)
        if runtime is not None:
            yield from _file_findings(boot.ima, runtime=runtime)
    elif asked:
        yield find(FindingCode.IMA_LOG_MISSING, scope=Scope.PLATFORM, subject="IMA list")


def ima_progress(
    ima: ImaMeasurements | None, *, findings: Sequence[Finding], quote: PlatformQuote, policy: bytes
) -> ImaProgress | None:
    """How far the list is known from now on; None unless it came and nothing was found in it."""
    if ima is None or not ima.reached.count or any(each.code in _CODES for each in findings):
        return None
    clock = quote.clock_info
    return ImaProgress(
        count=ima.reached.count,
        value=ima.reached.value,
        reset_count=clock.reset_count,
        restart_count=clock.restart_count,
        policy=policy,
    )


def _boot_findings(ima: ImaMeasurements, *, registers: Mapping[int, bytes]) -> Iterator[Finding]:
    """Whether the first record is of the boot that was quoted."""
    first = None if ima.first is None or ima.first.violation else ima.first.measured
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
    """That there were violations is proven, which files they are about is a hint: it is not what was extended."""
    violations = ima.violations
    if violations:
        rest = len(violations) - SHOWN_MAX
        shown = "; ".join(_shown(each) for each in violations[:SHOWN_MAX])
        yield find(
            FindingCode.IMA_VIOLATION,
            scope=Scope.PLATFORM,
            subject=f"{len(violations)} violations in the IMA list",
            expected="none",
            measured=shown + (f"; and {rest} more" if rest > 0 else ""),
        )


def _shown(measurement: ImaMeasurement) -> str:
    return f"entry {measurement.number}, logged as {shown_name(measurement.measured.name or b'')[:100]}"


def _file_findings(ima: ImaMeasurements, *, runtime: VerifiedRuntimePolicy) -> Iterator[Finding]:
    """Files that neither the policy lists with this digest nor a key of its keyring signed; violations are told apart.

    Judging ends with the first file beyond `SHOWN_MAX`, and each signature is verified once: who fills a list with bad
    signatures, or repeats a good one under many names, does not make this PVA compute for long.
    """
    found = 0
    signed: dict[tuple[bytes, bytes], bool] = {}
    boot_record = _boot_record(ima)
    for each in ima.unlike(runtime.measurements):
        if each.violation or each.number == boot_record:
            continue
        code = _judge(each.measured, runtime, signed=signed)
        if code is not None:
            found += 1
            if found > SHOWN_MAX:
                subject = f"entry {each.number} of the IMA list; what follows it is not judged any more"
                yield find(code, scope=Scope.PLATFORM, subject=subject)
                return
            yield _file_finding(each, code, runtime=runtime)


def _boot_record(ima: ImaMeasurements) -> int | None:
    """Number of the boot_aggregate at the head of the list, which is judged against the quote."""
    first = ima.first if ima.whole else None
    return None if first is None or first.measured.name != BOOT_AGGREGATE else first.number


def _judge(
    measured: Measured, runtime: VerifiedRuntimePolicy, *, signed: dict[tuple[bytes, bytes], bool]
) -> FindingCode | None:
    """What is wrong with a file; `signed` remembers the signatures that were verified before."""
    digest = measured.digest or b""
    if measured.algorithm == IMA_BANK and digest in _allowed(measured, runtime):
        return None
    if not measured.signature or not runtime.keyring:
        return FindingCode.IMA_FILE_NOT_ALLOWED
    known = (measured.signature, digest)
    if known not in signed:
        signed[known] = _is_signed(measured, runtime)
    return None if signed[known] else FindingCode.IMA_SIGNATURE_INVALID


def _allowed(measured: Measured, runtime: VerifiedRuntimePolicy) -> frozenset[bytes]:
    return runtime.policy.files.get(measured.name or b"", frozenset())


def _is_signed(measured: Measured, runtime: VerifiedRuntimePolicy) -> bool:
    try:
        verify_file_signature(
            measured.signature,
            algorithm=measured.algorithm or "",
            digest=measured.digest or b"",
            keyring=runtime.keyring,
        )
    except ImaError:
        return False
    return True


def _file_finding(
    measurement: ImaMeasurement, code: FindingCode, *, runtime: VerifiedRuntimePolicy
) -> Finding:
    measured = measurement.measured
    allowed = _allowed(measured, runtime)
    finding = find(
        code,
        scope=Scope.PLATFORM,
        subject=f"file {shown_name(measured.name or b'')}",
        expected=" or ".join(sorted(each.hex() for each in allowed)) or "no file at this path",
        measured=f"{measured.algorithm} {(measured.digest or b'').hex()}",
        event=f"entry {measurement.number} of the IMA list",
    )
    described = (finding.subject.removeprefix("file ") or "without a name")[:TEXT_MAX]
    cause = Cause(register=IMA_PCR, number=measurement.number, type="IMA entry", description=described)
    return replace(finding, cause=cause)
