"""Digests of EFI images and of unified kernel images, by pesign and systemd-measure, which are right until shown otherwise."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from standards.boot_log.algorithms import BANKS, SHA1, SHA256
from standards.boot_log.decode import decode_event_log
from standards.boot_log.encode import build_event_log
from standards.boot_log.events import EV_EFI_ACTION, EV_SEPARATOR
from standards.boot_log.portable_executable import decode_image
from standards.boot_log.prediction import predict_images, predict_sections
from standards.boot_log.replay import replay
from tests.tools import absent, need, shared_vectors
from tests.unit.standards.boot_log.images import image

EFI = Path("/usr/lib/systemd/boot/efi")
STUB = EFI / "linuxx64.efi.stub"
PARTS = {
    "linux": image({".text": b"kernel code"}).data * 9,
    "osrel": b"ID=x\n",
    "cmdline": b"root=/dev/vda ro",
    "initrd": b"initrd" * 999,
    "splash": b"BM",
    "pcrpkey": b"-----BEGIN PUBLIC KEY-----",
}
BASE, STEP = 0x100000, 0x10000


def stubs() -> list[Path]:
    found = sorted(EFI.glob("*.efi*"))
    if not found:
        absent(str(EFI), remedy="apt-get install systemd-boot-efi")
    return found


def unified(folder: Path) -> Path:
    """A unified kernel image, put together by objcopy around the distribution's stub."""
    stubs()
    options: list[str] = []
    for number, (name, content) in enumerate(PARTS.items()):
        (folder / name).write_bytes(content)
        address = f".{name}={BASE + number * STEP:#x}"
        options += ["--add-section", f".{name}={folder / name}", "--change-section-vma", address]
    made = folder / "unified.efi"
    subprocess.run([need("objcopy"), *options, STUB, made], check=True)
    return made


def pesign_digest(path: Path) -> str:
    done = subprocess.run(
        [need("pesign"), "--hash", "--digest_type", "sha256", "--in", path],
        check=True,
        capture_output=True,
        text=True,
    )
    words = done.stdout.split()
    return next(word for word in words if len(word) == 2 * BANKS[SHA256].size)


@pytest.mark.check("A21")
def test_digests_of_images_are_those_of_pesign(tmp_path: Path) -> None:
    built = tmp_path / "built.efi"
    built.write_bytes(image({".text": b"code", ".data": b"d" * 700}, after=b"symbols!").data)
    for path in (*stubs(), unified(tmp_path), built):
        measured = decode_image(path.read_bytes()).measured
        assert BANKS[SHA256].digest(measured).hex() == pesign_digest(path), path.name


@pytest.mark.check("A21")
def test_pcr_11_of_a_unified_image_is_that_of_systemd_measure(tmp_path: Path) -> None:
    places = os.pathsep.join((os.environ["PATH"], "/usr/lib/systemd", "/lib/systemd"))
    tool = shutil.which("systemd-measure", path=places)
    if tool is None:
        absent("systemd-measure", remedy="apt-get install systemd")
    made = unified(tmp_path)
    options = [f"--{name}={tmp_path / name}" for name in PARTS]
    done = subprocess.run(
        [str(tool), "calculate", "--bank=sha256", "--bank=sha384", "--phase=", "--json=short", *options],
        check=True,
        capture_output=True,
        text=True,
    )
    log = build_event_log(predict_sections(decode_image(made.read_bytes())), algorithms=(0x000B, 0x000C))
    ours = {BANKS[bank].name: replay(log, bank=bank)[11].hex() for bank in log.algorithms}
    assert ours == {bank: rows[0]["hash"] for bank, rows in json.loads(done.stdout).items()}


@pytest.mark.check("A21")
def test_pcr_4_begins_as_real_machines_begin_it() -> None:
    """Wherever a log says that firmware called an application, the words and the separator are those predicted."""
    predicted = build_event_log(predict_images([]), algorithms=(SHA1, SHA256)).events
    attempt, separator = (each.digests for each in predicted)
    seen = 0
    for path in sorted((shared_vectors() / "eventlogs").glob("*.bin")):
        log = decode_event_log(path.read_bytes())
        for event in log.extended_into(4):
            bank = next(bank for bank in (SHA256, SHA1) if bank in event.digests)
            if event.type == EV_EFI_ACTION and event.data == predicted[0].data:
                seen += 1
                assert event.digests[bank] == attempt[bank], path.name
            if event.type == EV_SEPARATOR and event.data == predicted[1].data:
                assert event.digests[bank] == separator[bank], path.name
    assert seen
