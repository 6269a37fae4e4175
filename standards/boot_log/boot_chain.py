"""Which component each event of the boot chain is about (A21): GRUB, systemd-boot, systemd-stub, the kernel's EFI stub.

Rule: total: any log gives a chain; an event that is none of the known forms is no link. A link says what an event is
about, never that it is good: that is the reference value's to say.
Theory of the registers: 4 images that ran (shim, boot loader, kernel); 5 partition table and boot loader configuration;
8 GRUB's commands and the kernel's command line; 9 files that GRUB read, and what the kernel's EFI stub loaded;
11 sections of a unified kernel image, each as a pair of name and content; 12 command lines and additions from beside
that image; 13 system extensions.
Source: TCG PC Client Platform Firmware Profile 1.06, section 3.3.4; UAPI group, Linux TPM PCR Registry and unified
kernel image (UAPI.5); systemd, TPM2 PCR Measurements; GRUB manual, "Measuring boot components".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from standards.boot_log import events as ev
from standards.boot_log.algorithms import BANKS
from standards.boot_log.boot_chain_facts import BootChain, ChainLink, Component
from standards.boot_log.errors import BootLogError
from standards.boot_log.event_log import EventLog
from standards.boot_log.events import Event
from standards.boot_log.measured import COMMAND_LINE_LABELS, boot_loader_text, measured_payload
from standards.boot_log.uefi import read_disk_guid, read_loaded_image, read_utf16

BOOT_CHAIN_PCRS: Final = (4, 5, 8, 9, 11, 12, 13)

_TAG_SIZE, _TAG_HEADER_SIZE = 4, 8
TAGGED_COMPONENTS: Final = MappingProxyType(
    {
        0xF5BC582A: Component.BOOT_LOADER_CONFIGURATION,
        0x8F3B22EC: Component.INITRD,
        0x8F3B22ED: Component.COMMAND_LINE,
        0x6C46F751: Component.ADDITION,
        0x49DFFE0F: Component.INITRD,
        0xDAC08E1A: Component.INITRD,
    }
)
"""Component by tag: loader.conf; the kernel's initrd and load options; device tree, initrd and microcode add-ons."""

_SECTIONS: Final = MappingProxyType(
    {
        ".linux": Component.KERNEL,
        ".initrd": Component.INITRD,
        ".ucode": Component.INITRD,
        ".cmdline": Component.COMMAND_LINE,
    }
    | dict.fromkeys(
        (
            ".osrel",
            ".efifw",
            ".splash",
            ".dtb",
            ".dtbauto",
            ".hwids",
            ".uname",
            ".sbat",
            ".pcrpkey",
            ".profile",
        ),
        Component.IMAGE_SECTION,
    )
)
_ADDITIONS: Final = frozenset(
    {
        "Credentials initrd",
        "Global credentials initrd",
        "System extension initrd",
        "Global system extension initrd",
        "Configuration extension initrd",
        "Global configuration extension initrd",
    }
)
FILES_OF_RED_HAT: Final = MappingProxyType(
    {"grub_linuxefi Kernel": Component.KERNEL, "grub_linuxefi Initrd": Component.INITRD}
)
_COMMANDS: Final = MappingProxyType(
    dict.fromkeys(
        ("linux", "linuxefi", "linux16", "multiboot", "multiboot2", "xen_hypervisor", "xen_linux"),
        Component.KERNEL,
    )
    | dict.fromkeys(("initrd", "initrdefi", "initrd16", "xen_initrd"), Component.INITRD)
)
LOAD_OPTIONS_START: Final = "BOOT_IMAGE="
"""What GRUB puts before the command line that it measured, in the load options of the kernel's EFI stub."""
_DEVICE: Final = re.compile(r"^\([^)]*\)")
_KERNEL_FILE: Final = re.compile(r"(?:vmlinu[xz]|bzimage|kernel-)", re.IGNORECASE)
_INITRD_FILE: Final = re.compile(r"(?:initrd|initramfs|.*ucode.*\.(?:img|cpio)$)", re.IGNORECASE)
_UNIFIED_IMAGE: Final = re.compile(r"\\efi\\linux\\[^\\]+$", re.IGNORECASE)


def boot_chain(log: EventLog, *, bank: int) -> BootChain:
    """The links of a log in one bank, in the order of the log.

    What is NOT checked here: that the log reaches the quoted values of these PCRs.

    Raises:
        BootLogError: the log has no digests for this bank.
    """
    if bank not in log.algorithms or bank not in BANKS:
        raise BootLogError(what="PCR bank", expected="a known one that the log lists", got=f"0x{bank:04x}")
    reading = _Reading(bank=bank)
    for event in log.events:
        if event.extended and event.pcr in _READERS:
            link = _READERS[event.pcr](reading, event)
            if link is not None:
                reading.links.append(link)
    return BootChain(links=tuple(reading.links))


def named_files(command: str) -> tuple[Component | None, tuple[str, ...]]:
    """What a command of GRUB loads: a kernel or initrds, and their paths without devices; None where it loads neither."""
    words = command.split()
    component = _COMMANDS.get(words[0]) if words else None
    if component is None:
        return None, ()
    paths = [word for word in words[1:] if not word.startswith("--")]
    return component, tuple(
        without_device(path) for path in (paths[:1] if component is Component.KERNEL else paths)
    )


def without_device(path: str) -> str:
    """A path of GRUB without the device in brackets before it."""
    return _DEVICE.sub("", path)


@dataclass(slots=True, kw_only=True)
class _Reading:
    """A chain, read event by event.

    `files` are the paths that measured GRUB commands named, `kernel_named` whether a kernel is about to be started,
    `section` the section whose name was measured last, `line` the command line that GRUB measured.
    """

    bank: int
    links: list[ChainLink] = field(default_factory=list)
    files: dict[str, Component] = field(default_factory=dict)
    kernel_named: bool = False
    section: str | None = None
    line: str | None = None

    def image(self, event: Event) -> ChainLink | None:
        """PCR 4: an image that ran; shim and GRUB start the kernel from memory, without a path."""
        if event.type != ev.EV_EFI_BOOT_SERVICES_APPLICATION:
            return self.addition(event)
        loaded = read_loaded_image(event.data)
        path = "" if loaded is None else loaded.path
        file = re.split(r"[\\/]", path)[-1]
        if _KERNEL_FILE.match(file) or _UNIFIED_IMAGE.search(path) or (not path and self.kernel_named):
            return self._link(event, Component.KERNEL, path or "without a path")
        in_firmware = file.startswith("FvFile(")
        component = Component.FIRMWARE_APPLICATION if in_firmware else Component.BOOT_LOADER
        return self._link(event, component, path or "without a path")

    def configuration(self, event: Event) -> ChainLink | None:
        """PCR 5."""
        if event.type in {ev.EV_EFI_GPT_EVENT, ev.EV_EFI_GPT_EVENT2}:
            return self._link(event, Component.PARTITION_TABLE, f"disk {read_disk_guid(event.data)}")
        return self._tagged(event)

    def command(self, event: Event) -> ChainLink | None:
        """PCR 8: GRUB's commands; systemd-boot once measured its command line here."""
        labelled = boot_loader_text(event)
        if labelled is None:
            return self._text_as_command_line(event)
        label, _ = labelled
        text = self._covered_text(event)
        if label in COMMAND_LINE_LABELS:
            self.line = text
            return self._link(event, Component.COMMAND_LINE, label, text=text)
        self._note_files(text or "")
        return self._link(event, Component.BOOT_LOADER_COMMAND, label, text=text)

    def file(self, event: Event) -> ChainLink | None:
        """PCR 9: a file that GRUB read; the path is a hint, and so is what it makes of the file."""
        if event.type != ev.EV_IPL:
            return self._tagged(event)
        name = event.data.rstrip(b"\x00").decode("utf-8", "backslashreplace")
        component = FILES_OF_RED_HAT.get(name) or self.files.get(without_device(name)) or _by_name(name)
        self.kernel_named = self.kernel_named or component is Component.KERNEL
        return self._link(event, component, name)

    def part(self, event: Event) -> ChainLink | None:
        """PCR 11: name and content of a section, in pairs; the name's digest is over ASCII and a NUL."""
        name = _wide_text(event) if event.type == ev.EV_IPL else None
        if name not in _SECTIONS or name is None:
            self.section = None
            return None
        if event.digests[self.bank] == BANKS[self.bank].digest(name.encode("ascii") + b"\x00"):
            self.section = name
            return self._link(event, Component.IMAGE_SECTION, f"name {name}", text=name)
        measured, self.section = self.section == name, None
        self.kernel_named = self.kernel_named or name == ".linux"
        return self._link(event, _SECTIONS[name], name, name_measured=measured)

    def parameter(self, event: Event) -> ChainLink | None:
        """PCR 12: command lines in UTF-16, and additions."""
        return self.addition(event) or self._tagged(event) or self._text_as_command_line(event)

    def addition(self, event: Event) -> ChainLink | None:
        """Archives that systemd-stub makes; the data is a constant that says what is in them."""
        name = _wide_text(event) if event.type == ev.EV_IPL else None
        return (
            self._link(event, Component.ADDITION, name) if name is not None and name in _ADDITIONS else None
        )

    def _tagged(self, event: Event) -> ChainLink | None:
        if event.type != ev.EV_EVENT_TAG:
            return None
        component = TAGGED_COMPONENTS.get(int.from_bytes(event.data[:_TAG_SIZE], "little"))
        if component is None:
            return self._text_as_command_line(event) if event.pcr == _PARAMETERS else None
        body = event.data[_TAG_HEADER_SIZE:]
        plain = body.rstrip(b"\x00")
        name = plain.decode("ascii") if plain.isascii() and b"\x00" not in plain else read_utf16(body)
        text = self._load_options(event) if component is Component.COMMAND_LINE else None
        return self._link(event, component, name or "without a name", text=text)

    def _load_options(self, event: Event) -> str | None:
        """What GRUB gave to the kernel's EFI stub, where this digest covers the command line that GRUB measured."""
        if self.line is None:
            return None
        options = f"{LOAD_OPTIONS_START}{self.line}"
        covered = event.digests[self.bank] == BANKS[self.bank].digest(options.encode("utf-16-le"))
        return options if covered else None

    def _text_as_command_line(self, event: Event) -> ChainLink | None:
        """UTF-16 text that its digest covers; text that it does not cover is a command line by hint only."""
        if event.type not in {ev.EV_IPL, ev.EV_EVENT_TAG}:
            return None
        covered = measured_payload(event, bank=self.bank)
        text = None if covered is None else read_utf16(covered)
        if event.type == ev.EV_EVENT_TAG and not (text and text.isprintable()):
            return None  # another system's binary data
        return self._link(event, Component.COMMAND_LINE, "load options", text=text)

    def _note_files(self, command: str) -> None:
        component, paths = named_files(command)
        self.kernel_named = self.kernel_named or component is Component.KERNEL
        if component is not None:
            self.files |= dict.fromkeys(paths, component)

    def _covered_text(self, event: Event) -> str | None:
        covered = measured_payload(event, bank=self.bank)
        try:
            return None if covered is None else covered.decode("utf-8").removesuffix("\x00")
        except UnicodeDecodeError:
            return None

    def _link(
        self,
        event: Event,
        component: Component,
        name: str,
        *,
        text: str | None = None,
        name_measured: bool = False,
    ) -> ChainLink:
        return ChainLink(
            number=event.number,
            pcr=event.pcr,
            component=component,
            name=name,
            digest=event.digests[self.bank],
            text=text,
            name_measured=name_measured,
        )


def _by_name(path: str) -> Component:
    file = path.rsplit("/", 1)[-1]
    if _KERNEL_FILE.match(file):
        return Component.KERNEL
    return Component.INITRD if _INITRD_FILE.match(file) else Component.BOOT_LOADER_FILE


def _wide_text(event: Event) -> str | None:
    return read_utf16(event.data)


_IMAGES, _CONFIGURATION, _TEXTS, _FILES, _SECTION, _PARAMETERS, _EXTENSIONS = BOOT_CHAIN_PCRS
_READERS: Final[MappingProxyType[int, Callable[[_Reading, Event], ChainLink | None]]] = MappingProxyType(
    {
        _IMAGES: _Reading.image,
        _CONFIGURATION: _Reading.configuration,
        _TEXTS: _Reading.command,
        _FILES: _Reading.file,
        _SECTION: _Reading.part,
        _PARAMETERS: _Reading.parameter,
        _EXTENSIONS: _Reading.addition,
    }
)
