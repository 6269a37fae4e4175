"""Step 6 of a validation: what the verified evidence says about the state of the platform. Pure.

Rule: default deny. Only what a reference value of the signed manifest confirms is affirmed; what has no reference
value is at most `warning`; what contradicts one is contraindicated. An honest "no" is a value, never an exception.
The two scopes are judged apart (R69): a deviating PCR is reported in the scope of its first deviating event, and
every other scope with a deviating event in it gets a finding of its own. The TRE is measured by the platform, so
it is not affirmed while the platform is not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

from pva.boot_events import BootEvents
from pva.continuity import DeviceHistory, Sighting, changes
from pva.findings import Claim, FindingCode, Scope, find, vector
from pva.policy import AppraisalPolicy
from pva.quote import PlatformQuote
from pva.secure_boot import secure_boot_findings
from standards.boot_log.algorithms import BANKS
from standards.boot_log.describe import describe
from standards.boot_log.events import Event
from standards.boot_log.measured import KERNEL_COMMAND_LINE_PCR
from standards.rats.ar4si import Tier, tier_of
from standards.rats.corim import Manifest, ReferenceEvent
from standards.rats.ear import Finding

CODE_PCRS = frozenset({0, 2, 4, 9})
"""PCRs of code that ran; the others hold configuration (PC Client Platform Firmware Profile, section 3.3.4)."""

_AFFIRMED: Mapping[Scope, Mapping[Claim, int]] = {
    Scope.TRE: {
        Claim.INSTANCE_IDENTITY: 2,
        Claim.HARDWARE: 2,
        Claim.STORAGE_OPAQUE: 2,
        Claim.EXECUTABLES: 3,
    },
    Scope.PLATFORM: {Claim.INSTANCE_IDENTITY: 2, Claim.CONFIGURATION: 2, Claim.EXECUTABLES: 3},
}
"""Claims of a scope without findings (AR4SI: 2 recognised / approved, 3 approved boot)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceManifest:
    """A manifest as imported: its content, the SHA-256 of its signed form, and what its supplier may certify.

    `permitted_models` is the name of a model -> hwType of its devices, as recognised now.
    """

    manifest: Manifest
    digest: bytes
    permitted_models: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Appraisal:
    """The verdict: findings, a trustworthiness vector and tier a scope, and what it was judged against.

    `accepted_svn` is the manifest's security version when nothing was contraindicated and its window is open.
    """

    at: datetime
    policy: AppraisalPolicy
    quote: PlatformQuote
    findings: tuple[Finding, ...]
    vectors: Mapping[Scope, Mapping[str, int]]
    tiers: Mapping[Scope, Tier]
    reference: ReferenceManifest | None
    accepted_svn: int | None

    @property
    def window_ends_at(self) -> datetime | None:
        """When the manifest's window closes, where it closes after this verdict."""
        closes_at = None if self.reference is None else self.reference.manifest.valid_to
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

    `reference` is the manifest that the Platform Credential names, or None where this PVA does not hold it.
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
    return _verdict(quote, findings=found, reference=reference, policy=policy, at=seen.at)


def _manifest_findings(reference: ReferenceManifest, *, seen: Sighting) -> Iterator[Finding]:
    """Whether the manifest may be used, for this model of device, and now (A25)."""
    manifest, at = reference.manifest, seen.at
    forbidden = sorted(set(manifest.models) - set(reference.permitted_models))
    described = {reference.permitted_models.get(model) for model in manifest.models}
    window = f"{_moment(manifest.valid_from)} to {_moment(manifest.valid_to)}"
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
                expected=", ".join(sorted(each for each in described if each)) or "none",
                measured=seen.hw_type,
            )
        code = _window_code(manifest, at=at)
        if code is not None:
            yield find(
                code,
                scope=scope,
                subject=f"manifest {manifest.id!r}",
                expected=window,
                measured=_moment(at),
            )


def _window_code(manifest: Manifest, *, at: datetime) -> FindingCode | None:
    if manifest.valid_from is not None and at < manifest.valid_from:
        return FindingCode.MANIFEST_NOT_YET_VALID
    if manifest.valid_to is not None and at > manifest.valid_to:
        return FindingCode.SUPERSEDED_STATE
    return None


def _register_findings(quote: PlatformQuote, *, boot: BootEvents, manifest: Manifest) -> Iterator[Finding]:
    """Every quoted PCR against its register; indices and values come from the signed structures only."""
    for bank, values in sorted(quote.pcr_values.items()):
        references = manifest.platform.registers.get(bank, {})
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
                yield from _deviations(
                    boot, bank=bank, pcr=pcr, values=(expected, measured), manifest=manifest
                )


def _deviations(
    boot: BootEvents, *, bank: int, pcr: int, values: tuple[bytes, bytes], manifest: Manifest
) -> Iterator[Finding]:
    """A PCR that differs, in the scope of its first deviating event; one finding more for the other scope."""
    expected, measured = values
    deviating = list(_deviating_events(boot, bank=bank, pcr=pcr, manifest=manifest))
    scope, event = (deviating[0].scope, deviating[0].words) if deviating else (Scope.PLATFORM, None)
    yield find(
        _mismatch_code(pcr, scope),
        scope=scope,
        subject=f"PCR {pcr} of bank {BANKS[bank].name}",
        expected=expected.hex(),
        measured=measured.hex(),
        event=event,
    )
    other = next((each for each in deviating if each.scope is not scope), None)
    if other is not None:
        yield find(
            FindingCode.EVENT_MISMATCH,
            scope=other.scope,
            subject=f"event in PCR {pcr} of bank {BANKS[bank].name}",
            expected=other.expected,
            measured=other.measured,
            event=other.words,
        )


def _mismatch_code(pcr: int, scope: Scope) -> FindingCode:
    if scope is Scope.TRE or pcr in CODE_PCRS:
        return FindingCode.PCR_MISMATCH
    return FindingCode.CONFIGURATION_PCR_MISMATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class _Deviation:
    scope: Scope
    expected: str | None
    measured: str | None
    words: str


def _deviating_events(boot: BootEvents, *, bank: int, pcr: int, manifest: Manifest) -> Iterator[_Deviation]:
    """Places in a PCR's events where the log and the reference differ, in order.

    An event without a reference counts as the platform's. A PCR without reference events deviates nowhere: only
    its register says that it differs.
    """
    references = sorted((each for each in manifest.events if each.pcr == pcr), key=lambda one: one.position)
    if not references:
        return
    for position, (event, reference) in enumerate(zip_longest(boot.of_pcr(pcr, bank=bank), references)):
        measured = None if event is None else event.digests[bank]
        expected = None if reference is None else reference.digest.get(bank)
        if measured != expected:
            yield _Deviation(
                scope=Scope.PLATFORM if reference is None else Scope(reference.scope),
                expected=None if expected is None else expected.hex(),
                measured=None if measured is None else measured.hex(),
                words=_words(position, event, reference),
            )


def _words(position: int, event: Event | None, reference: ReferenceEvent | None) -> str:
    came = "no event" if event is None else f"event {event.number}, {describe(event)}"
    name = "no event" if reference is None else repr(reference.name)
    return f"position {position}: {came}; expected {name}"


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


def _command_line_deviates(quote: PlatformQuote, *, bank: int, manifest: Manifest) -> bool:
    value = quote.pcr_values[bank][KERNEL_COMMAND_LINE_PCR]
    return manifest.platform.registers.get(bank, {}).get(KERNEL_COMMAND_LINE_PCR, value) != value


def _verdict(
    quote: PlatformQuote,
    *,
    findings: list[Finding],
    reference: ReferenceManifest | None,
    policy: AppraisalPolicy,
    at: datetime,
) -> Appraisal:
    platform = vector(_AFFIRMED[Scope.PLATFORM], tuple(findings), Scope.PLATFORM)
    if tier_of(platform) is not Tier.AFFIRMING:
        findings.append(
            find(FindingCode.PLATFORM_NOT_AFFIRMED, scope=Scope.TRE, subject="platform below the TRE")
        )
    vectors = {
        Scope.TRE: vector(_AFFIRMED[Scope.TRE], tuple(findings), Scope.TRE),
        Scope.PLATFORM: platform,
    }
    tiers = {scope: tier_of(values) for scope, values in vectors.items()}
    accepted = (
        reference is not None
        and max(tiers.values()) is not Tier.CONTRAINDICATED
        and _window_code(reference.manifest, at=at) is None
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
    )


def _strongest(quote: PlatformQuote) -> int:
    """The quoted bank with the longest digests, for what is read out of events."""
    return max(quote.pcr_values, key=lambda bank: len(next(iter(quote.pcr_values[bank].values()))))


def _moment(at: datetime | None) -> str:
    return "open" if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"
