"""Boots through GRUB and through a unified kernel image, for the tests of this room and of the appraisal."""

from collections.abc import Iterable, Sequence

from standards.boot_log import events as ev
from standards.boot_log import payloads
from standards.boot_log.algorithms import SHA256
from standards.boot_log.encode import Measurement, build_event_log
from standards.boot_log.event_log import EventLog
from tests.unit.standards.boot_log.logs import DISK

LINE = "/vmlinuz-6.1 root=/dev/vda ro"
WIDE_LINE = "console=ttyS0 quiet"
SECTIONS = (
    ".linux",
    ".osrel",
    ".cmdline",
    ".initrd",
    ".ucode",
    ".splash",
    ".dtb",
    ".uname",
    ".sbat",
    ".pcrpkey",
)


def image(path: str, content: bytes) -> Measurement:
    """An image that ran; its digest covers the image."""
    data = payloads.loaded_image(path, size=4096)
    return Measurement(pcr=4, type=ev.EV_EFI_BOOT_SERVICES_APPLICATION, data=data, measured=content)


def file(path: str, content: bytes) -> Measurement:
    """A file that GRUB read."""
    return Measurement(pcr=9, type=ev.EV_IPL, data=path.encode() + b"\x00", measured=content)


def command(text: str, *, label: str = "grub_cmd") -> Measurement:
    """A command of GRUB, or a command line of a kernel."""
    return Measurement(pcr=8, type=ev.EV_IPL, data=payloads.boot_loader(label, text), measured=text.encode())


def wide(pcr: int, text: str, *, measured: bytes | None = None) -> Measurement:
    """What systemd measures: the text itself, or something that the text describes."""
    content = text.encode("utf-16-le") if measured is None else measured
    return Measurement(pcr=pcr, type=ev.EV_IPL, data=payloads.wide(text), measured=content)


def tagged(pcr: int, tag: int, text: bytes, content: bytes) -> Measurement:
    """A tagged event whose text only names what was measured."""
    return Measurement(pcr=pcr, type=ev.EV_EVENT_TAG, data=payloads.tagged(tag, text), measured=content)


def section(name: str, content: bytes) -> tuple[Measurement, Measurement]:
    """A section of a unified kernel image: its name, then its content."""
    return wide(11, name, measured=name.encode() + b"\x00"), wide(11, name, measured=content)


GPT = Measurement(pcr=5, type=ev.EV_EFI_GPT_EVENT, data=payloads.partition_table(DISK))
GRUB = (
    GPT,
    image("\\EFI\\debian\\shimx64.efi", b"shim"),
    image("\\EFI\\debian\\grubx64.efi", b"grub"),
    file("(hd0,gpt2)/boot/grub/grub.cfg", b"configuration"),
    command("linux (hd0,gpt2)/boot/os-6.1 root=/dev/vda ro"),
    file("/boot/os-6.1", b"kernel"),
    image("", b"kernel"),
    command(LINE, label="kernel_cmdline"),
    command("initrd /boot/early.img (hd0,gpt2)/boot/main.img"),
    file("/boot/early.img", b"microcode"),
    file("(hd0,gpt2)/boot/main.img", b"initrd"),
    tagged(9, 0x8F3B22ED, b"LOADED_IMAGE::LoadOptions\x00", LINE.encode("utf-16-le")),
    tagged(9, 0x8F3B22EC, b"Linux initrd\x00", b"microcode and initrd"),
)
"""Files have names that say nothing: GRUB's measured commands tell kernel from initrd."""

STUB = (
    image("\\EFI\\systemd\\systemd-bootx64.efi", b"systemd-boot"),
    tagged(5, 0xF5BC582A, payloads.wide("loader.conf"), b"timeout 3"),
    image("\\EFI\\Linux\\product-1.0.efi", b"unified kernel image"),
    *(each for name in SECTIONS for each in section(name, b"content of " + name.encode())),
    wide(12, WIDE_LINE),
    wide(12, "Credentials initrd", measured=b"credentials"),
    tagged(12, 0x6C46F751, payloads.wide("board.dtb"), b"device tree"),
    tagged(12, 0x49DFFE0F, payloads.wide("extra.initrd"), b"more initrd"),
    wide(13, "System extension initrd", measured=b"extensions"),
    image("", b"kernel out of the image"),
    tagged(9, 0x8F3B22EC, b"Linux initrd\x00", b"initrd"),
)


def log_of(measurements: Iterable[Measurement] | Sequence[Measurement]) -> EventLog:
    """The log of a boot that measured these."""
    return build_event_log(measurements, algorithms=(SHA256,))
