"""Which component each event is about, for GRUB, systemd-boot and systemd-stub (A21)."""

from dataclasses import replace

import pytest

from standards.boot_log import events as ev
from standards.boot_log import payloads
from standards.boot_log.algorithms import BANKS, SHA256, SHA384
from standards.boot_log.boot_chain import boot_chain
from standards.boot_log.boot_chain_facts import BootChain, Component
from standards.boot_log.encode import Measurement
from standards.boot_log.errors import BootLogError
from tests.unit.standards.boot_log.boot_chains import (
    GRUB,
    LINE,
    SECTIONS,
    STUB,
    WIDE_LINE,
    command,
    file,
    image,
    log_of,
    section,
    tagged,
    wide,
)


def chain_of(*measurements: Measurement) -> BootChain:
    return boot_chain(log_of(measurements), bank=SHA256)


def names(chain: BootChain, component: Component) -> list[str]:
    return [link.name for link in chain.of(component)]


@pytest.mark.check("A21")
def test_a_boot_through_grub() -> None:
    chain = chain_of(*GRUB)
    assert len(chain.links) == len(GRUB)
    assert names(chain, Component.BOOT_LOADER) == ["\\EFI\\debian\\shimx64.efi", "\\EFI\\debian\\grubx64.efi"]
    assert names(chain, Component.BOOT_LOADER_FILE) == ["(hd0,gpt2)/boot/grub/grub.cfg"]
    assert names(chain, Component.KERNEL) == ["/boot/os-6.1", "without a path"]
    assert names(chain, Component.INITRD) == ["/boot/early.img", "(hd0,gpt2)/boot/main.img", "Linux initrd"]
    assert [link.text for link in chain.of(Component.COMMAND_LINE)] == [LINE, None]
    assert chain.links[5].digest == BANKS[SHA256].digest(b"kernel")


@pytest.mark.check("A21")
def test_a_boot_through_a_unified_kernel_image() -> None:
    chain = chain_of(*STUB)
    assert names(chain, Component.BOOT_LOADER) == ["\\EFI\\systemd\\systemd-bootx64.efi"]
    assert names(chain, Component.BOOT_LOADER_CONFIGURATION) == ["loader.conf"]
    assert names(chain, Component.KERNEL) == ["\\EFI\\Linux\\product-1.0.efi", ".linux", "without a path"]
    assert names(chain, Component.INITRD) == [".initrd", ".ucode", "extra.initrd", "Linux initrd"]
    assert names(chain, Component.ADDITION) == ["Credentials initrd", "board.dtb", "System extension initrd"]
    assert [link.text for link in chain.of(Component.COMMAND_LINE)] == [None, WIDE_LINE]
    contents = [link for link in chain.links if link.pcr == 11 and not link.name.startswith("name ")]
    assert [link.name for link in contents] == list(SECTIONS)
    assert all(link.name_measured for link in contents)


@pytest.mark.check("A21")
@pytest.mark.parametrize(
    ("path", "component"),
    [
        ("/vmlinuz-6.1", Component.KERNEL),
        ("(hd0,gpt1)/bzImage", Component.KERNEL),
        ("grub_linuxefi Kernel", Component.KERNEL),
        ("grub_linuxefi Initrd", Component.INITRD),
        ("/boot/initrd.img-6.1", Component.INITRD),
        ("/initramfs-linux.img", Component.INITRD),
        ("/boot/intel-ucode.img", Component.INITRD),
        ("/boot/grub/x86_64-efi/linux.mod", Component.BOOT_LOADER_FILE),
        ("/boot/grub/grub.cfg", Component.BOOT_LOADER_FILE),
    ],
)
def test_without_a_command_a_file_is_known_by_its_name(path: str, component: Component) -> None:
    assert [link.component for link in chain_of(file(path, b"")).links] == [component]


@pytest.mark.check("A21")
def test_systemd_boot_once_measured_its_command_line_into_pcr_8() -> None:
    chain = chain_of(wide(8, WIDE_LINE), wide(8, WIDE_LINE, measured=b"another"))
    assert [(link.component, link.text) for link in chain.links] == [
        (Component.COMMAND_LINE, WIDE_LINE),
        (Component.COMMAND_LINE, None),
    ]


@pytest.mark.check("A21")
def test_a_command_line_may_come_as_a_tagged_event() -> None:
    data = payloads.tagged(0x11223344, WIDE_LINE.encode("utf-16-le"))
    whole = Measurement(pcr=12, type=ev.EV_EVENT_TAG, data=data, measured=data[8:])
    assert [link.text for link in chain_of(whole).links] == [WIDE_LINE]


def test_what_is_no_part_of_a_known_chain_is_no_link() -> None:
    windows = [
        Measurement(pcr=11, type=0x0000000C, data=bytes(4)),
        tagged(12, 0x40010001, bytes(16), bytes(16)),
        Measurement(pcr=12, type=ev.EV_SEPARATOR, data=b"WBCL"),
        Measurement(pcr=4, type=ev.EV_EFI_ACTION, data=b"Calling EFI Application from Boot Option"),
        Measurement(pcr=14, type=ev.EV_IPL, data=b"MokList\x00", measured=b""),
        wide(11, ".unknown"),
        tagged(9, 0x11223344, b"text", b"content"),
    ]
    assert chain_of(*windows).links == ()


def test_applications_of_the_firmware_are_no_boot_loaders() -> None:
    path = bytes.fromhex("040714003535bbcd3368d64e9ab257d2acddf6f0") + bytes.fromhex(
        "040614000000000000000000000000000000aaaa7fff0400"
    )
    data = (0).to_bytes(24, "little") + len(path).to_bytes(8, "little") + path
    event = Measurement(pcr=4, type=ev.EV_EFI_BOOT_SERVICES_APPLICATION, data=data, measured=b"setup")
    assert [link.component for link in chain_of(event).links] == [Component.FIRMWARE_APPLICATION]


@pytest.mark.negative
@pytest.mark.check("A19")
@pytest.mark.check("A21")
def test_a_command_that_its_digest_does_not_cover_names_no_file() -> None:
    forged = replace(command("linux /boot/grub/grub.cfg"), measured=b"linux /boot/os-6.1")
    chain = chain_of(forged, file("/boot/grub/grub.cfg", b"configuration"))
    assert chain.links[0].text is None
    assert chain.links[1].component is Component.BOOT_LOADER_FILE


@pytest.mark.negative
@pytest.mark.check("A19")
@pytest.mark.check("A21")
def test_the_name_of_a_section_counts_only_where_a_digest_covers_it() -> None:
    name, content = section(".linux", b"kernel")
    forged = replace(name, measured=b".osrel\x00")
    assert [link.name_measured for link in chain_of(forged, content).links] == [False, False]
    assert [link.name_measured for link in chain_of(content).links] == [False]
    between = Measurement(pcr=11, type=ev.EV_SEPARATOR, data=bytes(4))
    assert [link.name_measured for link in chain_of(name, between, content).links] == [False, False]
    other = section(".initrd", b"initrd")[1]
    assert [link.name_measured for link in chain_of(name, other).links] == [False, False]
    assert [link.name_measured for link in chain_of(name, content).links] == [False, True]


@pytest.mark.negative
@pytest.mark.check("A19")
def test_a_command_line_that_its_digest_does_not_cover_has_no_text() -> None:
    for honest in (command(LINE, label="kernel_cmdline"), wide(12, WIDE_LINE)):
        forged = replace(honest, measured=b"quiet")
        assert [(link.component, link.text) for link in chain_of(forged).links] == [
            (Component.COMMAND_LINE, None)
        ]


@pytest.mark.negative
def test_a_bank_that_the_log_does_not_list_says_nothing() -> None:
    with pytest.raises(BootLogError, match="PCR bank"):
        boot_chain(log_of([image("", b"")]), bank=SHA384)
