"""A draft of a manifest out of a release's files, without a device: what a boot of them will measure.

Rule: only registers that the files determine become reference values; those of GRUB need the log of a good boot beside them,
for its script decides what is read. What is measured beside them (firmware, shim's variables, user space) is said as a sentence,
and files whose digests appear somewhere in a register that is not predicted are listed for comparison, not as reference values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from cli.evidence_draft import Draft, tre_image_named
from standards.boot_log.algorithms import BANKS, BANKS_BY_NAME
from standards.boot_log.boot_chain import boot_chain
from standards.boot_log.boot_chain_facts import Component
from standards.boot_log.decode import decode_event_log
from standards.boot_log.encode import Measurement, build_event_log
from standards.boot_log.event_log import EventLog
from standards.boot_log.grub_prediction import GrubChange, GrubPrediction, predict_grub
from standards.boot_log.measured import kernel_command_line
from standards.boot_log.portable_executable import Image, decode_image
from standards.boot_log.prediction import SECTION_PCR, predict_images, predict_sections
from standards.boot_log.replay import replay, reset_value

UNTOUCHED_PCRS: Final = (12, 13)
"""Command lines, credentials and extensions from beside a unified kernel image: nothing, in an approved boot."""
KERNEL_PCR, FILE_PCR, COMMAND_LINE_PCR = 4, 9, 8
_OF_GRUBS_LOADING: Final = frozenset({FILE_PCR, COMMAND_LINE_PCR})
_LOADED: Final = frozenset({Component.KERNEL, Component.INITRD, Component.COMMAND_LINE})

_OF_IMAGES: Final = (
    "whether these images run in this order and no other: a setup menu, a vendor's agent, a failed attempt is in PCR 4, too",
)
_OF_SECTIONS: Final = (
    "whether the PVA asks for PCR 11 to 13 (pcr_selection): it refuses a manifest with registers that it does not ask for",
    "whether user space leaves PCR 11 alone: boot phases (systemd-pcrphase) extend it, and no firmware's log shows them",
    "PCR 12 and 13 are expected untouched: no command line from a menu, no credentials, no extensions",
    "the TRE's image counts as measured while PCR 4, 11 and 12 all have their values: the PVA has to ask for all three",
)
_NO_TRE_IMAGE: Final = "the command line in the unified image names no TRE image (pva.tre=): the scope tre will be a warning at best"
_OF_THE_REST: Final = (
    "PCR 0 to 3 and 7 (firmware, setup, Secure Boot with shim's variables) are the machine's: learn them from a good one",
)
_WITHOUT_GRUB: Final = (
    "PCR 8 and 9 of GRUB (its commands, every file that it reads) are not predicted: look for the digests listed here in a good "
    "boot, or give its log (--grub-boot)"
)
_OF_GRUB: Final = (
    "whether GRUB's configuration of this release runs the same commands and reads the same files as that boot did",
)
_NO_TRE_IN_GRUB: Final = (
    "the command line names no TRE image (pva.tre=): the scope tre will be a warning at best"
)
_KEPT_SHOWN_MAX: Final = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Files of a release, each with its name: images in the order in which they run; the last may be a unified one.

    `kernel`, `initrd` and `command_line` are of a boot by GRUB, and only listed; `grub_boot` is the log of a good boot by GRUB, to
    which `grub_change` is made.
    """

    images: tuple[tuple[str, bytes], ...]
    unified: bool = False
    inner_kernel: bool = False
    kernel: tuple[str, bytes] | None = None
    initrd: tuple[str, bytes] | None = None
    command_line: str | None = None
    grub_boot: bytes | None = None
    grub_change: GrubChange = field(default_factory=GrubChange)


def draft_release(release: Release, *, bank_names: Sequence[str]) -> Draft:
    """The draft of what a boot of these files measures.

    Raises BootLogError: an image is none, or is no unified kernel image that can be predicted; or the boot by GRUB cannot be made
    again with what is new.
    """
    banks = [BANKS_BY_NAME[name].id for name in bank_names]
    images = [(name, decode_image(data)) for name, data in release.images]
    tre_image = _tre_image(images[-1][1]) if images and release.unified else None
    measurements: list[Measurement] = []
    untouched: tuple[int, ...] = ()
    if images and release.unified:
        measurements += predict_sections(images[-1][1])
        untouched = UNTOUCHED_PCRS
        if release.inner_kernel:
            images.append((f"kernel in {images[-1][0]}", _inner_kernel(images[-1][1])))
    if images:
        measurements = [*predict_images(images), *measurements]
    log = build_event_log(measurements, algorithms=banks)
    grub = None if release.grub_boot is None else _grub(release.grub_boot, release=release, banks=banks)
    strongest = max(banks, key=lambda each: BANKS[each].size)
    if grub is not None:
        added = [replace(each, number=each.number + len(log.events)) for each in grub.events]
        log = replace(log, events=(*log.events, *added))
        tre_image = tre_image_named(kernel_command_line(log, bank=strongest) or "")
    registers = {
        bank: replay(log, bank=bank) | {pcr: reset_value(pcr, bank) for pcr in untouched} for bank in banks
    }
    return Draft(
        registers={bank: dict(sorted(values.items())) for bank, values in registers.items()},
        log=log,
        left_out={},
        components=_components(release, images=images, log=log, bank=strongest),
        tre_image=tre_image,
        decisions=(
            "id, supplier, models, svn and version of the release; for an update valid_from, valid_to and predecessor",
            *(_OF_IMAGES if images else ()),
            *(_OF_SECTIONS if release.unified else ()),
            *((_NO_TRE_IMAGE,) if release.unified and tre_image is None else ()),
            *(() if grub is None else _grub_decisions(grub, tre_image=tre_image)),
            *_OF_THE_REST,
            *((_WITHOUT_GRUB,) if grub is None else ()),
        ),
    )


def _grub(boot: bytes, *, release: Release, banks: Sequence[int]) -> GrubPrediction:
    return predict_grub(decode_event_log(boot), banks=banks, change=release.grub_change)


def _grub_decisions(grub: GrubPrediction, *, tre_image: str | None) -> Iterator[str]:
    yield from _OF_GRUB
    if grub.kept:
        more = len(grub.kept) - _KEPT_SHOWN_MAX
        shown = ", ".join(grub.kept[:_KEPT_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
        yield f"whether these files are as they were in that boot: {shown}"
    if tre_image is None:
        yield _NO_TRE_IN_GRUB


def _tre_image(unified: Image) -> str | None:
    """What the command line inside of a unified image names."""
    lines = [unified.content(each) for each in unified.sections if each.name == ".cmdline"]
    return tre_image_named(lines[0].decode("utf-8", "replace").rstrip("\x00")) if len(lines) == 1 else None


def _inner_kernel(image: Image) -> Image:
    return decode_image(
        next(image.content(section) for section in image.sections if section.name == ".linux")
    )


def _components(
    release: Release, *, images: Sequence[tuple[str, Image]], log: EventLog, bank: int
) -> tuple[tuple[int, str, str, str], ...]:
    """Digests by which a person finds the files in a good boot's events."""
    digest = BANKS[bank].digest
    rows = [(KERNEL_PCR, "image", name, digest(image.measured).hex()) for name, image in images]
    if release.unified:
        unified = images[-2 if release.inner_kernel else -1][1]
        rows += [
            (SECTION_PCR, "section", each.name, digest(unified.content(each)).hex())
            for each in unified.sections
            if each.name in {".linux", ".initrd", ".cmdline", ".osrel"}
        ]
    if release.kernel is not None:
        name, data = release.kernel
        rows += [
            (KERNEL_PCR, "kernel", name, digest(decode_image(data).measured).hex()),
            (FILE_PCR, "kernel", name, digest(data).hex()),
        ]
    if release.initrd is not None:
        rows.append((FILE_PCR, "initrd", release.initrd[0], digest(release.initrd[1]).hex()))
    if release.command_line is not None:
        text = release.command_line
        rows.append((COMMAND_LINE_PCR, "command line", text, digest(text.encode()).hex()))
    rows += [
        (link.pcr, str(link.component), link.text or link.name, link.digest.hex())
        for link in boot_chain(log, bank=bank).links
        if link.pcr in _OF_GRUBS_LOADING and link.component in _LOADED
    ]
    return tuple(rows)
