"""`./dev bench verify`: how many platforms a second one core validates, beside what its signatures alone would allow.

Each round measures the machine's bare P-256 and RSA-2048 verifications and then everything else, in CPU time of this
thread, which is pinned to one core; of the times of a round it takes the tenth percentile, for both. A figure is the median over the rounds of its ratio to the bare P-256 rate of the same
round, scaled to a core that verifies 21,000 P-256 signatures a second: so a busy machine changes the figures little, and a
faster one not at all. What misses its target is printed as missed.
"""

import argparse
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from bench.fleet import fleet_growth
from bench.recorded import VARIABLE, Recorded, RecordedList, list_of, self_made, vectors_of
from messages.evidence import encode_evidence
from pva.appraisal.boot_events import BootEvents, registers_alone
from pva.appraisal.ima_findings import ima_findings
from pva.appraisal.ima_log import replay_ima_log
from pva.appraisal.known import IssuedChallenges, Known
from standards.boot_log import algorithms
from standards.ima.replay import Replayed
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.pki import NOW
from tests.fakes.pva_world import World

P256_PER_SECOND = 21_000
NEW_ENTRIES = 100
BATCH = 64
STATEMENTS = 3
UNDISTURBED = 10
"""Of the times of a round the fastest tenth's last: what a core takes that nobody else's caches and interrupts slow down."""
MESSAGE = bytes(133)
"""As long as a quote."""

Calls = Iterator[Callable[[], object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is measured: `target` in operations a second, or, with `milliseconds`, the longest time of one."""

    name: str
    calls: Calls
    target: float | None = None
    milliseconds: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What came out: `ratio` is the time of one in units of one bare P-256 verification."""

    name: str
    per_second: float
    ratio: float
    scaled: float
    unit: str
    target: float | None
    met: bool | None


def bare() -> tuple[Row, Row]:
    """Verification of one signature, nothing else, as `cryptography` does it."""
    key, other = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    by_ecdsa, by_rsa = (
        key.sign(MESSAGE, ec.ECDSA(SHA256())),
        other.sign(MESSAGE, padding.PKCS1v15(), SHA256()),
    )
    public, modulus = key.public_key(), other.public_key()

    def p256() -> Calls:
        while True:
            yield lambda: public.verify(by_ecdsa, MESSAGE, ec.ECDSA(SHA256()))

    def rsa2048() -> Calls:
        while True:
            yield lambda: modulus.verify(by_rsa, MESSAGE, padding.PKCS1v15(), SHA256())

    return Row(name="bare P-256 verification", calls=p256()), Row(
        name="bare RSA-2048 verification", calls=rsa2048()
    )


def signatures_alone() -> Calls:
    """The signatures of one validation and nothing else: three statements of an AK verified, one result signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    public, scheme = key.public_key(), ec.ECDSA(SHA256())
    signature = key.sign(MESSAGE, scheme)

    def work() -> None:
        for _ in range(STATEMENTS):
            public.verify(signature, MESSAGE, scheme)
        key.sign(MESSAGE, scheme)

    while True:
        yield work


def judged(recorded: Recorded, *, again: bool) -> Calls:
    """Steps 1 and 4 to 6 over one quote; with `again` the log is one that was appraised before."""
    body, known, judge = recorded.body(), Known(), recorded.judge()
    judge(body, known)
    while True:
        # the AK stays known: a device that is validated again has the one that it had
        yield partial(judge, body, known if again else Known(keys=known.keys))


def whole() -> Calls:
    """`validate_platform`: eight steps, three statements of the AK, the EAR's signature; stores in memory.

    Evidence is made for a whole batch of devices before any of it is judged: a verifier does nothing else in between.
    """
    world = World()
    issued = IssuedChallenges()
    verifier = replace(world.verifier, known=Known(challenges=issued))
    desk = replace(world.desk, issued=issued)
    fleet = [AttestingDevice(boot=world.device.boot, ek_seed=b"%d" % number) for number in range(BATCH)]
    chains = [world.chain(device=device) for device in fleet]
    for again in count(1):
        world.store.requests.clear()
        world.store.results.clear()
        bodies = []
        for device, chain in zip(fleet, chains, strict=True):
            world.ask(device=device)
            token, challenge = world.challenge_of(desk.challenge(device.device_id, at=NOW))
            bodies.append(encode_evidence(device.later(again).evidence(challenge, token=token, chain=chain)))
        calls = [partial(verifier.validate_platform, body, at=NOW) for body in bodies]
        if again == 1:
            for call in calls:  # every device was seen once before: its path is proven for this status
                call()
        else:
            yield from calls


def listed(recorded: RecordedList, *, new: int | None) -> Calls:
    """An IMA list replayed and judged file by file: all of it, or its last `new` entries after the others."""
    length = len(recorded.entries)
    begun = 0 if new is None else length - new
    data, quoted = b"".join(recorded.entries[begun:]), recorded.value(length)
    start = None if new is None else Replayed(count=begun, value=recorded.value(begun))
    boot = registers_alone({algorithms.SHA256: dict.fromkeys(range(10), bytes(32))})

    def judge() -> object:
        measured: BootEvents = replace(boot, ima=replay_ima_log(data, quoted=quoted, start=start))
        return tuple(ima_findings(measured, asked=True, runtime=recorded.runtime))

    while True:
        yield judge


def rows(folder: Path | None) -> list[Row]:
    """Everything that is measured; from the recordings in `folder`, and from this checkout's own."""
    measured = []
    if folder is not None:
        ecc, rsa_ = (vectors_of(folder, kind=kind, boot_log=False) for kind in ("ecc", "rsa"))
        logged = vectors_of(folder, kind="ecc", boot_log=True)
        measured += [
            Row(
                name="steps 1, 4-6: recorded ECDSA quote, no log",
                calls=judged(ecc, again=True),
                target=10_000,
            ),
            Row(
                name="steps 1, 4-6: recorded RSA quote, no log", calls=judged(rsa_, again=True), target=15_000
            ),
            Row(
                name="steps 1, 4-6: ECDSA, 34 kB log, first time",
                calls=judged(logged, again=False),
                target=3_500,
            ),
            Row(name="steps 1, 4-6: ECDSA, 34 kB log, known", calls=judged(logged, again=True), target=9_000),
        ]
    else:
        for scheme, target in (("ECDSA P-256", 10_000), ("RSASSA", 15_000)):
            own = self_made(scheme=scheme, boot_log=False)
            name = f"steps 1, 4-6: self-made {scheme} quote, no log"
            measured.append(Row(name=name, calls=judged(own, again=True), target=target))
        logged = self_made(scheme="ECDSA P-256", boot_log=True)
        measured += [
            Row(name="steps 1, 4-6: ECDSA, 3 kB log, first time", calls=judged(logged, again=False)),
            Row(name="steps 1, 4-6: ECDSA, 3 kB log, known", calls=judged(logged, again=True)),
        ]
    entries = list_of(folder)
    return [
        *measured,
        Row(name="3 verifications and 1 signature alone", calls=signatures_alone()),
        Row(name="validate_platform, whole", calls=whole(), target=5_000),
        Row(
            name="IMA list of 10,000 entries, first time",
            calls=listed(entries, new=None),
            target=20,
            milliseconds=True,
        ),
        Row(
            name=f"IMA list, {NEW_ENTRIES} new entries",
            calls=listed(entries, new=NEW_ENTRIES),
            target=20 * 2 * NEW_ENTRIES / 10_000,
            milliseconds=True,
        ),
    ]


def spent(calls: Calls, *, seconds: float) -> float:
    """CPU seconds of one call that others disturbed little, of about `seconds` of them; making it ready is not counted."""
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:  # noqa: PLR2004 - a median
        call = next(calls)
        began = time.thread_time()
        call()
        times.append(time.thread_time() - began)
    return sorted(times)[len(times) // UNDISTURBED]


def measure(measured: Sequence[Row], *, rounds: int, seconds: float) -> list[Figure]:
    """All rows, and the bare rates first, in `rounds` rounds of about `seconds` each row."""
    p256, rsa2048 = bare()
    every = [p256, rsa2048, *measured]
    for row in every:
        next(row.calls)()
    times: dict[str, list[float]] = {row.name: [] for row in every}
    ratios: dict[str, list[float]] = {row.name: [] for row in every}
    for _ in range(rounds):
        for row in every:
            unit = spent(p256.calls, seconds=seconds / 4)
            one = spent(row.calls, seconds=seconds)
            after = spent(p256.calls, seconds=seconds / 4)
            times[row.name].append(one)
            ratios[row.name].append(one / ((unit + after) / 2))
    return [_figure(row, times[row.name], ratios[row.name]) for row in every]


def _figure(row: Row, times: list[float], ratios: list[float]) -> Figure:
    ratio = statistics.median(ratios)
    scaled = ratio / P256_PER_SECOND * 1000 if row.milliseconds else P256_PER_SECOND / ratio
    met = None
    if row.target is not None:
        met = scaled <= row.target if row.milliseconds else scaled >= row.target
    return Figure(
        name=row.name,
        per_second=round(1 / statistics.median(times), 1),
        ratio=round(ratio, 2),
        scaled=round(scaled, 2 if row.milliseconds else 0),
        unit="ms" if row.milliseconds else "/s",
        target=row.target,
        met=met,
    )


def table(figures: Sequence[Figure]) -> str:
    """Rows for people."""
    head = f"{'':<48}{'here /s':>11}{'x P-256':>10}{'scaled':>13}{'target':>13}  met"
    lines = [head]
    for each in figures:
        target = "" if each.target is None else f"{'<=' if each.unit == 'ms' else '>='} {each.target:,.10g}"
        met = "" if each.met is None else "yes" if each.met else "NO"
        scaled = f"{each.scaled:,.10g} {each.unit}"
        lines.append(
            f"{each.name:<48}{each.per_second:>11,.1f}{each.ratio:>10.2f}{scaled:>13}{target:>13}  {met}"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit status says whether it could be measured, not whether targets are met."""
    parser = argparse.ArgumentParser(
        prog="./dev bench verify", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    parser.add_argument("--rounds", type=int, default=7, help="how often everything is measured (7)")
    parser.add_argument("--seconds", type=float, default=0.2, help="time to spend on each in a round (0.2)")
    parser.add_argument(
        "--devices", type=int, default=2_000, help="size of the fleet whose memory is measured"
    )
    asked = parser.parse_args(arguments)
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    folder = _folder()
    gc.collect()
    gc.freeze()  # as the services do once they are wired: modules are not searched for garbage again and again
    figures = measure(rows(folder), rounds=asked.rounds, seconds=asked.seconds)
    growth = fleet_growth(asked.devices)
    if asked.output == "json":
        told = {"core": core, "figures": [asdict(each) for each in figures], "fleet": asdict(growth)}
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        return 0
    sys.stdout.write(
        f"core {core}; figures scaled to a core of {P256_PER_SECOND:,} bare P-256 verifications a second\n"
        f"{table(figures)}\n{growth.words()}\n"
    )
    if folder is None:
        sys.stdout.write(
            f"{VARIABLE} names no folder with evidence/: measured on self-made quotes and short logs instead\n"
        )
    return 0


def _folder() -> Path | None:
    named = os.environ.get(VARIABLE)  # noqa: TID251 - wiring: where the recordings are
    folder = None if named is None else Path(named) / "evidence"
    return folder if folder is not None and (folder / "nonce.txt").is_file() else None
