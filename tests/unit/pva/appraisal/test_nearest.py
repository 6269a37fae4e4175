"""The nearest known manifest: found by digests, said as a person would say it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from pva.appraisal.boot_events import BootEvents, replay_boot_log
from pva.appraisal.nearest import CANDIDATES_MAX, DIFFERENCES_MAX, NearestManifest, nearest_manifest
from standards.boot_log import payloads
from standards.boot_log.describe import describe
from standards.boot_log.encode import Measurement
from standards.boot_log.events import EV_EFI_BOOT_SERVICES_APPLICATION, EV_EFI_VARIABLE_DRIVER_CONFIG, EV_IPL
from standards.boot_log.replay import replay
from standards.rats.corim import Manifest, PlatformReference, ReferenceEvent
from tests.fakes.attesting_device import SHA256, boot_log, decoded
from tests.fakes.pva_world import reference_manifest
from tests.unit.pva.appraisal.appraisals import GOOD

PCRS = (0, 4, 7, 8, 9)


def boot(
    *,
    kernel: str = "6.1.12",
    shim: str = "shim 15.8",
    grub: str = "grub 2.12",
    line: str = "root=/dev/vda ro quiet",
    secure: bytes = b"\x01",
    content: str = "",
) -> list[Measurement]:
    """A boot through shim and GRUB; `content` makes a kernel another one under the same name."""
    path = f"/boot/vmlinuz-{kernel}"
    variable = payloads.variable(payloads.EFI_GLOBAL_VARIABLE, "SecureBoot", secure)
    return [
        Measurement(pcr=0, type=0x00000008, data=b"firmware 1.2.3"),
        Measurement(pcr=7, type=EV_EFI_VARIABLE_DRIVER_CONFIG, data=variable),
        _image("shimx64.efi", shim),
        _image("grubx64.efi", grub),
        _text("grub_cmd", f"linux {path}"),
        Measurement(pcr=9, type=EV_IPL, data=f"{path}\0".encode(), measured=f"{kernel}{content}".encode()),
        _text("kernel_cmdline", f"{path} {line}"),
        Measurement(pcr=9, type=EV_IPL, data=f"/boot/initrd.img-{kernel}\0".encode(), measured=b"initrd"),
    ]


def _image(name: str, measured: str) -> Measurement:
    data = payloads.loaded_image(f"\\EFI\\lab\\{name}", size=0x1000)
    return Measurement(pcr=4, type=EV_EFI_BOOT_SERVICES_APPLICATION, data=data, measured=measured.encode())


def _text(label: str, text: str) -> Measurement:
    return Measurement(pcr=8, type=EV_IPL, data=payloads.boot_loader(label, text), measured=text.encode())


def manifest(
    name: str, measurements: Sequence[Measurement], *, svn: int = 1, events: bool = True
) -> Manifest:
    log = decoded(measurements)
    registers = dict.fromkeys(PCRS, bytes(32)) | replay(log, bank=SHA256)
    listed = tuple(
        ReferenceEvent(
            pcr=pcr,
            position=position,
            digest={SHA256: event.digests[SHA256]},
            name=describe(event)[:255],
            scope="platform",
        )
        for pcr in PCRS
        for position, event in enumerate(log.extended_into(pcr))
    )
    return replace(
        reference_manifest(GOOD),
        id=name,
        version=name.removeprefix("release-"),
        svn=svn,
        platform=PlatformReference(registers={SHA256: registers}),
        events=listed if events else (),
    )


def booted(measurements: Sequence[Measurement]) -> BootEvents:
    reached = replay(decoded(measurements), bank=SHA256)
    quoted = {SHA256: {pcr: reached.get(pcr, bytes(32)) for pcr in PCRS}}
    return replay_boot_log(boot_log(measurements), quoted=quoted)


def nearest(measurements: Sequence[Measurement], *known: Manifest) -> NearestManifest:
    found = nearest_manifest(booted(measurements), bank=SHA256, candidates=known)
    assert found is not None
    return found


def test_a_state_that_is_known_has_no_difference() -> None:
    known = manifest("release-1.4", boot())
    found = nearest(boot(), known)
    assert (found.sentence, found.differences) == ("release 1.4 (svn 1)", ())
    assert found.explained == found.measurements == len(PCRS) + len(boot())


def test_another_kernel_is_named_by_its_version_and_comes_first() -> None:
    found = nearest(boot(kernel="6.1.9"), manifest("release-1.4", boot()))
    assert found.sentence.startswith("release 1.4 (svn 1) with kernel 6.1.9 in place of 6.1.12, ")
    assert found.differences[0].register == 9
    assert found.explained < found.measurements


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"content": " patched"}, "another kernel 6.1.12 (digest "),
        ({"shim": "shim 15.7"}, "another shim shimx64.efi (digest "),
        ({"grub": "grub 2.06"}, "another grub grubx64.efi (digest "),
        ({"secure": b"\x00"}, "Secure Boot variable SecureBoot "),
        ({"line": "root=/dev/vda ro quiet init=/bin/sh"}, "the command line's parameter init=/bin/sh"),
        (
            {"line": "root=/dev/sda ro quiet"},
            "the command line's parameter root=/dev/sda in place of root=/dev/vda",
        ),
        ({"line": "root=/dev/vda ro quiet pva.tre=aa"}, "the command line's parameter pva.tre=aa"),
        ({"line": "root=/dev/vda ro"}, "a command line with no parameter quiet"),
    ],
)
def test_each_component_is_said_in_words(changed: dict[str, str], words: str) -> None:
    found = nearest(boot(**changed), manifest("release-1.4", boot()))  # type: ignore[arg-type]  # one of its options
    assert f" with {words}" in found.sentence
    assert len(found.differences) == 1


def test_another_tre_image_is_called_one() -> None:
    known = manifest("release-1.4", boot(line=f"ro pva.tre={'aa' * 32}"))
    found = nearest(boot(line=f"ro pva.tre={'bb' * 32}"), known)
    assert found.sentence == f"release 1.4 (svn 1) with another TRE image ({'bb' * 6} in place of {'aa' * 6})"


def test_the_manifest_that_explains_most_wins_whatever_its_place() -> None:
    old = manifest("release-1.3", boot(kernel="6.1.9", grub="grub 2.06"), svn=1)
    new = manifest("release-1.4", boot(), svn=2)
    assert nearest(boot(kernel="6.1.9", grub="grub 2.06"), new, old).sentence == "release 1.3 (svn 1)"
    assert nearest(boot(content="x"), old, new).manifest.id == "release-1.4"


def test_of_equals_the_first_is_named() -> None:
    one, other = manifest("release-1.4", boot()), manifest("release-1.4-again", boot())
    assert nearest(boot(), one, other).manifest.id == "release-1.4"
    assert nearest(boot(), other, one).manifest.id == "release-1.4-again"


def test_a_manifest_of_registers_alone_says_which_register_differs() -> None:
    found = nearest(boot(content="x"), manifest("release-1.4", boot(), events=False))
    assert found.sentence == "release 1.4 (svn 1) with other boot loader files (PCR 9)"
    assert nearest(boot(), manifest("release-1.4", boot(), events=False)).differences == ()


def test_what_came_in_addition_and_what_is_missing() -> None:
    known = manifest("release-1.4", boot())
    added = [*boot(), Measurement(pcr=9, type=EV_IPL, data=b"/boot/extra\0", measured=b"extra")]
    assert nearest(added, known).sentence.endswith(" with boot loader file extra in addition")
    missing = [each for each in boot() if b"initrd" not in each.data]
    assert nearest(missing, known).sentence.endswith(" with no boot loader files 6.1.12")


@pytest.mark.negative
def test_nothing_in_common_is_no_nearest_manifest() -> None:
    other = replace(
        manifest("release-9", boot()), events=(), platform=PlatformReference(registers={SHA256: {}})
    )
    assert nearest_manifest(booted(boot()), bank=SHA256, candidates=[other]) is None
    assert nearest_manifest(booted(boot()), bank=SHA256, candidates=[]) is None


def test_work_and_answer_are_bounded() -> None:
    known = manifest("release-1.4", boot())
    others = [manifest(f"other-{count}", boot(kernel=f"5.{count}")) for count in range(CANDIDATES_MAX)]
    found = nearest(boot(), *others, known)
    assert found.manifest.id != known.id
    many = [
        Measurement(pcr=9, type=EV_IPL, data=b"/x\0", measured=f"{count}".encode()) for count in range(500)
    ]
    long = nearest([*boot(), *many], known)
    assert len(long.differences) == DIFFERENCES_MAX
    assert long.more == 500 - DIFFERENCES_MAX
    assert long.sentence.endswith("more differences")
    assert len(long.sentence) < 2000
