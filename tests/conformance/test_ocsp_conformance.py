"""`./dev conformance ocsp`: its table is the one in the docs, and a responder that keeps to little is told so."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from tests.conformance.ocsp_service import pem
from tests.fakes.ocsp_responder import FakeResponder
from tests.fakes.pki import Authority, Validity, p256
from tests.tools import need

ROOT = Path(__file__).parents[2]
LONG = Validity(before=timedelta(days=3650), after=timedelta(days=3650))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab.conformance", "ocsp", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def rows(document: str) -> list[list[str]]:
    """Item, what it says, and what was said of this project's responder; others' columns are their own matter."""
    return [line.split(" | ")[:3] for line in document.splitlines() if line.startswith("| ")]


@pytest.mark.requirement("R101")
@pytest.mark.check("O4")
@pytest.mark.check("O7")
@pytest.mark.check("L3")
def test_this_responder_meets_every_item_and_the_document_says_so() -> None:
    need("openssl")
    done = run("-o", "document")
    assert done.returncode == 0, done.stdout
    kept = (ROOT / "docs" / "OCSP-CONFORMANCE.md").read_text()
    assert rows(done.stdout) == rows(kept), (
        "stale: ./dev conformance ocsp -o document >docs/OCSP-CONFORMANCE.md"
    )
    assert len(rows(kept)) == 35
    assert "openssl ocsp" in kept


@pytest.mark.negative
def test_a_responder_that_does_what_it_likes_is_found_out(tmp_path: Path) -> None:
    line = Authority.root("line", validity=LONG)
    good = line.issue("good", key=p256().public_key(), serial=0x51, validity=LONG)
    fake = FakeResponder(line, issued={0x51: good})
    for name, certificate in (("line", line.certificate), ("good", good)):
        (tmp_path / name).write_text(pem(certificate))
    asked = [fake.url, "--issuer", str(tmp_path / "line"), "--good", str(tmp_path / "good")]
    try:
        done = run(*asked, "-o", "json")
    finally:
        fake.close()
    assert done.returncode == 3, done.stderr
    told = {each["item"]: each for each in json.loads(done.stdout)[fake.url]}
    assert told["N5"]["outcome"] == "fail"  # it knows POST only
    assert told["O1"]["outcome"] == "fail"
    assert told["O9"] == {
        "item": "O9",
        "outcome": "n/a",
        "reason": "no certificate that was never issued is at hand (--unknown)",
    }
    gone = run(*asked)
    assert gone.returncode == 4
    assert "nobody answers" in gone.stderr


@pytest.mark.negative
def test_what_is_missing_is_named(tmp_path: Path) -> None:
    without = run("http://127.0.0.1:1/")
    assert without.returncode == 2
    assert "--issuer" in without.stderr
    (tmp_path / "x").write_text("no certificate")
    rubbish = run("http://127.0.0.1:1/", "--issuer", str(tmp_path / "x"), "--good", str(tmp_path / "x"))
    assert rubbish.returncode == 2
    assert "PEM" in rubbish.stderr
