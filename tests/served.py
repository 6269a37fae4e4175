"""A service of this project as a process of its own, from its ready line to its end."""

import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.processes import RunningProcess
from tests.forked_python import ROOT, start_module

_TAIL = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A process that accepts, and what its ready line said."""

    process: RunningProcess
    ready: Mapping[str, Any]

    @property
    def urls(self) -> dict[str, str]:
        """Where its listeners are, by their names."""
        return dict(self.ready["listeners"])

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.ended()

    def stop(self, how: signal.Signals = signal.SIGTERM, *, within_s: float = 20) -> int:
        """Ask it to end; its exit status."""
        self.process.send_signal(how)
        return self.ended(within_s=within_s)

    def ended(self, *, within_s: float = 20) -> int:
        """Wait for the end of one that was asked to end; its exit status."""
        code = self.process.wait(timeout=within_s)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def served(
    command: Sequence[str], *, log: Path, start: Callable[..., RunningProcess] = start_module
) -> Served:
    """Start `[sys.executable, "-m", module, *arguments]` and wait for its ready line; it says the rest to `log`."""
    with log.open("ab") as stream:
        process = start(command, cwd=ROOT, env=dict(os.environ), stderr=stream)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, log.read_text()[-_TAIL:]
    ready = json.loads(line)
    assert ready["event"] == "ready"
    return Served(process=process, ready=ready)
