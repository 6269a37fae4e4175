"""`./dev bench` measures what it says, every operation for real."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_operation_runs_and_is_counted() -> None:
    done = bench("-o", "json", "--seconds", "0.01")
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert {one["name"] for one in measured} >= {"verify-quote", "validate-platform", "answer-ocsp"}
    assert all(one["runs"] > 0 and 0 < one["median_us"] <= one["p99_us"] for one in measured)


def test_an_unknown_operation_is_named_with_the_known_ones() -> None:
    done = bench("verify-quotes")
    assert done.returncode == 2
    assert "verify-quotes" in done.stderr
    assert "verify-quote," in done.stderr


@pytest.mark.requirement("R101")
def test_the_responder_is_measured_against_its_own_constant() -> None:
    done = bench("ocsp", "-o", "json", "--seconds", "0.1", "--rounds", "1", "--certificates", "1200")
    assert done.returncode in {0, 3}, done.stderr
    told = json.loads(done.stdout)
    names = [row["name"] for row in told["rows"]]
    assert names[0] == "cached answers / constant"
    assert any(name.startswith("1,200 certificates") for name in names)
    assert all(row["figure"] > 0 for row in told["rows"])
    assert (done.returncode == 0) == all(row["met"] for row in told["rows"])
    (once,) = told["rounds"]
    assert once["constant_get"] > 0
    assert once["bare"] > once["nonce"]
