"""A service of two PVAs on PostgreSQL: `./dev bench service` (whole validations by a fleet of software AKs).

A validation is what an operator and a device do: request, challenge, evidence, each over TLS and at another node than
the one before, until the result is on record with its audit leaf. What is counted is the CPU time of the nodes; that of
PostgreSQL stands beside it, and that of the devices, their responder and this program does not count. On a machine that
is busy with others a CPU second does less, and times from question to answer grow much: measure on one that is not. What a
CPU second does meanwhile is told in bare P-256 verifications, and the rate also as a core of `bench verify` would have it.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.validated_fleet import Fleet, Run
from bench.verify import P256_PER_SECOND
from tests.contract.postgresql import running_postgresql
from tests.end_to_end.pva_service import ROOT

TARGET_PER_CPU_S = 300.0
TARGET_P99_MS = 250.0
LOAD_SHARE = 0.7
REST_S = 10.0
IDLE_CONNECTIONS = 40
SAME_SHARE = 0.8
"""A rate within this part of another one counts as unchanged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What was measured, and what it is held against; `met` is None where it is not."""

    name: str
    value: float
    target: str = ""
    met: bool | None = None


def figures(*, seconds: float, devices: int, many: int, workers: int) -> list[Figure]:
    """Everything, in the order in which it was measured."""
    with (
        running_postgresql(durable=True) as database,
        tempfile.TemporaryDirectory(dir=ROOT / ".pva" / "tmp") as name,
    ):
        fleet = Fleet(Path(name), database, devices=devices)
        try:
            first = _whole(fleet.run(seconds=seconds, workers=workers))  # connections, caches
            fleet.settle()
            rest = fleet.rest(seconds=min(seconds, REST_S))
            few = _whole(fleet.run(seconds=seconds, workers=workers))
            with fleet.idle(IDLE_CONNECTIONS):
                idle = _whole(fleet.run(seconds=seconds, workers=workers))
            with fleet.slow(IDLE_CONNECTIONS):
                slow = _whole(fleet.run(seconds=seconds, workers=workers))
            rate = LOAD_SHARE * few.count / few.seconds
            paced = _whole(fleet.run(seconds=seconds, workers=workers, per_second=rate))
            fleet.fill(many)
            full = _whole(fleet.run(seconds=seconds, workers=workers))
        finally:
            fleet.close()
    done = few.count
    return [
        Figure(
            name="validations in all runs",
            value=sum(each.count for each in (first, few, idle, slow, paced, full)),
        ),
        Figure(
            name="validations a CPU second of the nodes",
            value=round(few.per_cpu_second, 1),
            target=f">= {TARGET_PER_CPU_S:.0f}",
            met=few.per_cpu_second >= TARGET_PER_CPU_S,
        ),
        Figure(
            name=f"  on a core of {P256_PER_SECOND:,} bare P-256 verifications a second",
            value=round(few.scaled, 1),
            target=f">= {TARGET_PER_CPU_S:.0f}",
            met=few.scaled >= TARGET_PER_CPU_S,
        ),
        Figure(
            name="  bare P-256 verifications a CPU second meanwhile", value=round(few.scale * P256_PER_SECOND)
        ),
        Figure(name="  CPU ms of the nodes each", value=round(few.nodes_s / done * 1000, 2)),
        Figure(name="  CPU ms a second of both nodes at rest", value=round(rest * 1000, 1)),
        Figure(name="  CPU ms of PostgreSQL each", value=round(few.database_s / done * 1000, 2)),
        Figure(
            name="  CPU ms of devices, responder, callers each", value=round(few.generator_s / done * 1000, 2)
        ),
        Figure(name="validations a second on this machine now", value=round(few.count / few.seconds, 1)),
        Figure(
            name=f"p99 in ms at {LOAD_SHARE:.0%} of that",
            value=round(paced.p99_ms, 1),
            target=f"< {TARGET_P99_MS:.0f}",
            met=paced.p99_ms < TARGET_P99_MS,
        ),
        _unchanged(f"  on that core, {IDLE_CONNECTIONS} idle connections a node", idle, beside=few),
        _unchanged(f"  on that core, {IDLE_CONNECTIONS} slow connections a node", slow, beside=few),
        _unchanged(f"  on that core, {many:,} devices in the store", full, beside=few),
    ]


def _whole(run: Run) -> Run:
    if run.errors or not run.count:
        raise RuntimeError(f"not every validation succeeded: {run.errors}")
    return run


def _unchanged(name: str, run: Run, *, beside: Run) -> Figure:
    least = SAME_SHARE * beside.scaled
    return Figure(
        name=name,
        value=round(run.scaled, 1),
        target=f">= {least:.1f}",
        met=run.scaled >= least,
    )


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./dev bench service", description="two PVAs on PostgreSQL")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each run (20)")
    parser.add_argument("--devices", type=int, default=1_000, help="devices that are validated (1000)")
    parser.add_argument(
        "--many", type=int, default=1_000_000, help="others that the store is filled with (1000000)"
    )
    parser.add_argument("--workers", type=int, default=8, help="callers at once (8)")
    given = parser.parse_args(arguments)
    if given.devices < given.workers:
        parser.error("expected a device for each worker")
    told = figures(seconds=given.seconds, devices=given.devices, many=given.many, workers=given.workers)
    if given.output == "json":
        sys.stdout.write(json.dumps([asdict(each) for each in told], indent=2) + "\n")
        return 0
    sys.stdout.write(f"{'figure':<52}{'value':>12}{'target':>12}   met\n")
    for each in told:
        verdict = {True: "yes", False: "NO", None: ""}[each.met]
        sys.stdout.write(f"{each.name:<52}{each.value:>12,}{each.target:>12}   {verdict}\n")
    return 0
