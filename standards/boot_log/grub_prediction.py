"""What GRUB will measure of a release, from a good boot of the release before and the files that are new.

Rule: GRUB's script decides which commands run and which files are read, so their sequence is taken from a boot that was seen;
what a digest of it does not cover is not rewritten, and what neither the boot nor the files determine is refused.
Predicted are
  PCR 8  commands and the kernel's command line: their text without the label, with or without the NUL that this GRUB hashes
  PCR 9  files, each by its whole content as it is stored; then, by the kernel's EFI stub, its load options ("BOOT_IMAGE=" and the
         command line, in UTF-16) and the initrd, where the boot that was seen shows that they are measured so
Source: GRUB manual, "Measuring boot components"; Linux, efistub; what real logs show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from standards.boot_log.algorithms import BANKS
from standards.boot_log.boot_chain import (
    FILES_OF_RED_HAT,
    LOAD_OPTIONS_START,
    TAGGED_COMPONENTS,
    named_files,
    without_device,
)
from standards.boot_log.boot_chain_facts import Component
from standards.boot_log.errors import BootLogError
from standards.boot_log.event_log import EventLog
from standards.boot_log.events import EV_EVENT_TAG, EV_IPL, Event
from standards.boot_log.measured import COMMAND_LINE_LABELS, boot_loader_text, measured_payload

TEXT_PCR: Final = 8
FILE_PCR: Final = 9
_TAG_SIZE: Final = 4
_NAMES_SHOWN: Final = 8

Digests = Mapping[int, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrubChange:
    """What is new: texts to put in place of others (old, new) in commands and names, and files by their new path.

    A path is as GRUB was told it; its device in brackets does not matter.
    """

    texts: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrubPrediction:
    """The events of PCR 8 and 9 in their order; `kept` names the files that are taken to be as in the boot that was seen."""

    events: tuple[Event, ...]
    kept: tuple[str, ...]


def predict_grub(log: EventLog, *, banks: Sequence[int], change: GrubChange) -> GrubPrediction:
    """The boot in `log` once more, with the change made to it.

    What is NOT checked here: that the log reaches any register, and whether GRUB's new configuration runs the same commands.

    Raises:
        BootLogError: a bank that the log lacks; a text or a file of the change that is nowhere in the boot; what was renamed
            and has no file; what follows from the change by a rule that the boot does not show.
    """
    missing = [BANKS[bank].name for bank in banks if bank not in log.algorithms]
    if missing:
        raise BootLogError(what="boot log", expected=f"digests of {', '.join(missing)}", got="none")
    files = {without_device(path): content for path, content in change.files.items()}
    boot = _Boot(banks=tuple(banks), texts=change.texts, files=files)
    for event in log.events:
        if event.extended and event.pcr == TEXT_PCR:
            boot.command(event)
        elif event.extended and event.pcr == FILE_PCR:
            boot.file(event)
    boot.check_that_all_was_used()
    return GrubPrediction(events=tuple(boot.events), kept=tuple(dict.fromkeys(boot.kept)))


@dataclass(slots=True, kw_only=True)
class _Boot:
    """A boot that is made again, event by event.

    `line` is the kernel's command line before and after; `initrds` the digests of each initrd that GRUB read, before and
    after; `named` the paths that the last commands named, which Red Hat's GRUB leaves out of its events.
    """

    banks: tuple[int, ...]
    texts: tuple[tuple[str, str], ...]
    files: Mapping[str, bytes]
    events: list[Event] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    found: set[str] = field(default_factory=set)
    line: tuple[str, str] | None = None
    initrds: list[tuple[Digests, Digests]] = field(default_factory=list)
    named: dict[Component, list[str]] = field(default_factory=dict)

    def command(self, event: Event) -> None:
        """PCR 8."""
        labelled = boot_loader_text(event)
        text = None if labelled is None else self._covered_text(event, labelled[1])
        if labelled is None or text is None:
            self._keep(event)
            return
        new = self._renamed(text)
        if labelled[0] in COMMAND_LINE_LABELS:
            self.line = (text, new)
        else:
            component, paths = named_files(new)
            if component is not None:
                self.named[component] = list(paths)
        measured = measured_payload(event, bank=self.banks[0]) or b""
        self._add(
            event,
            data=_with_text(event.data, text, new),
            digests=self._digests(_with_text(measured, text, new)),
        )

    def file(self, event: Event) -> None:
        """PCR 9."""
        if event.type == EV_EVENT_TAG:
            self._of_the_kernel(event)
            return
        name = event.data.removesuffix(b"\x00").decode("utf-8", "replace") if event.type == EV_IPL else ""
        if not name or "\ufffd" in name:
            self._keep(event)
            return
        new_name = self._renamed(name)
        component = FILES_OF_RED_HAT.get(name)
        path = without_device(new_name) if component is None else self._named_by_command(component)
        content = self.files.get(path)
        if content is None and (new_name != name or (component is not None and self._was_renamed(path))):
            raise BootLogError(
                what=f"file {path!r}", expected="its content, since it is new", got="none", event=event.number
            )
        if content is None:
            self.kept.append(name)
        else:
            self.found.add(path)
        digests = event.digests if content is None else self._digests(content)
        if component is Component.INITRD or path in self.named.get(Component.INITRD, ()):
            self.initrds.append((event.digests, digests))
        self._add(event, data=_with_text(event.data, name, new_name), digests=digests)

    def check_that_all_was_used(self) -> None:
        """Refuse a change that changes nothing: it was meant to."""
        unused = [f"text {old!r}" for old, _ in self.texts if old not in self.found]
        unused += [f"file {path!r}" for path in self.files if path not in self.found]
        if unused:
            shown = ", ".join(unused[:_NAMES_SHOWN])
            raise BootLogError(what="change", expected="what GRUB measured in this boot", got=shown)

    def _of_the_kernel(self, event: Event) -> None:
        """What the kernel's EFI stub measured after GRUB: its load options, and the initrd that it was given."""
        component = TAGGED_COMPONENTS.get(int.from_bytes(event.data[:_TAG_SIZE], "little"))
        if component is Component.COMMAND_LINE and self.line is not None and self.line[0] != self.line[1]:
            before, after = (f"{LOAD_OPTIONS_START}{each}".encode("utf-16-le") for each in self.line)
            known = self._has(event, self._digests(before))
            digests: Digests = self._digests(after)
        elif component is Component.INITRD and any(old != new for old, new in self.initrds):
            known = len(self.initrds) == 1 and self._has(event, self.initrds[0][0])
            digests = self.initrds[0][1]
        else:
            self._keep(event)
            return
        if not known:
            raise BootLogError(
                what=f"{component} as the kernel measures it",
                expected="a boot that shows what of it is measured",
                got="another digest than that of the one that GRUB measured",
                event=event.number,
            )
        self._add(event, data=event.data, digests=digests)

    def _named_by_command(self, component: Component) -> str:
        """The path of Red Hat's next file, whose event says only what it is."""
        paths = self.named.get(component, [])
        if not paths:
            raise BootLogError(
                what=f"file of the {component}", expected="a command that names it", got="none"
            )
        # an initrd may be several files, each with an event
        return paths.pop(0) if len(paths) > 1 else paths[0]

    def _was_renamed(self, path: str) -> bool:
        return any(new in path for _, new in self.texts)

    def _covered_text(self, event: Event, text: bytes) -> str | None:
        """The text where all banks cover the same of it, and it is text without a NUL inside."""
        covered = {measured_payload(event, bank=bank) for bank in self.banks}
        if len(covered) != 1 or text not in (covered.pop() or b"") or b"\x00" in text:
            return None
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError:
            return None

    def _renamed(self, text: str) -> str:
        for old, new in self.texts:
            if old in text:
                self.found.add(old)
                text = text.replace(old, new)
        return text

    def _keep(self, event: Event) -> None:
        """As it was; refused where a text that is to be replaced stands in what no digest covers."""
        stale = next((old for old, _ in self.texts if old.encode() in event.data), None)
        if stale is not None:
            got = f"{stale!r} in data that its digest does not cover"
            raise BootLogError(what="event", expected="measured text", got=got, event=event.number)
        self._add(event, data=event.data, digests=event.digests)

    def _digests(self, measured: bytes) -> dict[int, bytes]:
        return {bank: BANKS[bank].digest(measured) for bank in self.banks}

    def _has(self, event: Event, digests: Digests) -> bool:
        return all(event.digests[bank] == digests[bank] for bank in self.banks)

    def _add(self, event: Event, *, data: bytes, digests: Digests) -> None:
        of_banks = {bank: digests[bank] for bank in self.banks}
        self.events.append(replace(event, number=len(self.events) + 1, data=data, digests=of_banks))


def _with_text(octets: bytes, old: str, new: str) -> bytes:
    """The same with another text at its end, before the NUL that may follow."""
    body = octets.removesuffix(b"\x00")
    return body[: len(body) - len(old.encode())] + new.encode() + octets[len(body) :]
