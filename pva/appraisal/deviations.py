"""PCRs that differ from their reference values: in which scope, by which event, in which component (A21).

Rule: that a register differs is proven by the quote; where it differs follows from digests alone. Which component an
event is about is the log's word: it names a deviation and never makes or unmakes one.
A deviating PCR is reported in the scope of its first deviating event, every other scope with a deviating event in it
gets a finding of its own, and so does each component of the boot chain that was measured with another digest.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from types import MappingProxyType

from pva.appraisal.boot_events import BootEvents, cause_of
from pva.appraisal.findings import FindingCode, Scope, find
from standards.boot_log.algorithms import BANKS
from standards.boot_log.boot_chain_facts import ChainLink, Component
from standards.boot_log.describe import describe
from standards.boot_log.events import Event
from standards.rats.corim import Manifest, ReferenceEvent
from standards.rats.ear import Finding

CODE_PCRS = frozenset({0, 2, 4, 9, 11, 13})
"""PCRs of code that ran; the others hold configuration (PC Client Platform Firmware Profile, section 3.3.4)."""

NO_EVENT = "no event can be named: devices of this manifest have no event log, only PCR values"

_COMPONENT_CODES = MappingProxyType(
    {
        Component.BOOT_LOADER: FindingCode.BOOT_LOADER_MISMATCH,
        Component.KERNEL: FindingCode.KERNEL_MISMATCH,
        Component.INITRD: FindingCode.INITRD_MISMATCH,
        Component.COMMAND_LINE: FindingCode.COMMAND_LINE_MISMATCH,
    }
)


def deviation_findings(
    boot: BootEvents, *, bank: int, registers: Mapping[int, tuple[bytes, bytes]], manifest: Manifest
) -> Iterator[Finding]:
    """Findings about PCRs of one bank that differ; `registers` is index -> (expected, measured)."""
    links = {link.number: link for link in boot.boot_chain(bank=bank)}
    for pcr, (expected, measured) in registers.items():
        deviating = deviations(boot, bank=bank, pcr=pcr, manifest=manifest)
        first = deviating[0] if deviating else None
        scope = Scope.PLATFORM if first is None else first.scope
        place = f"PCR {pcr} of bank {BANKS[bank].name}"
        finding = find(
            _register_code(pcr, scope),
            scope=scope,
            subject=place,
            expected=expected.hex(),
            measured=measured.hex(),
            event=first.words if first is not None else None if boot.logged else NO_EVENT,
        )
        yield _caused(finding, first)
        yield from _other_scope(deviating, scope=scope, place=place)
        yield from _components(deviating, links=links, place=place)


def _register_code(pcr: int, scope: Scope) -> FindingCode:
    if scope is Scope.TRE or pcr in CODE_PCRS:
        return FindingCode.PCR_MISMATCH
    return FindingCode.CONFIGURATION_PCR_MISMATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """A place where log and reference differ; `event` is None where nothing came, `reference` where nothing was expected.

    `strange` unless the manifest expects what came elsewhere in the PCR, `gone` unless what was expected came elsewhere.
    """

    scope: Scope
    event: Event | None
    reference: ReferenceEvent | None
    expected: bytes | None
    measured: bytes | None
    strange: bool
    gone: bool
    words: str


def _other_scope(deviating: Sequence[Deviation], *, scope: Scope, place: str) -> Iterator[Finding]:
    other = next((each for each in deviating if each.scope is not scope), None)
    if other is not None:
        yield _event_finding(FindingCode.EVENT_MISMATCH, other, subject=f"event in {place}")


def _components(
    deviating: Sequence[Deviation], *, links: Mapping[int, ChainLink], place: str
) -> Iterator[Finding]:
    """The first deviation of each component in each scope."""
    said: set[tuple[FindingCode, Scope]] = set()
    for deviation in deviating:
        link = None if deviation.event is None else links.get(deviation.event.number)
        code = None if link is None else _COMPONENT_CODES.get(link.component)
        if link and code and deviation.strange and (code, deviation.scope) not in said:
            said.add((code, deviation.scope))
            told = deviation if deviation.gone else replace(deviation, expected=None)
            yield _event_finding(code, told, subject=f"{link.component} {link.name!r} in {place}")


def _event_finding(code: FindingCode, deviation: Deviation, *, subject: str) -> Finding:
    finding = find(
        code,
        scope=deviation.scope,
        subject=subject,
        expected=None if deviation.expected is None else deviation.expected.hex(),
        measured=None if deviation.measured is None else deviation.measured.hex(),
        event=deviation.words,
    )
    return _caused(finding, deviation)


def _caused(finding: Finding, deviation: Deviation | None) -> Finding:
    """The finding with the event that came where another was expected, if any came."""
    event = None if deviation is None else deviation.event
    return finding if event is None else replace(finding, cause=cause_of(event))


def deviations(boot: BootEvents, *, bank: int, pcr: int, manifest: Manifest) -> list[Deviation]:
    """Places in a PCR's events where the log and the reference differ, in order.

    What both share at the beginning and at the end does not deviate, so one event more or less is one deviation. An
    event without a reference counts as the platform's. A PCR without reference events deviates nowhere: only its
    register says that it differs.
    """
    references = sorted((each for each in manifest.events if each.pcr == pcr), key=lambda one: one.position)
    if not references:
        return []
    events = boot.of_pcr(pcr, bank=bank)
    came = [_digest(event, bank) for event in events]
    expected = [_expected(reference, bank) for reference in references]
    start = _shared(came, expected)
    rest = min(len(came), len(expected)) - start
    end = min(_shared(came[::-1], expected[::-1]), rest)
    pairs = zip_longest(events[start : len(events) - end], references[start : len(references) - end])
    of_log, of_manifest = frozenset(came), frozenset(expected)
    return [
        _deviation(
            position,
            event,
            reference,
            bank=bank,
            moved=(_digest(event, bank) in of_manifest, _expected(reference, bank) in of_log),
        )
        for position, (event, reference) in enumerate(pairs, start=start)
        if event is None or reference is None or _digest(event, bank) != _expected(reference, bank)
    ]


def _shared(one: Sequence[bytes | None], other: Sequence[bytes | None]) -> int:
    """How many elements two sequences begin with in common."""
    return next(
        (place for place, (left, right) in enumerate(zip(one, other, strict=False)) if left != right),
        min(len(one), len(other)),
    )


def _digest(event: Event | None, bank: int) -> bytes | None:
    return None if event is None else event.digests[bank]


def _expected(reference: ReferenceEvent | None, bank: int) -> bytes | None:
    return None if reference is None else reference.digest.get(bank)


def _deviation(
    position: int,
    event: Event | None,
    reference: ReferenceEvent | None,
    *,
    bank: int,
    moved: tuple[bool, bool],
) -> Deviation:
    """`moved` says of what came, and of what was expected, whether it is elsewhere on the other side."""
    what = "no event" if event is None else f"event {event.number}, {describe(event)}"
    name = "no event" if reference is None else repr(reference.name)
    return Deviation(
        scope=Scope.PLATFORM if reference is None else Scope(reference.scope),
        event=event,
        reference=reference,
        expected=_expected(reference, bank),
        measured=_digest(event, bank),
        strange=not moved[0],
        gone=not moved[1],
        words=f"position {position}: {what}; expected {name}",
    )
