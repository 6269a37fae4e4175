"""Measure how long one of each takes: `./dev bench [-o json] [--seconds N] [NAME ...]`; or `./dev bench verify`.

Everything runs in this process, on one core, with the surroundings that the unit tests use: what is measured
is our own work, not a disk's or a network's. Each operation does the whole thing, signatures included.
`./dev bench ocsp` is another matter: servers under load, and their ratios (`bench.ocsp`); and so is `./dev bench tre`: what
a device takes, on a TPM (`bench.tre`).
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

from bench import ocsp, tre, verify
from bench.operations import OPERATIONS

WARM_UP = 3
ISSUANCE = "issuance"
"""Credentials with durable storage, in batches and singly: not one operation but a run of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Times of one operation; microseconds of wall clock."""

    name: str
    runs: int
    per_second: float
    median_us: float
    p99_us: float


def timed(work: Iterator[Callable[[], object]], *, seconds: float) -> list[float]:
    """Seconds that each call took, for about `seconds` of calls; making a call ready is not counted."""
    for _ in range(WARM_UP):
        next(work)()
    times: list[float] = []
    while sum(times) < seconds:
        call = next(work)
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times


def measure(name: str, *, seconds: float) -> Measurement:
    """Measure the operation `name`."""
    times = timed(OPERATIONS[name](), seconds=seconds)
    return Measurement(
        name=name,
        runs=len(times),
        per_second=round(len(times) / sum(times), 1),
        median_us=round(statistics.median(times) * 1e6, 1),
        p99_us=round(sorted(times)[min(len(times) - 1, len(times) * 99 // 100)] * 1e6, 1),
    )


def table(measurements: Sequence[Measurement]) -> str:
    """Rows for people."""
    head = f"{'operation':<36}{'runs':>8}{'per second':>12}{'median us':>12}{'p99 us':>12}"
    rows = [f"{m.name:<36}{m.runs:>8}{m.per_second:>12}{m.median_us:>12}{m.p99_us:>12}" for m in measurements]
    return "\n".join([head, *rows])


def main() -> int:
    """Measure and print."""
    if sys.argv[1:2] == ["verify"]:
        return verify.main(sys.argv[2:])
    if sys.argv[1:2] == ["ocsp"]:
        return ocsp.main(sys.argv[2:])
    if sys.argv[1:2] == ["tre"]:
        return tre.main(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="./dev bench", description="measure the hot paths")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"one or more of: {', '.join(OPERATIONS)}; or {ISSUANCE}, alone",
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    parser.add_argument("--seconds", type=float, default=1.0, help="time to spend on each (1)")
    arguments = parser.parse_args()
    if arguments.names == [ISSUANCE]:
        from bench import issuance  # noqa: PLC0415 - it needs a database, which the others do without

        return issuance.main(arguments.output)
    unknown = set(arguments.names) - set(OPERATIONS)
    if unknown:
        parser.error(f"no such operation: {', '.join(sorted(unknown))}; there are {', '.join(OPERATIONS)}")
    measured = [measure(name, seconds=arguments.seconds) for name in arguments.names or OPERATIONS]
    if arguments.output == "json":
        sys.stdout.write(json.dumps([asdict(one) for one in measured], indent=2) + "\n")
    else:
        sys.stdout.write(table(measured) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
