"""`./dev bench` measures what it says, every operation for real."""

import json
import subprocess
import sys
from pathlib import Path

from bench.issuance import TARGET_PER_S, Size, rates

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


def test_issuance_is_measured_on_each_store_beside_bare_signing() -> None:
    measured = list(rates(Size(devices=3, enrolments=1, signatures=10)))
    assert measured[0].of_bare_signing == 1.0
    names = [each.name for each in measured]
    assert [name.rpartition(" ")[2] for name in names] == ["signatures", *["SQLite"] * 2, *["PostgreSQL"] * 2]
    assert [each.target for each in measured[1:]] == [TARGET_PER_S, None] * 2
    assert all(0 < each.of_bare_signing < 1 for each in measured[1:])
