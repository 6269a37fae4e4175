"""Runs the services of one machine, each as a process of its own, and starts again what ends by itself.

Rule: a service that never was ready is a mistake in its settings, and ends the whole start with its own words; one that
was ready is started again for as long as this process lives, after a pause that grows to half a minute.

    SIGTERM, SIGINT   every service ends after its requests at work, the last of the file first
    SIGHUP            one after the other ends and is ready again before the next: new certificates, a new version
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from edge.process import logger, monotonic_ms

PAUSE_FIRST_S = 1.0
PAUSE_MAX_S = 30.0
STEADY_S = 60.0
"""Whoever lived so long begins again with the first pause."""
READY_WITHIN_S = 180.0
LAST_WORDS = 5
_SETPRIV = ("setpriv", "--pdeathsig=TERM", "--")
"""Where util-linux is: a service does not outlive this process, however it ends."""


class ServiceEndedError(Exception):
    """A service ended, or said nothing, before it was ready; carries its last words."""

    def __init__(self, name: str, reason: str, words: Sequence[str]) -> None:
        self.name, self.reason, self.words = name, reason, tuple(words)
        super().__init__(f"{name}: {reason}: {' / '.join(words) or 'it said nothing'}")


@dataclass(slots=True, kw_only=True)
class _Run:
    """One life of a service."""

    process: "subprocess.Popen[bytes]"
    began_ms: float
    ready: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    listeners: Mapping[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)


class SupervisedService:
    """One service; `start` and `stop` are called from one thread, lives are watched from another."""

    def __init__(self, name: str, command: Sequence[str], *, folder: Path, stop_within_s: float) -> None:
        """Run `command` in `folder`; nothing is started."""
        self.name = name
        self._command = [*(_SETPRIV if shutil.which(_SETPRIV[0]) else ()), *command]
        self._folder, self._stop_within_s = folder, stop_within_s
        self._wanted = False
        self._lock = threading.RLock()
        self._run: _Run | None = None

    @property
    def listeners(self) -> Mapping[str, str]:
        """Addresses that it said."""
        return {} if self._run is None else self._run.listeners

    def start(self) -> None:
        """Start it, and wait until it is ready. Raises ServiceEndedError."""
        run = self._live()
        if not self._is_ready(run):
            reason = "ended before it was ready" if run.process.poll() is not None else "was not ready"
            self._end(run)
            raise ServiceEndedError(self.name, reason, run.words)
        self._wanted = True
        threading.Thread(target=self._keep, args=(run,), name=f"keep-{self.name}", daemon=True).start()

    def stop(self) -> None:
        """End it after its requests at work; kill it where that takes too long."""
        with self._lock:
            self._wanted = False
            run = self._run
        if run is not None:
            self._end(run)

    def _end(self, run: _Run) -> None:
        run.process.terminate()
        try:
            run.process.wait(self._stop_within_s)
        except subprocess.TimeoutExpired:
            logger("serve").error("service-killed", service=self.name, after_s=self._stop_within_s)
            run.process.kill()
            run.process.wait()
        run.ended.wait(self._stop_within_s)

    def _live(self) -> _Run:
        process = subprocess.Popen(  # noqa: S603 - our own modules, by a table
            self._command,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        run = _Run(process=process, began_ms=monotonic_ms())
        for work in (self._hear, self._pass_on):
            threading.Thread(target=work, args=(run,), daemon=True).start()
        with self._lock:
            self._run = run
        return run

    def _is_ready(self, run: _Run) -> bool:
        run.ready.wait(READY_WITHIN_S)
        return bool(run.listeners)

    def _keep(self, run: _Run) -> None:
        pause_s = PAUSE_FIRST_S
        while True:
            code = run.process.wait()
            if not self._is_wanted(run):
                return
            lived_s = (monotonic_ms() - run.began_ms) / 1000
            pause_s = PAUSE_FIRST_S if lived_s > STEADY_S else pause_s
            logger("serve").error("service-ended", service=self.name, code=code, starts_in_s=pause_s)
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, PAUSE_MAX_S)
            with self._lock:  # nobody stops it in between
                if not self._is_wanted(run):
                    return
                run = self._live()
            if self._is_ready(run):
                logger("serve").warning("service-started-again", service=self.name, pid=run.process.pid)

    def _is_wanted(self, run: _Run) -> bool:
        """Whether this life should go on; it should not where somebody has stopped it, or started another."""
        with self._lock:
            return self._wanted and self._run is run

    def _hear(self, run: _Run) -> None:
        """The ready line on its standard output."""
        with _lines(run.process.stdout) as lines:
            for line in lines:
                said = _decoded(line)
                if said.get("event") == "ready" and not run.ready.is_set():
                    run.listeners = dict(said.get("listeners", {}))
                    run.ready.set()
        run.ready.set()

    def _pass_on(self, run: _Run) -> None:
        """Its log lines, each with its name, so that two of one role can be told apart."""
        with _lines(run.process.stderr) as lines:
            for line in lines:
                text = line.decode("utf-8", "replace").rstrip("\n")
                if not run.ready.is_set():
                    run.words = [*run.words, text][-LAST_WORDS:]
                if text.startswith('{"'):
                    text = f'{{"service": "{self.name}", {text[1:]}'
                sys.stderr.write(text + "\n")
                sys.stderr.flush()
        run.ended.set()


def command_of(module: str, config: Path) -> list[str]:
    """Command line of a service; -P keeps the working directory off the import path."""
    return [sys.executable, "-P", "-m", module, "--config", str(config)]


def supervise(services: Sequence[SupervisedService], *, ready: Callable[[], None]) -> None:
    """Start all, call `ready`, and keep them until SIGTERM or SIGINT. Raises ServiceEndedError; none is left then."""
    heard: list[int] = []
    woken = threading.Event()

    def hear(number: int, _frame: object) -> None:
        heard.append(number)
        woken.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, hear)
    started: list[SupervisedService] = []
    try:
        for each in services:
            started.append(each)
            each.start()
            if woken.is_set():
                break
        else:
            ready()
        while True:
            woken.wait()
            woken.clear()
            if set(heard) - {signal.SIGHUP}:
                return
            heard.clear()
            _restart(services)
    finally:
        for each in reversed(started):
            each.stop()


def _restart(services: Sequence[SupervisedService]) -> None:
    """One after the other, so that a second one of a role serves meanwhile."""
    for each in services:
        each.stop()
        each.start()
        logger("serve").warning("service-restarted", service=each.name)


def print_all_ready(services: Sequence[SupervisedService]) -> None:
    """One JSON line on stdout: every listener of every service accepts."""
    line = {
        "event": "ready",
        "role": "serve",
        "pid": os.getpid(),
        "services": {each.name: dict(each.listeners) for each in services},
    }
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


@contextmanager
def _lines(stream: IO[bytes] | None) -> Iterator[IO[bytes]]:
    assert stream is not None  # noqa: S101 - opened as a pipe in _live; for the type checker
    with stream:
        yield stream


def _decoded(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
