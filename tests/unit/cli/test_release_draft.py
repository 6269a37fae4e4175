"""From a release's files to a draft that a person has to finish."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from cli.manifest_description import ManifestDescription, manifest_of
from cli.release_draft import Release, draft_release
from edge.settings import load_settings
from pva.appraisal.boot_events import replay_boot_log
from pva.appraisal.nearest import nearest_manifest
from pva.appraisal.policy import AppraisalPolicy
from pva.manifests.content import check_manifest
from standards.boot_log.algorithms import SHA256, SHA384
from standards.boot_log.encode import encode_event_log
from standards.boot_log.errors import BootLogError
from standards.boot_log.grub_prediction import GrubChange
from standards.boot_log.replay import replay
from tests.fakes.credentials import FakeSupplier
from tests.fakes.pva_world import POLICY
from tests.unit.cli.person import Person
from tests.unit.cli.test_evidence_draft import HEAD
from tests.unit.pva.appraisal.appraisals import appraised, booted
from tests.unit.standards.boot_log.boot_chains import log_of
from tests.unit.standards.boot_log.images import image, unified
from tests.unit.standards.boot_log.test_grub_prediction import CHANGE, FILES, NEW, OLD

SHIM, GRUB, KERNEL = (image({".text": text}).data for text in (b"shim", b"grub", b"kernel"))
UNIFIED = image(unified()).data
ASKED = AppraisalPolicy(
    pcr_selections={SHA256: (4, 11, 12, 13)}, clock_grace=POLICY.clock_grace, result_life=POLICY.result_life
)


def test_a_unified_image_gives_pcr_4_and_11_and_two_that_stay_untouched() -> None:
    release = Release(images=(("shim.efi", SHIM), ("gateway.efi", UNIFIED)), unified=True)
    made = draft_release(release, bank_names=["sha256", "sha384"])
    assert {bank: set(values) for bank, values in made.registers.items()} == {
        SHA256: {4, 11, 12, 13},
        SHA384: {4, 11, 12, 13},
    }
    assert made.registers[SHA256][12] == bytes(32)
    assert len(made.log.extended_into(4)) == 4
    assert any("pcr_selection" in each for each in made.decisions)


def test_the_command_line_in_a_unified_image_names_the_tre() -> None:
    names = image(unified(cmdline=b"root=/dev/vda ro pva.tre=" + b"5a" * 32 + b"\x00")).data
    both = image(unified(cmdline=b"pva.tre=" + b"5a" * 32 + b" pva.tre=" + b"5b" * 32)).data
    drafts = [
        draft_release(Release(images=(("gateway.efi", each),), unified=True), bank_names=["sha256"])
        for each in (names, both, UNIFIED)
    ]
    assert [each.tre_image for each in drafts] == ["5a" * 32, None, None]
    assert [any("names no TRE image" in said for said in each.decisions) for each in drafts] == [
        False,
        True,
        True,
    ]


def test_the_kernel_inside_is_one_image_more_where_firmware_measures_it() -> None:
    images = (("gateway.efi", UNIFIED),)
    plain = draft_release(Release(images=images, unified=True), bank_names=["sha256"])
    both = draft_release(Release(images=images, unified=True, inner_kernel=True), bank_names=["sha256"])
    assert len(both.log.extended_into(4)) == len(plain.log.extended_into(4)) + 1
    assert both.registers[SHA256][4] != plain.registers[SHA256][4]
    assert both.registers[SHA256][11] == plain.registers[SHA256][11]
    kernel = hashlib.sha256(image({".text": b"kernel code"}).measured).hexdigest()
    assert (4, "image", "kernel in gateway.efi", kernel) in both.components


def test_files_that_grub_reads_are_listed_and_are_no_reference_values() -> None:
    release = Release(
        images=(("shim.efi", SHIM), ("grub.efi", GRUB)),
        kernel=("vmlinuz", KERNEL),
        initrd=("initrd", b"initrd"),
        command_line="/vmlinuz ro",
    )
    made = draft_release(release, bank_names=["sha256"])
    assert set(made.registers[SHA256]) == {4}
    assert (9, "initrd", "initrd", hashlib.sha256(b"initrd").hexdigest()) in made.components
    assert (9, "kernel", "vmlinuz", hashlib.sha256(KERNEL).hexdigest()) in made.components
    assert (8, "command line", "/vmlinuz ro", hashlib.sha256(b"/vmlinuz ro").hexdigest()) in made.components


def test_the_command_writes_what_a_pva_accepts_once_a_person_has_finished_it(tmp_path: Path) -> None:
    for name, data in (("shim.efi", SHIM), ("gateway.efi", UNIFIED)):
        (tmp_path / name).write_bytes(data)
    person, out = Person(folder=tmp_path), tmp_path / "release.toml"
    images = ["--image", str(tmp_path / "shim.efi"), "--image", str(tmp_path / "gateway.efi")]
    answer = person.json("manifest", "build", *images, "--unified", "--out", str(out))
    assert (answer["outcome"], answer["pcrs"]) == ("drafted", [4, 11, 12, 13])
    assert person.asked == []
    finished = tmp_path / "finished.toml"
    finished.write_text(HEAD + out.read_text())
    made = manifest_of(load_settings(ManifestDescription, path=finished, environ={}), boot_log=None)
    check_manifest(made, signer=FakeSupplier.make().recognised(), only_of=None, policy=ASKED)


@pytest.mark.negative
def test_what_is_no_image_is_not_predicted(tmp_path: Path) -> None:
    (tmp_path / "x.efi").write_bytes(b"MZ and no more")
    person, out = Person(folder=tmp_path), tmp_path / "release.toml"
    done = person.run("manifest", "build", "--image", str(tmp_path / "x.efi"), "--out", str(out))
    assert (done.exit_code, out.exists()) == (1, False)
    assert "x.efi" in done.stderr
    assert person.run("manifest", "build", "--out", str(out)).exit_code == 2
    with pytest.raises(BootLogError, match="systemd-stub"):
        draft_release(Release(images=(("shim.efi", SHIM),), unified=True), bank_names=["sha256"])


GRUB_RELEASE = Release(
    images=(("shim.efi", SHIM), ("grub.efi", GRUB)),
    grub_boot=encode_event_log(log_of(OLD)),
    grub_change=CHANGE,
)


@pytest.mark.requirement("R94")
@pytest.mark.check("A21")
def test_the_boot_log_of_a_good_boot_makes_grubs_registers_predictable() -> None:
    made = draft_release(GRUB_RELEASE, bank_names=["sha256"])
    expected = replay(log_of(NEW), bank=SHA256)
    assert set(made.registers[SHA256]) == {4, 8, 9}
    assert {pcr: made.registers[SHA256][pcr] for pcr in (8, 9)} == {pcr: expected[pcr] for pcr in (8, 9)}
    line = "/boot/vmlinuz-6.2 root=/dev/vda ro"
    assert (8, "command line", line, hashlib.sha256(line.encode()).hexdigest()) in made.components
    assert (9, "kernel", "/boot/vmlinuz-6.2", hashlib.sha256(b"new kernel").hexdigest()) in made.components
    assert [event.number for event in made.log.events] == list(range(1, len(made.log.events) + 1))
    assert any("runs the same commands" in each for each in made.decisions)
    assert any("names no TRE image" in each for each in made.decisions)


def test_the_command_line_of_a_boot_by_grub_names_the_tre() -> None:
    old, new = "ro", "ro pva.tre=" + "5a" * 32
    change = replace(CHANGE, texts=(*CHANGE.texts, ("/dev/vda " + old, "/dev/vda " + new)))
    made = draft_release(replace(GRUB_RELEASE, grub_change=change), bank_names=["sha256"])
    assert made.tre_image == "5a" * 32
    assert not any("names no TRE image" in each for each in made.decisions)
    kept = draft_release(replace(GRUB_RELEASE, grub_change=GrubChange()), bank_names=["sha256"])
    assert any("/boot/vmlinuz-6.1, /boot/initrd.img-6.1" in each for each in kept.decisions)


@pytest.mark.requirement("R94")
@pytest.mark.check("A21")
def test_a_device_with_the_predicted_release_is_affirmed_and_one_with_the_old_is_explained(
    tmp_path: Path,
) -> None:
    for name, data in (("shim.efi", SHIM), ("grub.efi", GRUB), ("boot.log", encode_event_log(log_of(OLD)))):
        (tmp_path / name).write_bytes(data)
    arguments = ["--image", str(tmp_path / "shim.efi"), "--image", str(tmp_path / "grub.efi")]
    arguments += ["--grub-boot", str(tmp_path / "boot.log"), "--grub-text", "6.1", "6.2"]
    for number, (path, content) in enumerate(FILES.items()):
        (tmp_path / str(number)).write_bytes(content)
        arguments += ["--grub-file", path, str(tmp_path / str(number))]
    out, finished = tmp_path / "release.toml", tmp_path / "finished.toml"
    answer = Person(folder=tmp_path).json("manifest", "build", *arguments, "--out", str(out))
    assert (answer["outcome"], answer["pcrs"]) == ("drafted", [4, 8, 9])
    finished.write_text(HEAD + out.read_text())
    made = manifest_of(load_settings(ManifestDescription, path=finished, environ={}), boot_log=None)
    asked = {SHA256: (8, 9)}
    grub = [each for each in NEW if each.pcr in (8, 9)]
    good = appraised(booted(*grub), made, selections=asked)
    assert {each.code for each in good.findings} <= {"tre-image-no-reference", "model-mismatch"}
    old = appraised(booted(*(each for each in OLD if each.pcr in (8, 9))), made, selections=asked)
    named = {each.code: each for each in old.findings}
    assert {"kernel-mismatch", "initrd-mismatch", "command-line-mismatch"} <= set(named)
    kernel = named["kernel-mismatch"]
    assert kernel.expected == hashlib.sha256(b"new kernel").hexdigest()
    assert kernel.measured == hashlib.sha256(b"kernel").hexdigest()
    assert "/boot/vmlinuz-6.1" in (kernel.event or "")
    assert "/boot/vmlinuz-6.2" in (kernel.event or "")
    boot = replay_boot_log(encode_event_log(log_of(OLD)), quoted={SHA256: dict(old.quote.pcr_values[SHA256])})
    nearest = nearest_manifest(boot, bank=SHA256, candidates=[made])
    assert nearest is not None
    assert "kernel 6.1 in place of 6.2" in nearest.sentence


@pytest.mark.negative
def test_a_change_without_a_boot_and_a_boot_that_cannot_be_made_again_are_refused(tmp_path: Path) -> None:
    (tmp_path / "shim.efi").write_bytes(SHIM)
    (tmp_path / "boot.log").write_bytes(encode_event_log(log_of(OLD)))
    person, out = Person(folder=tmp_path), tmp_path / "release.toml"
    build = ["manifest", "build", "--image", str(tmp_path / "shim.efi"), "--out", str(out)]
    assert person.run(*build, "--grub-text", "6.1", "6.2").exit_code == 2
    done = person.run(*build, "--grub-boot", str(tmp_path / "boot.log"), "--grub-text", "6.1", "6.2")
    assert (done.exit_code, out.exists()) == (1, False)
    assert "vmlinuz-6.2" in done.stderr
    (tmp_path / "boot.log").write_bytes(b"no log")
    assert person.run(*build, "--grub-boot", str(tmp_path / "boot.log")).exit_code == 1
