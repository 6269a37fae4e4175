"""Floods: more than a TRE can take, of everything that its agent can send; what it signs and what it holds stay bounded.

Rule: with the rates that it is shipped with. What it signed is what came out of it; memory is the kernel's figure of its
process; files are those in its folder.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edge.process import system_random
from lab.device import Device
from lab.hostile_agent.hands import UNKNOWN_FAULTS, Hands
from lab.hostile_agent.tally import Tally
from lab.scene import Scene
from m2me_agent.tre.app import RateSettings
from m2me_agent.tre_protocol import AGENT_OPERATIONS, FRAME_BYTES_MAX, Operation, Refusal

EACH, LARGE, GARBAGE, CONNECTIONS = 60, 12, 300, 40
RESIDENT_KIB_MAX = 120 * 1024
GROWTH_KIB_MAX = 24 * 1024
FILES_BYTES_MAX = 1 << 20
FLOOD, SIGNED, MEMORY, HELD = (
    "flood: every message again and again",
    "flood: signatures",
    "flood: memory and files",
    "flood: connections that say nothing",
)


@dataclass(slots=True, kw_only=True)
class Floods:
    """The floods upon one device, whose TRE has just been started with its shipped rates."""

    scene: Scene
    device: Device
    hands: Hands
    tally: Tally

    def play(self) -> None:
        """All of them; the old MID works afterwards."""
        before = self._resident_kib("VmRSS")
        with self._bounded_signatures():
            for operation in sorted(AGENT_OPERATIONS):
                self._again_and_again(operation)
            self._garbage()
        self._held_connections()
        grown, most = self._resident_kib("VmRSS") - before, self._resident_kib("VmHWM")
        files = sum(path.stat().st_size for path in self.device.tre_state.iterdir())
        self.tally.count(MEMORY, f"{most // 1024} MiB at most, {files // 1024} KiB of files")
        if grown > GROWTH_KIB_MAX or most > RESIDENT_KIB_MAX or files > FILES_BYTES_MAX:
            self.tally.violated(MEMORY, f"grew by {grown} KiB to {most} KiB, {files} bytes of files")
        for fault in self.hands.watch.faults(is_answered=True):
            self.tally.violated(FLOOD, fault)

    def _again_and_again(self, operation: Operation) -> None:
        for parameters in self.hands.pool.get(operation, [{}])[-1:]:
            for _ in range(EACH):
                answer = self.hands.line.ask(operation, parameters)
                ending = f"refused: {answer.code}" if isinstance(answer, Refusal) else "answered"
                self.tally.count(FLOOD, ending)
                if isinstance(answer, Refusal) and answer.code in UNKNOWN_FAULTS:
                    self.tally.violated(FLOOD, f"{operation}: {answer.code}")

    @contextmanager
    def _bounded_signatures(self) -> Iterator[None]:
        """Not more than the burst, and one in every interval of the time that it took."""
        rate, line = RateSettings(), self.hands.line
        signed, begun = line.signatures, time.monotonic()
        yield
        count = line.signatures - signed
        allowed = rate.burst + 1 + int((time.monotonic() - begun) * 1000 / rate.interval_ms)
        self.tally.count(SIGNED, f"{count} of at most {allowed}")
        if count > allowed:
            self.tally.violated(SIGNED, f"{count} signatures, at most {allowed} were due")

    def _garbage(self) -> None:
        """Frames of nonsense, and the largest ones that there can be."""
        frames = [system_random(1 + number) for number in range(GARBAGE)]
        frames += [bytes([0xA0 + number]) * FRAME_BYTES_MAX for number in range(LARGE)]
        for frame in frames:
            answered = self.hands.line.send(frame)
            self.tally.count("flood: frames of nonsense", "refused" if answered else "closed")

    def _held_connections(self) -> None:
        """Forty connections that never finish a frame: the person's socket answers, and soon the agent's does again."""
        self.hands.line.close()
        holder = self.device.carrier("--hold", str(CONNECTIONS))
        try:
            assert holder.stdin is not None  # noqa: S101 - opened as pipes
            assert holder.stdout is not None  # noqa: S101
            holder.stdout.readline()
            person = self.hands.watch.person.ask(Operation.PENDING, {})
            if isinstance(person, Refusal):
                self.tally.violated(HELD, f"the person is told {person.code}")
            self.tally.count(HELD, "the person is answered")
        finally:
            for stream in (holder.stdin, holder.stdout):
                if stream is not None:
                    stream.close()
            holder.wait()
        answer = self.hands.line.ask(Operation.STATUS, {})
        self.tally.count(
            HELD, "refused" if isinstance(answer, Refusal) else "afterwards the agent is answered"
        )
        if isinstance(answer, Refusal):
            self.tally.violated(HELD, f"afterwards the agent is told {answer.code}")

    def _resident_kib(self, name: str) -> int:
        process = self.scene.processes.started[f"{self.device.name}-tre"].process
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
