"""Which known manifest explains most of a measured state, and what is different from it, in words. Pure.

Rule: it explains and decides nothing. What is compared are digests, and only those that reach the quoted registers; what
a component is called was in most cases only logged, and is said as such by whoever shows it. Each measured digest is
looked up once for all manifests together, so that many of them cost what their events cost to be listed.

    explained = registers that are equal, and events whose digest the manifest expects in the same register
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pva.appraisal.boot_events import TRE_IMAGE_PARAMETER, BootEvents
from pva.appraisal.deviations import Deviation, deviations
from standards.boot_log.boot_chain_facts import ChainLink, Component
from standards.boot_log.describe import NOT_MEASURED, describe
from standards.boot_log.secure_boot import SECURE_BOOT_PCR
from standards.boot_log.uefi import read_variable
from standards.rats.corim import Manifest

CANDIDATES_MAX = 32
"""Manifests of one model that are compared; the newest ones."""
DIFFERENCES_MAX = 64
SHOWN_MAX = 6
DIGITS_SHOWN = 12
WORDS_SHOWN_MAX = 4
LABEL_MAX = 120
TEXT_READ_MAX = 4_096
"""Longest text that is looked into for a name or for parameters."""

_OF_REGISTER = MappingProxyType(
    {
        0: "firmware",
        1: "firmware configuration",
        2: "option ROMs",
        3: "option ROM configuration",
        4: "boot loader",
        5: "boot configuration",
        6: "resume events",
        SECURE_BOOT_PCR: "Secure Boot variables",
        8: "boot loader commands",
        9: "boot loader files",
        11: "kernel image",
        12: "kernel parameters",
        13: "system extensions",
        14: "MOK lists",
    }
)
_VERSION = re.compile(
    r"(?:vmlinu[xz]|bzimage|kernel|initrd(?:\.img)?|initramfs)-(?P<version>[^\s'\"]+)", re.IGNORECASE
)
_MAIN = (
    "kernel image",
    "kernel",
    "initrd",
    "command line",
    "shim",
    "grub",
    "systemd-boot",
    "firmware",
    "Secure Boot",
)
_LOADERS = ("shim", "grub", "systemd-boot")
_COMMAND_LINE = re.compile(r"(?:kernel_cmdline|grub_kernel_cmdline): (?P<text>.*)")
_TYPE = re.compile(r"^EV_[A-Z0-9_]+ ")
_ENDINGS = (".img", ".efi", ".gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One component that is not as the manifest has it; None where nothing came, or nothing was expected.

    `measured` and `expected` are names or versions for people; `words` is the whole as part of a sentence.
    """

    component: str
    register: int
    expected: str | None
    measured: str | None
    expected_digest: str | None
    measured_digest: str | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestManifest:
    """The manifest that explains most: `explained` of `measurements`, and what differs, the main components first.

    `differences` are at most `DIFFERENCES_MAX`, `more` counts those beyond.
    """

    manifest: Manifest
    explained: int
    measurements: int
    differences: tuple[Difference, ...]
    more: int = 0

    @property
    def sentence(self) -> str:
        """The state in one sentence, as a person would say it."""
        name = manifest_name(self.manifest)
        if not self.differences:
            return name
        words = list(dict.fromkeys(each.words for each in self.differences))
        said = words[:SHOWN_MAX]
        rest = len(words) - len(said) + self.more
        if rest:
            said.append(f"{rest} more difference{'s' if rest > 1 else ''}")
        listed = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
        return f"{name} with {listed}"


def manifest_name(manifest: Manifest) -> str:
    """How people name a manifest."""
    return f"release {manifest.release} (svn {manifest.svn})"


def nearest_manifest(
    boot: BootEvents, *, bank: int, candidates: Sequence[Manifest]
) -> NearestManifest | None:
    """The candidate that explains most of what was measured into the quoted PCRs of a bank.

    Of equals the first: the caller puts the one that the credential names before the others. None where no candidate
    explains anything. At most `CANDIDATES_MAX` are looked at.
    """
    compared = candidates[:CANDIDATES_MAX]
    measured = _measured(boot, bank=bank)
    scores = _scores(measured, compared, bank=bank)
    best = max(range(len(compared)), key=lambda place: (scores[place], -place), default=None)
    if best is None or not scores[best]:
        return None
    manifest = compared[best]
    differences = sorted(_differences(boot, measured, bank=bank, manifest=manifest), key=_rank)
    return NearestManifest(
        manifest=manifest,
        explained=scores[best],
        measurements=sum(1 + len(events) for _, events in measured.values()),
        differences=tuple(differences[:DIFFERENCES_MAX]),
        more=max(0, len(differences) - DIFFERENCES_MAX),
    )


def _rank(difference: Difference) -> int:
    """What people look for first comes first; what only follows from it (a loader's commands) last."""
    ranks = (place for place, name in enumerate(_MAIN) if difference.component.startswith(name))
    return next(ranks, len(_MAIN))


_Measured = Mapping[int, tuple[bytes, Sequence[bytes]]]
"""PCR -> its quoted value, and the digests that led there."""


def _measured(boot: BootEvents, *, bank: int) -> _Measured:
    return {
        pcr: (value, [event.digests[bank] for event in boot.of_pcr(pcr, bank=bank)])
        for pcr, value in sorted(boot.quoted.get(bank, {}).items())
    }


def _scores(measured: _Measured, candidates: Sequence[Manifest], *, bank: int) -> Counter[int]:
    """How many measurements each candidate explains, by its place; one that lists no events explains its registers' whole."""
    registers: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
    events: defaultdict[tuple[int, bytes], Counter[int]] = defaultdict(Counter)
    listed: set[tuple[int, int]] = set()
    for place, manifest in enumerate(candidates):
        for pcr, value in manifest.platform.registers.get(bank, {}).items():
            registers[pcr, value].append(place)
        for event in manifest.events:
            if bank in event.digest:
                events[event.pcr, event.digest[bank]][place] += 1
                listed.add((place, event.pcr))
    scores: Counter[int] = Counter()
    for pcr, (value, digests) in measured.items():
        for place in registers.get((pcr, value), ()):
            scores[place] += 1 if (place, pcr) in listed else 1 + len(digests)
        for digest, count in Counter(digests).items():
            for place, expected in events.get((pcr, digest), Counter()).items():
                scores[place] += min(count, expected)
    return scores


def _differences(
    boot: BootEvents, measured: _Measured, *, bank: int, manifest: Manifest
) -> Iterator[Difference]:
    """What differs in each register whose value is another one, in the order of the registers."""
    links = {link.number: link for link in boot.boot_chain(bank=bank)}
    registers = manifest.platform.registers.get(bank, {})
    for pcr, (value, _) in measured.items():
        expected = registers.get(pcr)
        if expected == value:
            continue
        changed = [
            each
            for each in deviations(boot, bank=bank, pcr=pcr, manifest=manifest)
            if each.strange or each.gone
        ]
        if changed:
            yield from (_difference(each, pcr=pcr, links=links) for each in changed)
        else:
            yield _of_register(pcr, expected=expected, measured=value)


def _of_register(pcr: int, *, expected: bytes | None, measured: bytes) -> Difference:
    """A register about which the manifest says no more than its value, or nothing."""
    component = _OF_REGISTER.get(pcr, "measurements")
    what = f"{component} (PCR {pcr})"
    return Difference(
        component=component,
        register=pcr,
        expected=None,
        measured=None,
        expected_digest=None if expected is None else expected.hex(),
        measured_digest=measured.hex(),
        words=f"{what} that it says nothing about" if expected is None else f"other {what}",
    )


def _difference(deviation: Deviation, *, pcr: int, links: Mapping[int, ChainLink]) -> Difference:
    event, reference = deviation.event, deviation.reference
    link = None if event is None else links.get(event.number)
    component = _component(deviation, pcr=pcr, link=link)
    came = deviation.measured if deviation.strange else None
    gone = deviation.expected if deviation.gone else None
    measured = None if event is None or came is None else _measured_label(deviation, link=link)
    expected = None if reference is None or gone is None else _label(reference.name)
    words = _command_line_words(link, reference.name) if reference and measured and expected else None
    return Difference(
        component=component,
        register=pcr,
        expected=expected,
        measured=measured,
        expected_digest=None if gone is None else gone.hex(),
        measured_digest=None if came is None else came.hex(),
        words=words or _words(component, measured=measured, expected=expected, digests=(came, gone)),
    )


def _component(deviation: Deviation, *, pcr: int, link: ChainLink | None) -> str:
    """What people call the part: by the boot chain, by the variable's name, else by the register."""
    if pcr == SECURE_BOOT_PCR and deviation.event is not None:
        variable = read_variable(deviation.event.data)
        return "Secure Boot policy" if variable is None else f"Secure Boot variable {variable.name}"
    if link is None:
        return _OF_REGISTER.get(pcr, "measurement")
    if link.component is Component.BOOT_LOADER:
        name = link.name.lower()
        return next((each for each in _LOADERS if each in name), str(link.component))
    return str(link.component)


def _measured_label(deviation: Deviation, *, link: ChainLink | None) -> str:
    if link is not None:
        return _label(link.name)
    return "an event" if deviation.event is None else _label(describe(deviation.event))


def _label(text: str) -> str:
    """The version in a name, else the last part of a path, else the text without the log's own words."""
    plain = _TYPE.sub("", text[:TEXT_READ_MAX].removesuffix(NOT_MEASURED).strip())
    version = _VERSION.search(plain)
    if version is not None:
        return _without_ending(version["version"])[:LABEL_MAX]
    path = plain.split(", ")[0]
    if path.startswith(("/", "\\", "(")) and " " not in path:
        return re.split(r"[\\/]", path)[-1][:LABEL_MAX] or path[:LABEL_MAX]
    return plain[:LABEL_MAX]


def _without_ending(version: str) -> str:
    ending = next((each for each in _ENDINGS if version.endswith(each)), "")
    return version.removesuffix(ending)


def _words(
    component: str,
    *,
    measured: str | None,
    expected: str | None,
    digests: tuple[bytes | None, bytes | None],
) -> str:
    """A part of a sentence; where both are called the same, their digests tell them apart."""
    if measured is None and expected is None:
        return f"the {component} in another order"
    if measured is None:
        return f"no {component} {expected}"
    if expected is None:
        return f"{component} {measured} in addition"
    if measured != expected:
        return f"{component} {measured} in place of {expected}"
    came, gone = ("nothing" if each is None else each.hex()[:DIGITS_SHOWN] for each in digests)
    return f"another {component} {measured} (digest {came} in place of {gone})"


def _command_line_words(link: ChainLink | None, reference: str) -> str | None:
    """The parameters that came and went, where both command lines are known whole and the measured one is covered."""
    if link is None or link.component is not Component.COMMAND_LINE or link.text is None:
        return None
    expected = _COMMAND_LINE.search(reference.removesuffix(NOT_MEASURED).strip())
    if expected is None:
        return None
    now, before = (dict.fromkeys(text[:TEXT_READ_MAX].split()) for text in (link.text, expected["text"]))
    added = [each for each in now if each not in before]
    missing = [each for each in before if each not in now]
    if not added and not missing:
        return None
    images = [each.removeprefix(TRE_IMAGE_PARAMETER)[:DIGITS_SHOWN] for each in (*added, *missing)]
    if len(added) == len(missing) == 1 and all(
        each.startswith(TRE_IMAGE_PARAMETER) for each in (*added, *missing)
    ):
        return f"another TRE image ({images[0]} in place of {images[1]})"
    said = [] if not added else [f"parameter {_listed(added)}"]
    if missing:
        said.append(f"{'in place of' if added else 'no parameter'} {_listed(missing)}")
    return f"the command line's {' '.join(said)}" if added else f"a command line with {' '.join(said)}"


def _listed(words: Sequence[str]) -> str:
    more = len(words) - WORDS_SHOWN_MAX
    shown = ", ".join(each[:LABEL_MAX] for each in words[:WORDS_SHOWN_MAX])
    return f"{shown} and {more} more" if more > 0 else shown
