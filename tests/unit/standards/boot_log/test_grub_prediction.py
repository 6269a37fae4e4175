"""A boot by GRUB made again with what is new: as the new release measures it, or refused."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from standards.boot_log.algorithms import SHA256, SHA384
from standards.boot_log.boot_chain import boot_chain
from standards.boot_log.boot_chain_facts import Component
from standards.boot_log.encode import Measurement, build_event_log
from standards.boot_log.errors import BootLogError
from standards.boot_log.events import EV_IPL
from standards.boot_log.grub_prediction import GrubChange, predict_grub
from standards.boot_log.replay import replay
from tests.unit.standards.boot_log.boot_chains import command, file, image, log_of, tagged

BANKS = (SHA256, SHA384)


def boot(version: str, *, kernel: bytes, initrd: bytes, configuration: bytes) -> list[Measurement]:
    """A boot as Ubuntu's GRUB and the kernel's EFI stub measure it."""
    line = f"/boot/vmlinuz-{version} root=/dev/vda ro"
    options = f"BOOT_IMAGE={line}".encode("utf-16-le")
    return [
        image("\\EFI\\ubuntu\\grubx64.efi", b"grub"),
        file("(hd0,gpt2)/boot/grub/grub.cfg", configuration),
        command("set default=0"),
        command(f"linux {line}"),
        file(f"/boot/vmlinuz-{version}", kernel),
        command(line, label="kernel_cmdline"),
        command(f"initrd /boot/initrd.img-{version}"),
        file(f"/boot/initrd.img-{version}", initrd),
        tagged(9, 0x8F3B22ED, b"LOADED_IMAGE::LoadOptions\x00", options),
        tagged(9, 0x8F3B22EC, b"Linux initrd\x00", initrd),
    ]


OLD = boot("6.1", kernel=b"kernel", initrd=b"initrd", configuration=b"menu of 6.1")
NEW = boot("6.2", kernel=b"new kernel", initrd=b"new initrd", configuration=b"menu of 6.2")
FILES = {
    "/boot/grub/grub.cfg": b"menu of 6.2",
    "/boot/vmlinuz-6.2": b"new kernel",
    "(hd0,gpt2)/boot/initrd.img-6.2": b"new initrd",
}
CHANGE = GrubChange(texts=(("6.1", "6.2"),), files=FILES)


def predicted(measured: Sequence[Measurement], change: GrubChange) -> dict[int, bytes]:
    """PCR 8 and 9 of the prediction, replayed."""
    log = build_event_log(measured, algorithms=BANKS)
    made = predict_grub(log, banks=BANKS, change=change)
    return replay(replace(log, events=made.events), bank=SHA384)


def reached(measured: Sequence[Measurement]) -> dict[int, bytes]:
    values = replay(build_event_log(measured, algorithms=BANKS), bank=SHA384)
    return {pcr: values[pcr] for pcr in (8, 9)}


@pytest.mark.requirement("R94")
@pytest.mark.check("A21")
def test_a_new_kernel_initrd_and_configuration_are_predicted() -> None:
    assert predicted(OLD, CHANGE) == reached(NEW)
    assert predicted(OLD, GrubChange()) == reached(OLD)


def test_names_and_texts_are_those_of_the_new_release() -> None:
    log = log_of(OLD)
    made = predict_grub(log, banks=(SHA256,), change=CHANGE)
    expected = [event for event in log_of(NEW).events if event.pcr in (8, 9)]
    assert [(each.data, each.digests) for each in made.events] == [
        (each.data, each.digests) for each in expected
    ]
    assert made.kept == ()


def test_files_that_are_not_given_are_named_as_kept() -> None:
    made = predict_grub(
        log_of(OLD), banks=(SHA256,), change=GrubChange(files={"/boot/grub/grub.cfg": b"menu of 6.2"})
    )
    assert made.kept == ("/boot/vmlinuz-6.1", "/boot/initrd.img-6.1")


def test_commands_whose_digest_has_the_nul_keep_it() -> None:
    with_nul = [replace(command("set v=6.1"), measured=b"set v=6.1\x00"), command("set v=6.1")]
    new = [replace(command("set v=6.2"), measured=b"set v=6.2\x00"), command("set v=6.2")]
    log = build_event_log(with_nul, algorithms=BANKS)
    made = predict_grub(log, banks=BANKS, change=GrubChange(texts=(("6.1", "6.2"),)))
    assert made.events == build_event_log(new, algorithms=BANKS).events


def test_files_of_red_hat_are_those_that_the_command_before_names() -> None:
    def of(version: str, kernel: bytes, initrds: tuple[bytes, bytes]) -> list[Measurement]:
        return [
            command(f"linux (hd0,gpt2)/vmlinuz-{version} ro"),
            file("grub_linuxefi Kernel", kernel),
            command(f"initrd (hd0,gpt2)/early-{version} (hd0,gpt2)/main-{version}"),
            *(file("grub_linuxefi Initrd", each) for each in initrds),
        ]

    files = {"/vmlinuz-9": b"k9", "/early-9": b"e9", "/main-9": b"m9"}
    change = GrubChange(texts=(("8", "9"),), files=files)
    old, new = of("8", b"k8", (b"e8", b"m8")), of("9", b"k9", (b"e9", b"m9"))
    assert predicted(old, change) == reached(new)
    with pytest.raises(BootLogError, match="main-9"):
        predicted(old, replace(change, files={"/vmlinuz-9": b"k9", "/early-9": b"e9"}))
    with pytest.raises(BootLogError, match="a command that names it"):
        predicted(old[1:2], GrubChange())


@pytest.mark.negative
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (GrubChange(texts=(("7.0", "7.1"),)), "text '7.0'"),
        (GrubChange(files={"/boot/other": b""}), "file '/boot/other'"),
        (GrubChange(texts=CHANGE.texts, files={"/boot/vmlinuz-6.2": b""}), "initrd.img-6.2"),
        (GrubChange(texts=CHANGE.texts), "vmlinuz-6.2"),
    ],
    ids=["a text that is nowhere", "a file that is nowhere", "an initrd without content", "a kernel without"],
)
def test_what_cannot_be_made_again_is_refused(change: GrubChange, words: str) -> None:
    with pytest.raises(BootLogError, match=words):
        predict_grub(log_of(OLD), banks=(SHA256,), change=change)


@pytest.mark.negative
@pytest.mark.check("A19")
def test_text_that_no_digest_covers_is_not_rewritten() -> None:
    forged = replace(OLD[2], data=b"grub_cmd: set default=6.1\x00")
    with pytest.raises(BootLogError, match="does not cover"):
        predicted([forged, *OLD], CHANGE)
    assert predicted([forged, *OLD], GrubChange()) == reached([forged, *OLD])


@pytest.mark.negative
@pytest.mark.parametrize("place", [8, 9], ids=["load options", "initrd"])
def test_a_rule_that_the_boot_does_not_show_is_not_applied(place: int) -> None:
    other = [replace(each, measured=b"another") if each is OLD[place] else each for each in OLD]
    with pytest.raises(BootLogError, match="as the kernel measures it"):
        predicted(other, CHANGE)


@pytest.mark.negative
def test_a_bank_that_the_log_lacks_is_refused() -> None:
    with pytest.raises(BootLogError, match="digests of sha384"):
        predict_grub(log_of(OLD), banks=BANKS, change=GrubChange())


@pytest.mark.check("A19")
def test_load_options_have_a_text_where_grub_measured_the_same_command_line() -> None:
    def texts(*measured: Measurement) -> list[str | None]:
        return [link.text for link in boot_chain(log_of(measured), bank=SHA256).of(Component.COMMAND_LINE)]

    line = "/boot/vmlinuz-6.1 root=/dev/vda ro"
    assert texts(*OLD) == [line, f"BOOT_IMAGE={line}"]
    assert texts(*OLD[:8], NEW[8]) == [line, None]
    assert texts(OLD[8]) == [None]


def test_text_with_a_nul_inside_is_kept_as_it_is() -> None:
    odd = Measurement(pcr=8, type=EV_IPL, data=b"grub_cmd: set\x00\x00", measured=b"set\x00")
    assert predicted([odd, *OLD], CHANGE) == reached([odd, *NEW])
