"""From a supplier's description to the manifest that is signed."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cli.manifest_description import ManifestDescription, manifest_of
from edge.settings import SettingsError, load_settings
from standards.boot_log.algorithms import SHA256
from standards.boot_log.encode import Measurement, build_event_log, encode_event_log
from standards.boot_log.errors import BootLogError
from standards.boot_log.events import EV_IPL, EV_SEPARATOR
from standards.boot_log.payloads import SEPARATOR, boot_loader
from standards.boot_log.replay import replay
from standards.rats.corim import decode_manifest, encode_manifest, sign_manifest
from standards.rats.errors import RatsError
from standards.rats.manifest import ReferenceEvent
from tests.unit.standards.rats.manifests import MANIFEST, SIGNER, SIGNER_KEY

HEAD: dict[str, Any] = {
    "id": "gateway-1-1.0",
    "supplier": "supplier-1",
    "models": ["gateway-1"],
    "svn": 3,
    "version": "1.0",
}
LINE = b"/vmlinuz pva.tre=" + b"7e" * 32
LOG = build_event_log(
    [
        Measurement(pcr=4, type=EV_SEPARATOR, data=SEPARATOR),
        Measurement(pcr=8, type=EV_IPL, data=boot_loader("kernel_cmdline", LINE.decode()), measured=LINE),
        # says that it names a TRE, and measures something else
        Measurement(pcr=8, type=EV_IPL, data=boot_loader("grub_cmd", "echo pva.tre=1"), measured=b"other"),
        Measurement(pcr=10, type=EV_SEPARATOR, data=SEPARATOR),
    ],
    algorithms=(SHA256,),
)
DIGEST = "ab" * 32
BEFORE = sign_manifest(MANIFEST, key=SIGNER_KEY, chain=[SIGNER])


def described(**members: Any) -> ManifestDescription:
    return ManifestDescription.model_validate({**HEAD, **members})


def test_a_log_gives_registers_and_all_their_events() -> None:
    made = manifest_of(described(boot_log={"file": "x"}), boot_log=encode_event_log(LOG))
    values = replay(LOG, bank=SHA256)
    assert made.platform.registers == {SHA256: {4: values[4], 8: values[8]}}
    assert [(each.pcr, each.position, each.scope) for each in made.events] == [
        (4, 0, "platform"),
        (8, 0, "tre"),
        (8, 1, "platform"),
    ]
    assert decode_manifest(encode_manifest(made)).platform == made.platform


def test_only_the_registers_asked_for_are_taken() -> None:
    source = {"file": "x", "pcrs": [4]}
    made = manifest_of(described(boot_log=source), boot_log=encode_event_log(LOG))
    assert set(made.platform.registers[SHA256]) == {4}
    assert {each.pcr for each in made.events} == {4}


def test_values_can_be_written_down(tmp_path: Path) -> None:
    text = f"""
id = "i"
supplier = "s"
models = ["m"]
svn = 0
version = "v"
tre_image = "{DIGEST}"
valid_to = 2031-01-01T01:00:00+01:00
[registers.sha256]
4 = "{DIGEST}"
[[events]]
pcr = 4
position = 0
digest = {{ sha256 = "{DIGEST}" }}
name = "separator"
"""
    path = tmp_path / "m.toml"
    path.write_text(text)
    made = manifest_of(load_settings(ManifestDescription, path=path, environ={}), boot_log=None)
    value = bytes.fromhex(DIGEST)
    assert made.platform.registers == {SHA256: {4: value}}
    assert made.events == (
        ReferenceEvent(pcr=4, position=0, digest={SHA256: value}, name="separator", scope="platform"),
    )
    assert (made.tre_image_digest, made.valid_to) == (value, datetime(2031, 1, 1, tzinfo=UTC))
    assert decode_manifest(encode_manifest(made)) == made


@pytest.mark.negative
@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({}, "either the table boot_log"),
        ({"boot_log": {"file": "x"}, "registers": {"sha256": {"4": DIGEST}}}, "either the table boot_log"),
        ({"registers": {"sha256": {"24": DIGEST}}}, "registers.sha256"),
        ({"registers": {"sha1": {"4": DIGEST}}}, "registers.sha1"),
        ({"registers": {"sha256": {"4": DIGEST.upper()}}}, "registers.sha256.4"),
        ({"boot_log": {"file": "x", "pcrs": []}}, "boot_log.pcrs"),
        ({"boot_log": {"file": "x"}, "tre_imgae": DIGEST}, "tre_imgae"),
        ({"boot_log": {"file": "x"}, "svn": -1}, "svn"),
        ({"boot_log": {"file": "x"}, "valid_to": "2031-01-01T00:00:00"}, "valid_to"),
    ],
)
def test_a_wrong_description_is_refused_by_name(members: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        described(**members)


@pytest.mark.negative
def test_a_log_without_the_bank_or_without_sense_is_refused() -> None:
    asked = described(boot_log={"file": "x", "banks": ["sha384"]})
    with pytest.raises(BootLogError, match="sha384"):
        manifest_of(asked, boot_log=encode_event_log(LOG))
    with pytest.raises(BootLogError):
        manifest_of(described(boot_log={"file": "x"}), boot_log=b"no log")


@pytest.mark.negative
def test_an_unknown_key_in_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text('boot_log = { file = "x", pcr = [1] }\n')
    with pytest.raises(SettingsError, match=r"boot_log\.pcr: is not a setting"):
        load_settings(ManifestDescription, path=path, environ={})


UPDATE: dict[str, Any] = {
    "valid_from": datetime(2026, 8, 1, tzinfo=UTC),
    "valid_to": datetime(2027, 8, 1, tzinfo=UTC),
    "predecessor": {"file": "before.cose", "until": "2026-09-01T02:00:00+02:00"},
    "registers": {"sha256": {"4": DIGEST}},
}


@pytest.mark.requirement("R82")
def test_an_update_names_the_signed_file_that_it_follows() -> None:
    described_update = described(release_name="autumn", **UPDATE)
    made = manifest_of(described_update, boot_log=None, predecessor=BEFORE)
    assert made.predecessor is not None
    assert (made.predecessor.id, made.predecessor.digest) == (MANIFEST.id, hashlib.sha256(BEFORE).digest())
    assert made.predecessor.until == datetime(2026, 9, 1, tzinfo=UTC)
    assert (made.line, made.release) == (MANIFEST.line, "1.0 (autumn)")
    assert decode_manifest(encode_manifest(made)) == made


@pytest.mark.negative
def test_an_update_whose_predecessor_is_no_signed_manifest() -> None:
    with pytest.raises(RatsError):
        manifest_of(described(**UPDATE), boot_log=None, predecessor=b"no manifest")


@pytest.mark.negative
@pytest.mark.parametrize("missing", ["valid_from", "valid_to"])
def test_an_update_says_when_it_counts(missing: str) -> None:
    with pytest.raises(ValidationError, match="predecessor"):
        described(**{**UPDATE, missing: None})
