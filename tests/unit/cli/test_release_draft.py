"""From a release's files to a draft that a person has to finish."""

import hashlib
from pathlib import Path

import pytest

from cli.manifest_description import ManifestDescription, manifest_of
from cli.release_draft import Release, draft_release
from edge.settings import load_settings
from pva.appraisal.policy import AppraisalPolicy
from pva.manifests.content import check_manifest
from standards.boot_log.algorithms import SHA256, SHA384
from standards.boot_log.errors import BootLogError
from tests.fakes.credentials import FakeSupplier
from tests.fakes.pva_world import POLICY
from tests.unit.cli.person import Person
from tests.unit.cli.test_evidence_draft import HEAD
from tests.unit.standards.boot_log.images import image, unified

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
