"""What takes two administrators, at the command: what is sent, and what is told while it waits."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from standards.pki.fingerprints import certificate_sha256, spki_sha256
from tests.fakes.ca import csr_for
from tests.fakes.pki import Authority, p256
from tests.unit.cli.person import Person

ROOT = Authority.root("TLS root")
KEY = p256()
LEAF = ROOT.issue("carol", key=KEY.public_key(), serial=0xABC)
DIGEST = "cd" * 32
ENTRY = {
    "state": "waiting",
    "name": "carol",
    "issuer_sha256": certificate_sha256(ROOT.certificate),
    "spki_sha256": spki_sha256(LEAF),
    "digest": DIGEST,
    "since": "2026-05-01T00:00:00Z",
    "approvals": [{"by": "admin", "at": "2026-05-01T00:00:00Z"}],
    "added_by": "",
    "removed_by": None,
    "removed_at": None,
    "reason": None,
}
WAITING_KEY = {
    "label": "attestation-result",
    "spki_sha256": spki_sha256(KEY.public_key()),
    "state": "waiting",
    "since": "2026-05-01T00:00:00Z",
    "name": "pva-2",
    "role": "pva",
    "dns": [],
    "ip": [],
    "serial": None,
    "digest": DIGEST,
    "approvals": [{"by": "admin", "at": "2026-05-01T00:00:00Z"}],
}
ROUTE = "/v1/administrators"


def person(folder: Path, **given: Any) -> Person:
    (folder / "tls-root.pem").write_bytes(ROOT.certificate.public_bytes(Encoding.PEM))
    (folder / "carol.pem").write_bytes(LEAF.public_bytes(Encoding.PEM))
    (folder / "result.csr").write_text(csr_for(KEY))
    made = Person(folder=folder, given=given["given"])
    made.settings = made.settings.replace("tls-root.pem", str(folder / "tls-root.pem"))
    return made


@pytest.mark.parametrize("host", ["ca", "pva"])
def test_an_administrator_is_proposed_with_the_digests_of_his_certificate(tmp_path: Path, host: str) -> None:
    somebody = person(tmp_path, given={("POST", ROUTE): ENTRY})
    answer = somebody.json(
        "administrator", "add", host, "carol", "--certificate", str(tmp_path / "carol.pem")
    )
    assert (answer["outcome"], answer["digest"], answer["approved_by"]) == ("waiting", DIGEST, "admin")
    [asked] = somebody.asked
    assert asked.host == f"https://{host}.example.net:8443"
    assert json.loads(asked.body) == {
        "name": "carol",
        "issuer_sha256": ENTRY["issuer_sha256"],
        "spki_sha256": ENTRY["spki_sha256"],
    }
    told = somebody.run("administrator", "add", host, "carol", "--certificate", str(tmp_path / "carol.pem"))
    assert f"pva administrator approve {host} {DIGEST}" in told.stdout


@pytest.mark.negative
def test_a_certificate_of_another_root_is_proposed_to_nobody(tmp_path: Path) -> None:
    somebody = person(tmp_path, given={})
    other = Authority.root("TLS root").issue("carol", key=KEY.public_key(), serial=1)
    (tmp_path / "carol.pem").write_bytes(other.public_bytes(Encoding.PEM))
    done = somebody.run(
        "administrator", "add", "ca", "carol", "--certificate", str(tmp_path / "carol.pem"), "-o", "json"
    )
    assert done.exit_code == 1
    assert "issuer-unknown" in done.output
    assert somebody.asked == []


def test_administrators_are_approved_withdrawn_removed_and_listed(tmp_path: Path) -> None:
    added = {**ENTRY, "state": "in-force", "added_by": "admin, admin-2"}
    removed = {
        **added,
        "state": "removed",
        "removed_by": "admin",
        "removed_at": ENTRY["since"],
        "reason": "left",
    }
    key = ENTRY["spki_sha256"]
    somebody = person(
        tmp_path,
        given={
            ("POST", f"{ROUTE}/{DIGEST}/approvals"): added,
            ("POST", f"{ROUTE}/{DIGEST}/withdrawal"): None,
            ("POST", f"{ROUTE}/{key}/removal"): removed,
            ("GET", ROUTE): {"administrators": [ENTRY, removed]},
        },
    )
    assert somebody.json("administrator", "approve", "pva", DIGEST)["outcome"] == "added"
    assert somebody.json("administrator", "withdraw", "pva", DIGEST)["outcome"] == "withdrawn"
    gone = somebody.json("administrator", "remove", "pva", str(key), "--reason", "left")
    assert (gone["outcome"], gone["removed_by"], gone["reason"]) == ("removed", "admin", "left")
    assert json.loads(somebody.asked[-1].body) == {"reason": "left"}
    listed = somebody.json("administrator", "list", "pva")
    assert (listed["outcome"], [row["state"] for row in listed["administrators"]]) == (
        "1 waiting",
        ["waiting", "removed"],
    )


@pytest.mark.negative
def test_an_answer_of_another_shape_is_refused(tmp_path: Path) -> None:
    somebody = person(tmp_path, given={("GET", ROUTE): {"administrators": [{"name": "x"}]}})
    done = somebody.run("administrator", "list", "pva", "-o", "json")
    assert done.exit_code == 1
    assert "answer" in done.output


def test_a_key_that_takes_two_waits_and_is_then_certified(tmp_path: Path) -> None:
    waits = {"certificate": None, "proposal": WAITING_KEY}
    files = ("--csr", str(tmp_path / "result.csr"), "--out", str(tmp_path / "result.pem"))
    words = ("certificate", "operator", "pva", "pva-2", "--purpose", "attestation-result", *files)
    route = ("POST", "/v1/operator-certificates")
    first = person(tmp_path, given={route: waits}).json(*words)
    assert (first["outcome"], first["digest"], first["approved_by"]) == ("waiting", DIGEST, "admin")
    assert not (tmp_path / "result.pem").exists()
    pem = LEAF.public_bytes(Encoding.PEM).decode()
    second = person(tmp_path, given={route: {"certificate": pem}}).json(*words)
    assert second["outcome"] == "certified"
    assert x509.load_pem_x509_certificate((tmp_path / "result.pem").read_bytes()) == LEAF
    neither = person(tmp_path, given={route: {"certificate": None}})
    (tmp_path / "result.pem").unlink()
    assert neither.run(*words).exit_code == 1


def test_registrations_of_keys_are_listed_approved_and_withdrawn(tmp_path: Path) -> None:
    registered = {**WAITING_KEY, "state": "registered"}
    somebody = person(
        tmp_path,
        given={
            ("GET", "/v1/est-enrollments"): {"enrollments": []},
            ("GET", "/v1/key-proposals"): {"key_proposals": [WAITING_KEY]},
            ("POST", "/v1/est-enrollments"): WAITING_KEY,
            ("POST", f"/v1/key-proposals/{DIGEST}/approvals"): registered,
            ("POST", f"/v1/key-proposals/{DIGEST}/withdrawal"): None,
        },
    )
    [row] = somebody.json("est", "list")["waiting"]
    assert (row["label"], row["name"], row["digest"]) == ("attestation-result", "pva-2", DIGEST)
    words = ("est", "register", "pva-2", "--label", "attestation-result", "--role", "pva")
    made = somebody.json(*words, "--csr", str(tmp_path / "result.csr"))
    assert (made["outcome"], made["digest"]) == ("waiting", DIGEST)
    assert somebody.json("est", "approve", DIGEST)["outcome"] == "registered"
    assert somebody.json("est", "withdraw", DIGEST)["outcome"] == "withdrawn"


def test_proposals_of_the_pva_are_listed_approved_and_taken_back(tmp_path: Path) -> None:
    waits = {
        "digest": DIGEST,
        "kind": "lifting",
        "subject": "a suspension",
        "proposed_at": "2026-05-01T00:00:00Z",
        "approvals": [{"by": "admin", "at": "2026-05-01T00:00:00Z"}],
        "done_at": None,
    }
    somebody = person(
        tmp_path,
        given={
            ("GET", "/v1/proposals"): {"proposals": [waits]},
            ("POST", f"/v1/proposals/{DIGEST}/approvals"): {**waits, "done_at": "2026-05-01T00:00:00Z"},
            ("POST", f"/v1/proposals/{DIGEST}/withdrawal"): None,
        },
    )
    [row] = somebody.json("proposal", "list")["proposals"]
    assert (row["kind"], row["approved_by"], row["digest"]) == ("lifting", "admin", DIGEST)
    assert somebody.json("proposal", "approve", DIGEST)["outcome"] == "lifted"
    assert somebody.json("proposal", "withdraw", DIGEST) == {"outcome": "withdrawn", "digest": DIGEST}
    assert somebody.asked[-1].path == f"/v1/proposals/{DIGEST}/withdrawal"
