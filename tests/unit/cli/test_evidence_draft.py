"""From a good device's evidence to a draft that a person has to finish."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.evidence_draft import DraftError, draft, read_source
from cli.manifest_description import ManifestDescription, manifest_of
from edge.settings import SettingsError, load_settings
from messages.evidence import EvidenceMessage, encode_evidence
from standards.boot_log.encode import Measurement
from standards.boot_log.events import EV_EFI_ACTION
from tests.fakes.attesting_device import SHA256, TRE_IMAGE, AttestingDevice, measurements
from tests.fakes.pva_world import World, reference_manifest
from tests.unit.cli.person import Person
from tests.unit.standards.boot_log.boot_chains import command, file

HEAD = """id = "gateway-1-1.0"
supplier = "Acme"
models = ["gateway-1"]
svn = 1
version = "1.0"
"""
LEFT_OUT = {1, 5, 6, 14}


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def evidence_of(world: World, device: AttestingDevice | None = None) -> EvidenceMessage:
    return world.answer(device)


def another(world: World, *more: Measurement) -> AttestingDevice:
    """Another device of the model, which measured something more."""
    return AttestingDevice(ek_seed=b"another", boot=(*world.device.boot, *more))


def test_a_draft_holds_what_belongs_to_the_release(world: World) -> None:
    made = draft([read_source(encode_evidence(evidence_of(world)))])
    values = world.device.pcr_values({SHA256: tuple(range(10))})[SHA256]
    assert made.registers == {SHA256: {pcr: values[pcr] for pcr in (0, 2, 3, 4, 7, 8, 9)}}
    assert set(made.left_out) == LEFT_OUT
    assert made.tre_image == TRE_IMAGE.hex()
    assert {component for _, component, _, _ in made.components} >= {"kernel", "command line", "boot loader"}
    assert any("several" in each for each in made.decisions)
    assert any("Secure Boot was OFF" in each for each in made.decisions)
    assert any("no digest covers" in each for each in made.decisions)


def test_of_several_devices_what_differs_is_left_out_and_nothing_else(world: World) -> None:
    more = Measurement(pcr=2, type=EV_EFI_ACTION, data=b"an option ROM")
    messages = [evidence_of(world), evidence_of(world, another(world, more))]
    made = draft([read_source(encode_evidence(each)) for each in messages])
    assert made.left_out == {2: "it differs between the devices"}
    assert set(made.registers[SHA256]) == {0, 1, 3, 4, 5, 6, 7, 8, 9, 14}
    assert not any("several" in each for each in made.decisions)


def test_one_machines_registers_stay_where_somebody_wants_them(world: World) -> None:
    source = read_source(encode_evidence(evidence_of(world)))
    assert set(draft([source], keep=[1, 14]).left_out) == {5, 6}


def test_what_grub_measures_of_one_installation_is_said(world: World) -> None:
    device = another(
        world, command("search --fs-uuid --set=root UUID=1"), file("(hd0)/boot/grub/grubenv", b"x")
    )
    said = draft([read_source(encode_evidence(evidence_of(world, device)))]).decisions
    assert any(each.startswith("PCR 8 holds UUIDs") for each in said)
    assert any(each.startswith("PCR 9 holds grubenv") for each in said)
    plain = draft([read_source(encode_evidence(evidence_of(world)))])
    assert not any("grubenv" in each for each in plain.decisions)
    assert any(TRE_IMAGE.hex() in name for _, part, name, _ in plain.components if part == "command line")


@pytest.mark.negative
def test_what_differs_cannot_be_kept(world: World) -> None:
    more = Measurement(pcr=2, type=EV_EFI_ACTION, data=b"an option ROM")
    sources = [
        read_source(encode_evidence(each))
        for each in (evidence_of(world), evidence_of(world, another(world, more)))
    ]
    with pytest.raises(DraftError, match="PCR 2"):
        draft(sources, keep=[2])
    with pytest.raises(DraftError, match="PCR 10"):
        draft(sources, keep=[10])
    with pytest.raises(DraftError, match="same registers"):
        draft([sources[0], replace(sources[1], registers={SHA256: {0: bytes(32)}})])
    with pytest.raises(DraftError, match="at least one"):
        draft([])


def _other_log(message: EvidenceMessage) -> EvidenceMessage:
    strange = AttestingDevice(boot=tuple(measurements(kernel=b"rootkit")))
    return replace(message, boot_log=strange.boot_log)


def _other_value(message: EvidenceMessage) -> EvidenceMessage:
    values = {**message.pcr_values[SHA256], 9: b"\x09" * 32}
    return replace(message, pcr_values={SHA256: values})


FAULTS: dict[str, Callable[[EvidenceMessage], EvidenceMessage]] = {
    "a log that does not lead to the registers": _other_log,
    "registers that the quote is not over": _other_value,
    "another AK": lambda message: replace(message, ak_public=AttestingDevice().ak.encode()),
    "a quote that was changed": lambda message: replace(
        message, attest=message.attest[:-1] + bytes([message.attest[-1] ^ 1])
    ),
    "a certificate of a key in place of the quote": lambda message: replace(
        message, attest=message.storage_key.attest, signature=message.storage_key.signature
    ),
    "no log": lambda message: replace(message, boot_log=b"no log"),
}


@pytest.mark.negative
@pytest.mark.parametrize("fault", FAULTS)
def test_parts_that_do_not_belong_together_are_no_source(world: World, fault: str) -> None:
    with pytest.raises(DraftError):
        read_source(encode_evidence(FAULTS[fault](evidence_of(world))))


@pytest.mark.negative
def test_bytes_that_are_no_evidence_are_no_source() -> None:
    with pytest.raises(DraftError):
        read_source(b"no evidence")


def test_the_command_writes_a_draft_that_nobody_can_sign_before_it_is_finished(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "device.evidence").write_bytes(encode_evidence(evidence_of(world)))
    person, out = Person(folder=tmp_path), tmp_path / "draft.toml"
    answer = person.json("manifest", "learn", str(tmp_path / "device.evidence"), "--out", str(out))
    assert answer["outcome"] == "drafted"
    assert {row["pcr"] for row in answer["left_out"]} == LEFT_OUT
    assert person.asked == []
    with pytest.raises(SettingsError) as caught:
        load_settings(ManifestDescription, path=out, environ={})
    assert all(name in str(caught.value) for name in ("id", "supplier", "models", "svn", "version"))
    finished = tmp_path / "finished.toml"
    finished.write_text(HEAD + out.read_text())
    made: Any = manifest_of(load_settings(ManifestDescription, path=finished, environ={}), boot_log=None)
    expected = reference_manifest(world.device)
    kept = {pcr for pcr in expected.platform.registers[SHA256] if pcr not in LEFT_OUT}
    assert made.platform.registers == {
        SHA256: {pcr: expected.platform.registers[SHA256][pcr] for pcr in sorted(kept)}
    }
    assert [(each.pcr, each.position, each.digest, each.scope) for each in made.events] == [
        (each.pcr, each.position, each.digest, each.scope) for each in expected.events if each.pcr in kept
    ]
    assert made.tre_image_digest == TRE_IMAGE


@pytest.mark.negative
def test_the_command_names_the_file_that_is_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    done = Person(folder=tmp_path).run(
        "manifest", "learn", str(tmp_path / "x"), "--out", str(tmp_path / "draft.toml")
    )
    assert done.exit_code == 1
    assert str(tmp_path / "x") in done.stderr
    assert not (tmp_path / "draft.toml").exists()
