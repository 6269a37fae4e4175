"""`./dev bench ocsp`: the responder's speed as ratios of one run, against what the same machine can do at the time.

The server has one core and the generator another; each round measures everything one after the other, and the table
shows the median of the rounds' ratios. Absolute figures belong to one machine and one moment; ratios travel better.

Rates are answers for each second that the server's process had its core. On an idle machine that is wall-clock time,
as each server is kept busy all the time; where others use the core too, what they took is not counted as the
server's. Latencies are wall-clock time, and say little unless the machine is idle.

    constant    the same server, in the same process, answering the same octets to everything
    bare        P-256 signatures a second of the same library, in a process that does nothing else
    openssl     `openssl ocsp`, one responder process, a connection for each request as it closes them
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.load import Load, LoadError, each_once, paced, pin, reconnecting, saturate
from bench.ocsp_material import Material, OpensslResponder

SERVER_CORE, GENERATOR_CORE = 0, 1
FEW, MANY = 1_000, 1_000_000
NO_SLOWER = 0.95
"""What counts as no slower: two medians of the same thing differ by as much."""
_ROOT = Path(__file__).parents[1]
_BARE = """
import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
key, scheme, data = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256()), bytes(200)
began = time.perf_counter(); worked = time.process_time(); count = 0
while time.perf_counter() < began + float(sys.argv[2]):
    for _ in range(50): key.sign(data, scheme)
    count += 50
print(count / (time.process_time() - worked))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: what was wanted, what was measured."""

    name: str
    target: str
    figure: float
    unit: str
    met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Everything for each second of the server's work, of one round."""

    constant_get: float
    constant_post: float
    cached: float
    nonce: float
    bare: float
    openssl: float | None


class Server:
    """The responder's process over one store, with the ports of its two listeners."""

    def __init__(self, material: Material) -> None:
        """Start it, and note how long it took to be ready."""
        began = time.perf_counter()
        command = [sys.executable, "-m", "bench.ocsp_server", str(material.folder), str(SERVER_CORE)]
        self._process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603
        if self._process.stdout is None:
            raise LoadError("the server has no output")
        ready = json.loads(self._process.stdout.readline())
        self.ready_s = time.perf_counter() - began
        urls: Mapping[str, str] = ready["listeners"]
        self.public, self.constant = (urlsplit(urls[name]).port or 0 for name in ("public", "constant"))

    def resident_mb(self) -> float:
        """Memory of the process."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def rate(self, port: int, requests: Sequence[bytes], *, seconds: float) -> float:
        """Answers for each second of its work, on one of its listeners."""
        worked = worked_s(self._process.pid)
        done = saturate(port, requests, seconds=seconds)
        return done.answers / (worked_s(self._process.pid) - worked)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=20)
        if self._process.stdout is not None:
            self._process.stdout.close()


def worked_s(pid: int) -> float:
    """For how long the threads of a process have had a core until now."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in tasks) / 1e9


@contextlib.contextmanager
def _serving(material: Material) -> Iterator[Server]:
    server = Server(material)
    try:
        yield server
    finally:
        server.stop()


def measure(*, rounds: int, seconds: float, many: int) -> tuple[list[Row], list[Round]]:
    """Measure all; raises LoadError when a server does not answer 200 to everything."""
    pin(GENERATOR_CORE)
    with tempfile.TemporaryDirectory(prefix="bench-ocsp-") as folder:
        few = Material(Path(folder) / "few", certificates=FEW)
        openssl = OpensslResponder(few, core=SERVER_CORE)
        with _serving(few) as server:
            measured = [_round(server, few, openssl, seconds=seconds) for _ in range(rounds)]
            calm = [_calm(server.public, asked, seconds=seconds) for asked in (few.gets, few.nonces)]
            rows = _speed_rows(measured, calm)
            rows += _size_rows(
                server, few, Material(Path(folder) / "many", certificates=many), seconds, rounds
            )
        return rows, measured


def _round(server: Server, material: Material, openssl: OpensslResponder, *, seconds: float) -> Round:
    constant = server.rate(server.constant, material.gets, seconds=seconds)
    each_once(server.public, material.gets)  # signed, and at hand from now on
    return Round(
        constant_get=constant,
        cached=server.rate(server.public, material.gets, seconds=seconds),
        constant_post=server.rate(server.constant, material.nonces, seconds=seconds),
        nonce=server.rate(server.public, material.nonces, seconds=seconds),
        bare=_bare_signing(seconds),
        openssl=_openssl(openssl, seconds=seconds),
    )


def _calm(port: int, requests: Sequence[bytes], *, seconds: float) -> Load:
    """At 70 % of what the server can do at this moment, by the clock."""
    most = saturate(port, requests, seconds=seconds).per_second
    return paced(port, requests, seconds=2 * seconds, per_second=0.7 * most)


def _bare_signing(seconds: float) -> float:
    command = [sys.executable, "-c", _BARE, str(SERVER_CORE), str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603


def _openssl(responder: OpensslResponder, *, seconds: float) -> float | None:
    with responder.running() as running:
        if running is None:
            return None
        worked = worked_s(running.pid)
        done = reconnecting(running.port, responder.request, seconds=seconds)
        return done.answers / (worked_s(running.pid) - worked)


def _speed_rows(measured: Sequence[Round], calm: Sequence[Load]) -> list[Row]:
    cached = statistics.median(each.cached / each.constant_get for each in measured)
    lower = statistics.median(
        each.nonce / min(0.40 * each.bare, 0.45 * each.constant_post) for each in measured
    )
    beside = [each.cached / each.openssl for each in measured if each.openssl is not None]
    rows = [_at_least("cached answers / constant", cached, 0.80)]
    if beside:
        rows.append(_at_least("cached answers / openssl ocsp", statistics.median(beside), 3))
    rows.append(_at_least("nonce answers / min(0.40 bare, 0.45 constant)", lower, 1))
    named = zip(("cached", "nonce"), calm, strict=True)
    return rows + [_below(f"p99 at 70 % load, {name}", each.p99_ms, 10, unit="ms") for name, each in named]


def _at_least(name: str, figure: float, target: float) -> Row:
    return Row(name=name, target=f">= {target:g}", figure=figure, unit="", met=figure >= target)


def _below(name: str, figure: float, target: float, *, unit: str) -> Row:
    return Row(name=name, target=f"< {target:g}", figure=figure, unit=unit, met=figure < target)


def _size_rows(server: Server, few: Material, many: Material, seconds: float, rounds: int) -> list[Row]:
    """The big store beside the small one; both servers are up, one is asked at a time."""
    cached, nonce = [], []
    with _serving(many) as big:
        for _ in range(rounds):
            for port, material in ((server.public, few), (big.public, many)):
                each_once(port, material.gets)
            small = [server.rate(server.public, asked, seconds=seconds) for asked in (few.gets, few.nonces)]
            large = [big.rate(big.public, asked, seconds=seconds) for asked in (many.gets, many.nonces)]
            cached.append(large[0] / small[0])
            nonce.append(large[1] / small[1])
        memory, ready = big.resident_mb(), big.ready_s
    label = f"{many.certificates:,} certificates"
    return [
        _below(f"{label}: ready", ready, 10, unit="s"),
        _below(f"{label}: memory", memory, 600, unit="MB"),
        _at_least(f"{label}: cached / {FEW:,}", statistics.median(cached), NO_SLOWER),
        _at_least(f"{label}: nonce / {FEW:,}", statistics.median(nonce), NO_SLOWER),
    ]


def table(rows: Sequence[Row], rounds: Sequence[Round]) -> str:
    """For people: targets first, then the figures that the ratios were made of."""
    width = max(len(row.name) for row in rows)
    lines = [f"{'':<{width}}  {'target':>8}  {'figure':>9}     met"]
    lines += [
        f"{row.name:<{width}}  {row.target:>8}  {row.figure:>9.2f} {row.unit:<3} {'yes' if row.met else 'NO'}"
        for row in rows
    ]
    lines += ["", "for each second of the server's work, round by round:"]
    names = list(asdict(rounds[0]))
    lines.append("  ".join(f"{name:>13}" for name in names))
    for each in rounds:
        values = asdict(each)
        lines.append("  ".join(f"{values[name] or 0:>13.0f}" for name in names))
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 0 when every target was met, else 3."""
    parser = argparse.ArgumentParser(prog="./dev bench ocsp", description="measure the OCSP responder")
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each measurement (1)")
    parser.add_argument("--rounds", type=int, default=5, help="how often all is measured (5)")
    parser.add_argument("--certificates", type=int, default=MANY, help=f"size of the big store ({MANY})")
    given = parser.parse_args(arguments)
    rows, rounds = measure(rounds=given.rounds, seconds=given.seconds, many=given.certificates)
    if given.output == "json":
        document: dict[str, Any] = {
            "rows": [asdict(row) for row in rows],
            "rounds": [asdict(each) for each in rounds],
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
    else:
        sys.stdout.write(table(rows, rounds) + "\n")
    return 0 if all(row.met for row in rows) else 3
