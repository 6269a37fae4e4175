"""What administrators type about manifests, with a PVA that answers from a table."""

from pathlib import Path
from typing import Any

import pytest

from standards.rats.corim import sign_manifest
from tests.unit.cli.person import Person
from tests.unit.standards.rats.manifests import MANIFEST, SIGNER, SIGNER_KEY, SUCCESSOR

DIGEST = "ab" * 32
ENTRY: dict[str, Any] = {
    "id": "m-1",
    "supplier": "Acme",
    "svn": 1,
    "models": ["gw-1"],
    "digest": DIGEST,
    "release": "1.0",
    "line": "m-1",
    "predecessor": None,
    "predecessor_until": None,
    "valid_from": None,
    "valid_to": None,
    "imported_by": "acme",
    "imported_at": "2026-11-25T12:00:00Z",
    "standing": "waiting",
    "approvals": [{"by": "admin", "at": "2026-11-25T12:00:00Z"}],
    "retired": None,
}
APPROVED = {**ENTRY, "id": "m-0", "standing": "approved"}


def test_those_that_wait_are_listed_with_who_approved_them(tmp_path: Path) -> None:
    person = Person(folder=tmp_path, given={("GET", "/v1/manifests"): {"manifests": [ENTRY, APPROVED]}})
    answer = person.json("manifest", "waiting")
    assert [(row["id"], row["digest"], row["approved_by"]) for row in answer["manifests"]] == [
        ("m-1", DIGEST, "admin")
    ]


def test_an_approval_names_the_digest_and_says_whether_another_is_needed(tmp_path: Path) -> None:
    person = Person(folder=tmp_path, given={("POST", f"/v1/manifests/{DIGEST}/approvals"): ENTRY})
    assert (
        f"another administrator: pva manifest approve {DIGEST}"
        in person.run("manifest", "approve", DIGEST).stdout
    )
    person.given = {("POST", f"/v1/manifests/{DIGEST}/approvals"): APPROVED}
    assert person.json("manifest", "approve", DIGEST)["outcome"] == "approved"


def test_retiring_needs_a_reason(tmp_path: Path) -> None:
    retired = {**ENTRY, "standing": "retired"}
    person = Person(folder=tmp_path, given={("POST", f"/v1/manifests/{DIGEST}/retirement"): retired})
    assert person.run("manifest", "retire", DIGEST).exit_code == 2
    assert person.asked == []
    assert person.json("manifest", "retire", DIGEST, "--reason", "a flaw")["outcome"] == "retired"
    assert b"a flaw" in person.asked[-1].body


def test_a_check_sends_the_file_and_asks_for_nothing_else(tmp_path: Path) -> None:
    person = Person(folder=tmp_path, given={("POST", "/v1/manifest-checks"): ENTRY})
    (tmp_path / "m.cose").write_bytes(b"signed bytes")
    assert person.json("manifest", "check", str(tmp_path / "m.cose"))["outcome"] == "acceptable"
    assert [(each.path, each.body) for each in person.asked] == [("/v1/manifest-checks", b"signed bytes")]


def test_two_files_are_compared_without_the_network(tmp_path: Path) -> None:
    person = Person(folder=tmp_path)
    for name, manifest in (("old", MANIFEST), ("new", SUCCESSOR)):
        (tmp_path / name).write_bytes(sign_manifest(manifest, key=SIGNER_KEY, chain=[SIGNER]))
    answer = person.json("manifest", "diff", str(tmp_path / "old"), str(tmp_path / "new"))
    assert answer["outcome"] == "6 differences"
    svn = next(row for row in answer["differences"] if row["name"] == "svn")
    assert (svn["kind"], svn["old"], svn["new"]) == ("release", "7", "8")
    assert person.asked == []


@pytest.mark.negative
def test_what_is_no_manifest_is_not_compared(tmp_path: Path) -> None:
    person = Person(folder=tmp_path)
    (tmp_path / "x").write_bytes(b"no manifest")
    done = person.run("manifest", "diff", str(tmp_path / "x"), str(tmp_path / "x"))
    assert done.exit_code == 1
    assert "what to do:" in done.stderr
