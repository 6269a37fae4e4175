"""`pva result export` and `recheck`: what is written, what is confirmed, what is refused."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from pva.recheck.bundles import decode_bundle
from pva.results.explanation import Reader
from tests.fakes.attesting_device import measurements
from tests.fakes.pki import NOW
from tests.fakes.pva_log import NAME, MemoryLog
from tests.fakes.pva_world import TENANT, World
from tests.fakes.real_status import signed_status
from tests.unit.cli.person import Person

RESULT = "4a" * 16
READER = Reader(role="sho", tenant=TENANT)


@pytest.fixture(scope="module")
def world() -> World:
    made = World()
    made.responder = signed_status(made.supplier)
    return made


def lie(world: World, folder: Path) -> None:
    """The operators' root, as the reader has it from elsewhere."""
    pem = world.operators.certificate.public_bytes(Encoding.PEM)
    (folder / "operators-root.pem").write_bytes(pem)


def recheck(somebody: Person, folder: Path, *more: str) -> int:
    words = ("result", "recheck", str(folder / "bundle.json"))
    root = str(folder / "operators-root.pem")
    return somebody.run(*words, "--operators-root", root, *more).exit_code


def test_an_exported_bundle_is_confirmed_without_settings(world: World, tmp_path: Path) -> None:
    lie(world, tmp_path)
    good = world.validate(world.answer())
    world.log = MemoryLog()
    waiting = decode_bundle(world.export_desk.bundle(good.id, reader=READER, at=NOW))
    world.log.place(waiting["audit-leaf"])
    answer = json.loads(world.export_desk.bundle(good.id, reader=READER, at=NOW))
    somebody = Person(folder=tmp_path, given={("GET", f"/v1/results/{RESULT}/bundle"): answer})
    out = str(tmp_path / "bundle.json")
    done = somebody.json("result", "export", RESULT, "--out", out)
    assert done["outcome"] == "exported"
    assert {"evidence", "status", "manifest-0", "audit-leaf"} <= set(done["parts"])
    assert recheck(somebody, tmp_path) == 0
    key = tmp_path / "log.key"
    key.write_text(f"{MemoryLog().verifier}\n")
    root = str(tmp_path / "operators-root.pem")
    words = ("result", "recheck", out, "--operators-root", root)
    unchecked, checked = somebody.json(*words), somebody.json(*words, "--verifier-key", str(key))
    assert unchecked["log"] == "not checked"
    assert "give its key as --verifier-key" in somebody.run(*words).output
    assert checked["log"] == f"{NAME}, under its root of 8 leaves"
    assert checked["leaf"] == unchecked["leaf"]
    assert len(somebody.asked) == 1


def test_a_bad_verdict_is_confirmed_with_3_and_a_changed_part_is_refused_with_1(
    world: World, tmp_path: Path
) -> None:
    lie(world, tmp_path)
    world.device = type(world.device)(
        ak_key=world.device.ak_key,
        storage=world.device.storage,
        boot=tuple(measurements(kernel=b"another")),
        clock_info=world.device.later().clock_info,
    )
    bad = world.validate(world.answer())
    bundle = world.export_desk.bundle(bad.id, reader=READER, at=NOW)
    (tmp_path / "bundle.json").write_bytes(bundle)
    somebody = Person(folder=tmp_path)
    assert recheck(somebody, tmp_path) == 3
    value = json.loads(bundle)
    value["parts"]["status"] = value["parts"]["history"]
    (tmp_path / "bundle.json").write_text(json.dumps(value))
    root = str(tmp_path / "operators-root.pem")
    words = ("result", "recheck", str(tmp_path / "bundle.json"), "--operators-root", root)
    refused = somebody.json(*words)
    assert (refused["outcome"], refused["error"]["subject"]) == ("refused", "status")
    assert recheck(somebody, tmp_path) == 1
