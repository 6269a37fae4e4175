"""Step 6 of a validation: what the verified evidence says about the state of the platform. Pure.

Rule: default deny. Only what a reference value of the signed manifest confirms is affirmed; what has no reference
value is at most `warning`; what contradicts one is contraindicated. An honest "no" is a value, never an exception.
The two scopes are judged apart (R69); `deviations` says to which of them a deviating PCR belongs. The TRE is measured
by the platform, so it is not affirmed while the platform is not.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType

from messages.runtime_policy import VerifiedRuntimePolicy
from pva.appraisal.boot_events import BootEvents
from pva.appraisal.continuity import DeviceHistory, Sighting, changes
from pva.appraisal.deviations import NO_EVENT, deviation_findings
from pva.appraisal.findings import Claim, FindingCode, Scope, find, vector
from pva.appraisal.ima_findings import ima_findings
from pva.appraisal.manifest_chain import Validity, Window
from pva.appraisal.policy import AppraisalPolicy
from pva.appraisal.quote import PlatformQuote
from pva.appraisal.secure_boot import secure_boot_findings
from standards.boot_log.algorithms import BANKS
from standards.boot_log.measured import KERNEL_COMMAND_LINE_PCR
from standards.rats.ar4si import Tier, tier_of
from standards.rats.corim import Manifest
from standards.rats.ear import Finding

_AFFIRMED: Mapping[Scope, Mapping[Claim, int]] = {
    Scope.TRE: {
        Claim.INSTANCE_IDENTITY: 2,
        Claim.HARDWARE: 2,
        Claim.STORAGE_OPAQUE: 2,
        Claim.CONFIGURATION: 2,
        Claim.EXECUTABLES: 3,
    },
    Scope.PLATFORM: {
        Claim.INSTANCE_IDENTITY: 2,
        Claim.HARDWARE: 2,
        Claim.CONFIGURATION: 2,
        Claim.EXECUTABLES: 3,
    },
}
"""Claims of a scope without findings (AR4SI: 2 recognised / approved, 3 approved boot).

Supplier's credential over the EK's chain: instance-identity, hardware; registers: configuration, executables; keys that the
TPM holds: storage-opaque. Nothing is claimed of runtime-opaque and sourced-data.
"""

_RUNNING: Mapping[Claim, int] = {Claim.EXECUTABLES: 2, Claim.FILE_SYSTEM: 2}
"""What a runtime policy confirms of the platform, where every measured file is allowed: what ran since the boot, too."""
UNIFIED_IMAGE_PCRS = (4, 11, 12)
"""What fixes the command line of a unified kernel image: the image that ran, its sections, and nothing put in their place
(systemd-stub(7), "TPM PCR Notes"). Programs can extend PCR 11 and 12 later; the image in PCR 4 they cannot reach."""
_VERDICTS_KEPT = 256
_OF_FILES = frozenset(code.value for code in FindingCode if code.value.startswith("ima-"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceManifest:
    """A manifest as imported: its content, the SHA-256 of its signed form, and what its supplier may certify.

    `validity` is when it describes an approved state, by itself and by its successors; `permitted_models` is the name of a model -> hwType of its devices, as recognised now; `runtime` the policy of what may
    run on the device that is judged, where its supplier gave one.
    """

    manifest: Manifest
    digest: bytes
    permitted_models: Mapping[str, str]
    validity: Validity
    runtime: VerifiedRuntimePolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraisal:
    """The verdict: findings, a trustworthiness vector and tier a scope, and what it was judged against.

    `accepted_svn` is the manifest's security version when nothing was contraindicated and its window is open; `runtime`
    whether the files that ran were judged by a runtime policy.
    """

    at: datetime
    policy: AppraisalPolicy
    quote: PlatformQuote
    findings: tuple[Finding, ...]
    vectors: Mapping[Scope, Mapping[str, int]]
    tiers: Mapping[Scope, Tier]
    reference: ReferenceManifest | None
    accepted_svn: int | None
    runtime: bool

    @property
    def window_ends_at(self) -> datetime | None:
        """When the manifest's window closes, by itself or by a successor, where it closes after this verdict."""
        closes_at = None if self.reference is None else self.reference.validity.ends_at
        return None if closes_at is None or closes_at <= self.at else closes_at

    @property
    def tier(self) -> Tier:
        """The worst tier of all scopes."""
        return max(self.tiers.values())


def appraise(
    quote: PlatformQuote,
    *,
    boot: BootEvents,
    reference: ReferenceManifest | None,
    history: DeviceHistory | None,
    seen: Sighting,
    policy: AppraisalPolicy,
) -> Appraisal:
    """Judge a verified quote and its replayed events against the reference values and the device's history.

    `reference` is the manifest that the Platform Credential names or a successor (`pva.appraisal.reference_choice`), or None where
    this PVA does not hold it.
    """
    found = list(changes(history, seen, clock_grace=policy.clock_grace))
    if reference is None:
        found += [
            find(FindingCode.NO_REFERENCE_MANIFEST, scope=scope, subject="reference manifest")
            for scope in Scope
        ]
    else:
        found += _manifest_findings(reference, seen=seen)
        found += _register_findings(quote, boot=boot, manifest=reference.manifest)
        found += _tre_image_findings(quote, boot=boot, manifest=reference.manifest)
    found += secure_boot_findings(boot, manifest=None if reference is None else reference.manifest)
    found += ima_findings(boot, asked=policy.ima, runtime=None if reference is None else reference.runtime)
    runtime = boot.ima is not None and reference is not None and reference.runtime is not None
    return _verdict(quote, findings=found, reference=reference, policy=policy, at=seen.at, runtime=runtime)


def with_findings(appraisal: Appraisal, findings: Sequence[Finding]) -> Appraisal:
    """The verdict with more findings: the same or worse, never better."""
    before = [each for each in appraisal.findings if each.code != FindingCode.PLATFORM_NOT_AFFIRMED.value]
    return _verdict(
        appraisal.quote,
        findings=[*before, *findings],
        reference=appraisal.reference,
        policy=appraisal.policy,
        at=appraisal.at,
        runtime=appraisal.runtime,
    )


def for_recovery(appraisal: Appraisal) -> Appraisal:
    """The verdict about a platform whose credential is on hold: at most `warning`, whatever the state.

    The state was judged before: where the hold is the only finding, it is as it should be.
    """
    findings = (
        *appraisal.findings,
        *(
            find(FindingCode.CREDENTIAL_ON_HOLD, scope=scope, subject="Platform Credential")
            for scope in Scope
        ),
    )
    vectors, tiers = _judged(_codes(findings), runtime=False)
    return replace(appraisal, findings=findings, vectors=vectors, tiers=tiers)


def _manifest_findings(reference: ReferenceManifest, *, seen: Sighting) -> Iterator[Finding]:
    """Whether the manifest may be used, for this model of device, and now (A25)."""
    manifest, at = reference.manifest, seen.at
    permitted = reference.permitted_models
    described = [permitted.get(model) for model in manifest.models]
    forbidden = sorted(set(manifest.models) - permitted.keys()) if None in described else []
    if not forbidden and seen.hw_type in described and reference.validity.window(at) is Window.OPEN:
        return
    for scope in Scope:
        if forbidden:
            yield find(
                FindingCode.MODEL_NOT_PERMITTED,
                scope=scope,
                subject=f"models of manifest {manifest.id!r}",
                expected=", ".join(reference.permitted_models) or "none",
                measured=", ".join(forbidden),
            )
        if seen.hw_type not in described:
            yield find(
                FindingCode.MODEL_MISMATCH,
                scope=scope,
                subject="hwType of the Platform Credential",
                expected=", ".join(sorted({each for each in described if each})) or "none",
                measured=seen.hw_type,
            )
        yield from _window_findings(reference, scope=scope, at=at)


_WINDOW_CODES: Mapping[Window, FindingCode] = {
    Window.NOT_YET: FindingCode.MANIFEST_NOT_YET_VALID,
    Window.SUPERSEDED: FindingCode.SUPERSEDED_STATE,
    Window.EXPIRED: FindingCode.MANIFEST_EXPIRED,
    Window.RETIRED: FindingCode.MANIFEST_RETIRED,
}


def _window_findings(reference: ReferenceManifest, *, scope: Scope, at: datetime) -> Iterator[Finding]:
    """Whether the state that the manifest describes is accepted now; the remedy names the release to install."""
    manifest, validity = reference.manifest, reference.validity
    code = _WINDOW_CODES.get(validity.window(at))
    if code is None:
        return
    finding = find(
        code,
        scope=scope,
        subject=f"release {manifest.release} (manifest {manifest.id!r}, svn {manifest.svn})",
        expected=f"{_moment(validity.starts_at)} to {_moment(validity.ends_at)}",
        measured=_moment(at),
    )
    newer = validity.successor
    if newer is not None and code is not FindingCode.MANIFEST_NOT_YET_VALID:
        advice = f"install release {newer.release} (manifest {newer.id!r}, svn {newer.svn})"
        finding = replace(finding, remedy=advice)
    yield finding


def _register_findings(quote: PlatformQuote, *, boot: BootEvents, manifest: Manifest) -> Iterator[Finding]:
    """Every quoted PCR against its register; indices and values come from the signed structures only."""
    for bank, values in sorted(quote.pcr_values.items()):
        references = manifest.platform.registers.get(bank, {})
        if values.items() <= references.items():
            continue  # all as expected
        deviating = {}
        for pcr, measured in sorted(values.items()):
            expected = references.get(pcr)
            if expected is None:
                yield find(
                    FindingCode.NO_REFERENCE_VALUE,
                    scope=Scope.PLATFORM,
                    subject=f"PCR {pcr} of bank {BANKS[bank].name}",
                    measured=measured.hex(),
                )
            elif expected != measured:
                deviating[pcr] = (expected, measured)
        if deviating:
            yield from deviation_findings(boot, bank=bank, registers=deviating, manifest=manifest)


def _tre_image_findings(quote: PlatformQuote, *, boot: BootEvents, manifest: Manifest) -> Iterator[Finding]:
    """The TRE image that the measured command line names, against the manifest's.

    Which measured text *is* the command line is a label that no digest covers, written by whoever carries the log:
    another image counts against the device only where the register of the command line deviates too.
    """
    bank = _strongest(quote)
    subject = "TRE image named by the measured kernel command line"
    expected = manifest.tre_image_digest
    measured = boot.tre_images(bank=bank)
    if expected is None:
        yield find(
            FindingCode.TRE_IMAGE_NO_REFERENCE,
            scope=Scope.TRE,
            subject=subject,
            measured=", ".join(measured) or None,
        )
    elif not boot.logged:
        values = quote.pcr_values[bank]
        yield from _tre_image_in_registers(quote, registers=tuple(values), bank=bank, manifest=manifest)
    elif not measured and boot.has_unified_command_line(bank=bank):
        yield from _tre_image_in_registers(quote, registers=UNIFIED_IMAGE_PCRS, bank=bank, manifest=manifest)
    elif len(measured) != 1:
        yield find(
            FindingCode.TRE_IMAGE_NOT_MEASURED,
            scope=Scope.TRE,
            subject=subject,
            expected=expected.hex(),
            measured=f"{len(measured)} images",
        )
    elif measured[0] != expected.hex():
        deviates = _command_line_deviates(quote, bank=bank, manifest=manifest)
        yield find(
            FindingCode.TRE_IMAGE_MISMATCH if deviates else FindingCode.TRE_IMAGE_UNPROVEN,
            scope=Scope.TRE,
            subject=subject,
            expected=expected.hex(),
            measured=measured[0],
        )


def _tre_image_in_registers(
    quote: PlatformQuote, *, registers: Sequence[int], bank: int, manifest: Manifest
) -> Iterator[Finding]:
    """No text names the TRE's image: it is where its supplier says that it is, in registers that all have their value.

    So it is without a log, and where the command line is a section of a unified image, of which a log has the digest alone.
    """
    values = quote.pcr_values[bank]
    references = manifest.platform.registers.get(bank, {})
    deviating = [pcr for pcr in registers if pcr not in values or references.get(pcr) != values[pcr]]
    if deviating:
        yield find(
            FindingCode.TRE_IMAGE_NOT_MEASURED,
            scope=Scope.TRE,
            subject="TRE image that the PCR values stand for",
            expected=None if manifest.tre_image_digest is None else manifest.tre_image_digest.hex(),
            measured=f"other values of PCR {', '.join(map(str, sorted(deviating)))}",
            event=NO_EVENT,
        )


def _command_line_deviates(quote: PlatformQuote, *, bank: int, manifest: Manifest) -> bool:
    value = quote.pcr_values[bank][KERNEL_COMMAND_LINE_PCR]
    return manifest.platform.registers.get(bank, {}).get(KERNEL_COMMAND_LINE_PCR, value) != value


_BELOW = find(FindingCode.PLATFORM_NOT_AFFIRMED, scope=Scope.TRE, subject="platform below the TRE")


def _verdict(
    quote: PlatformQuote,
    *,
    findings: list[Finding],
    reference: ReferenceManifest | None,
    policy: AppraisalPolicy,
    at: datetime,
    runtime: bool,
) -> Appraisal:
    """The verdict that these findings make against `reference`, at the time `at`."""
    vectors, tiers = _judged(_codes(findings), runtime=runtime)
    if tiers[Scope.PLATFORM] is not Tier.AFFIRMING:
        findings = [*findings, _BELOW]
        vectors, tiers = _judged(_codes(findings), runtime=runtime)
    accepted = (
        reference is not None
        and Tier.CONTRAINDICATED not in tiers.values()
        and reference.validity.window(at) is Window.OPEN
    )
    return Appraisal(
        at=at,
        policy=policy,
        quote=quote,
        findings=tuple(findings),
        vectors=vectors,
        tiers=tiers,
        reference=reference,
        accepted_svn=reference.manifest.svn if reference is not None and accepted else None,
        runtime=runtime,
    )


def _codes(findings: Iterable[Finding]) -> tuple[tuple[str, str], ...]:
    """Scope and code of each: all of a finding that a vector depends on."""
    return tuple([(each.scope, each.code) for each in findings])


@lru_cache(maxsize=_VERDICTS_KEPT)
def _judged(
    codes: tuple[tuple[str, str], ...], *, runtime: bool
) -> tuple[Mapping[Scope, Mapping[str, int]], Mapping[Scope, Tier]]:
    """Vector and tier of each scope, by what was found: a fleet has few such verdicts."""
    affirmed = dict(_AFFIRMED)
    if runtime and not any(code in _OF_FILES for _, code in codes):
        affirmed[Scope.PLATFORM] = {**_AFFIRMED[Scope.PLATFORM], **_RUNNING}
    vectors = {
        scope: MappingProxyType(vector(affirmed[scope], [code for of, code in codes if of == scope]))
        for scope in Scope
    }
    return MappingProxyType(vectors), MappingProxyType({scope: tier_of(of) for scope, of in vectors.items()})


def _strongest(quote: PlatformQuote) -> int:
    """The quoted bank with the longest digests, for what is read out of events."""
    banks = tuple(quote.pcr_values)
    return banks[0] if len(banks) == 1 else max(banks, key=lambda bank: BANKS[bank].size)


def _moment(at: datetime | None) -> str:
    return "open" if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"
