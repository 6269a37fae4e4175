"""The OS processes of the lab: one a role, each with its own log file, stopped in reverse order.

Rule: a process counts as started only when it has said so itself (the ready line on its standard output);
one that ends before is an error that shows the tail of its log.

A device's processes start with the invoker's rights, import and open what they need, and then become the
device's own uid (`--user`): the interpreter and the checkout may lie where that uid cannot reach them.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol, Self

STOP_TIMEOUT_S = 10.0
LOG_TAIL_LINES = 15


class ProcessError(Exception):
    """A process of the lab did not start, or ended when it should not."""

    def __init__(self, name: str, reason: str, log: Path) -> None:
        self.name, self.reason, self.log = name, reason, log
        super().__init__(f"{name}: {reason}; its log ({log}) ends with:\n{tail(log)}")


def tail(log: Path) -> str:
    """The last lines of a log file, indented for people."""
    lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:] if log.exists() else []
    return "\n".join(f"    {line}" for line in lines) or "    (nothing)"


def environment(image: Path) -> dict[str, str]:
    """The invoker's environment, with Python code taken from `image` alone (a folder of packages)."""
    # The wiring may read the environment: a child inherits PATH, TMPDIR and the bytecode folder from ./dev.
    inherited = dict(os.environ)  # noqa: TID251 - see above
    return inherited | {"PYTHONPATH": str(image), "PYTHONUNBUFFERED": "1"}


def python_command(module: str, *arguments: str) -> list[str]:
    """Command line of one of our modules; -P keeps the working directory off the import path."""
    return [sys.executable, "-P", "-m", module, *arguments]


class RunningProcess(Protocol):
    """What the lab needs of a process that was started; a `subprocess.Popen` is one."""

    @property
    def pid(self) -> int:
        """Process id."""

    @property
    def stdout(self) -> IO[bytes] | None:
        """Its standard output, where that is a pipe."""

    def poll(self) -> int | None:
        """Exit status, or None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Exit status. Raises subprocess.TimeoutExpired after so many seconds."""

    def send_signal(self, sig: int) -> None:
        """Send a signal."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it without warning."""


def start_command(
    command: Sequence[str], *, cwd: Path, stderr: IO[bytes], env: Mapping[str, str] | None = None
) -> RunningProcess:
    """Start one of our modules with a pipe as its standard output."""
    return subprocess.Popen(  # noqa: S603 - our own modules with fixed arguments
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A running process and what its ready line said."""

    name: str
    process: RunningProcess
    log: Path
    ready: Mapping[str, Any]
    pump: threading.Thread | None


@dataclass(slots=True)
class Processes:
    """All processes of one lab; a context manager that leaves none behind."""

    logs: Path
    start_module: Callable[..., RunningProcess] = start_command
    """How one of our modules becomes a process, as `start_command` does."""
    started: dict[str, Started] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """Make the folder of logs."""
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop whatever still runs, last started first."""
        for name in reversed(list(self.started)):
            self.stop(name)

    def start_service(
        self, name: str, command: Sequence[str], *, image: Path, cwd: Path, timeout_s: float = 180
    ) -> Started:
        """Start a process that prints a JSON ready line, and wait for that line.

        Raises:
            ProcessError: it ended, or said nothing within `timeout_s` seconds.
        """
        log = self.logs / f"{name}.log"
        stream = log.open("ab")
        process = self.start_module(command, cwd=cwd, env=environment(image), stderr=stream)
        said: list[dict[str, Any]] = []
        heard = threading.Event()
        pump = threading.Thread(target=_pump, args=(process, stream, said, heard), daemon=True)
        pump.start()
        heard.wait(timeout_s)
        if not said:
            process.kill()
            process.wait()
            reason = (
                "ended before it was ready" if heard.is_set() else f"was not ready within {timeout_s:.0f} s"
            )
            raise ProcessError(name, reason, log)
        return self._remember(Started(name=name, process=process, log=log, ready=said[0], pump=pump))

    def start_plain(
        self,
        name: str,
        command: Sequence[str],
        *,
        cwd: Path,
        keep_fds: Sequence[int] = (),
        owner: int | None = None,
    ) -> Started:
        """Start a foreign process that says nothing when it is ready (the caller looks for its socket)."""
        log = self.logs / f"{name}.log"
        with log.open("ab") as stream:
            process = subprocess.Popen(  # noqa: S603 - a tool of the lab with fixed arguments
                command,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                pass_fds=keep_fds,
                user=owner,
                group=owner,
                extra_groups=None if owner is None else [],
            )
        return self._remember(Started(name=name, process=process, log=log, ready={}, pump=None))

    def _remember(self, started: Started) -> Started:
        self.started[started.name] = started
        return started

    def kill(self, name: str) -> None:
        """End a process without warning, as a power cut would."""
        running = self.started.pop(name)
        running.process.kill()
        running.process.wait()

    def stop(self, name: str) -> None:
        """Ask a process to end and wait for it; kill it when it does not."""
        running = self.started.pop(name, None)
        if running is None:
            return
        running.process.terminate()
        try:
            running.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()
        if running.pump is not None:
            running.pump.join(STOP_TIMEOUT_S)


def _pump(
    process: RunningProcess, log: IO[bytes], said: list[dict[str, Any]], heard: threading.Event
) -> None:
    """Copy the standard output of a process into its log, and catch the ready line on the way."""
    assert process.stdout is not None  # noqa: S101 - opened as a pipe just above; for the type checker
    with log, process.stdout as lines:
        for line in lines:
            log.write(line)
            log.flush()
            if not heard.is_set() and (ready := _ready_line(line)) is not None:
                said.append(ready)
                heard.set()
    heard.set()


def _ready_line(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.get("event") == "ready" else None
