"""`./dev bench` measures what it says, every operation for real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.issuance import TARGET_PER_S, Size, rates
from tests.contract.postgresql import programs
from tests.tools import absent, only_deep

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


def test_a_server_has_another_core_than_the_generator_that_started_it() -> None:
    if len(os.sched_getaffinity(0)) == 1:
        pytest.skip("this machine has one core")
    script = "import os; from bench.load import pin; pin(1); pin(0); print(os.sched_getaffinity(0))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "{0}\n"


def test_an_unknown_operation_is_named_with_the_known_ones() -> None:
    done = bench("verify-quotes")
    assert done.returncode == 2
    assert "verify-quotes" in done.stderr
    assert "verify-quote," in done.stderr


def test_the_figures_of_verification_are_printed_with_target_and_verdict() -> None:
    done = bench("verify", "-o", "json", "--rounds", "1", "--seconds", "0.005", "--devices", "5")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    figures = {one["name"]: one for one in told["figures"]}
    whole = figures["validate_platform, whole"]
    assert whole["target"] == 5_000
    assert whole["met"] == (whole["scaled"] >= whole["target"])
    listed = figures["IMA list of 10,000 entries, first time"]
    assert listed["met"] == (listed["scaled"] <= 20)
    assert figures["bare P-256 verification"]["target"] is None
    assert told["fleet"]["logs"] == 1


def test_without_recordings_the_variable_is_named(request: pytest.FixtureRequest) -> None:
    only_deep(request)
    environment = {name: value for name, value in os.environ.items() if name != "PVA_TEST_VECTORS"}
    command = [
        sys.executable,
        "-m",
        "bench",
        "verify",
        "--rounds",
        "1",
        "--seconds",
        "0.005",
        "--devices",
        "5",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "PVA_TEST_VECTORS names no folder" in done.stdout
    assert "validate_platform, whole" in done.stdout


def test_issuance_is_measured_on_each_store_beside_bare_signing() -> None:
    measured = list(rates(Size(devices=3, enrolments=1, signatures=10)))
    assert measured[0].of_bare_signing == 1.0
    names = [each.name for each in measured]
    assert [name.rpartition(" ")[2] for name in names] == ["signatures", *["SQLite"] * 2, *["PostgreSQL"] * 2]
    assert [each.target for each in measured[1:]] == [TARGET_PER_S, None] * 2
    assert all(0 < each.of_bare_signing < 1 for each in measured[1:])


@pytest.mark.requirement("R101")
def test_the_responder_is_measured_against_its_own_constant(request: pytest.FixtureRequest) -> None:
    only_deep(request)
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


@pytest.mark.timeout(900)
def test_a_service_of_two_nodes_is_measured_with_targets_and_verdicts(request: pytest.FixtureRequest) -> None:
    only_deep(request)
    if programs() is None:
        absent("PostgreSQL", remedy="apt-get install postgresql")
    small = ("--seconds", "2", "--devices", "4", "--workers", "2", "--many", "50")
    done = bench("service", "-o", "json", *small)
    assert done.returncode == 0, done.stderr
    figures = {one["name"]: one for one in json.loads(done.stdout)}
    assert figures["validations in all runs"]["value"] > 0
    rate = figures["validations a CPU second of the nodes"]
    assert rate["met"] == (rate["value"] >= 300)
    assert figures["  CPU ms of the nodes each"]["value"] > 0
    assert figures["  CPU ms of PostgreSQL each"]["value"] > 0
    assert figures["p99 in ms at 70% of that"]["target"] == "< 250"
    assert figures["  on that core, 50 devices in the store"]["met"] is not None
    scaled = figures["  on a core of 21,000 bare P-256 verifications a second"]["value"]
    bare = figures["  bare P-256 verifications a CPU second meanwhile"]["value"]
    assert scaled == pytest.approx(rate["value"] * 21_000 / bare, rel=0.02)
