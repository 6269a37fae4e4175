"""Modules run as processes of their own, forked from one that has imported what all of them share.

A service needs a second to import its libraries, and the tests start hundreds of services. What a process does after
that is what it does when a person starts it: settings, working directory, environment, signals and exit status are
its own. That the real commands work is for the tests of `pva serve`, of the demo and of the documents.
"""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[1]


class ForkedProcess:
    """A module that runs; as much of a `subprocess.Popen` as the tests ask for, with bytes on `stdout`."""

    def __init__(self, pid: int, *, stdout: IO[bytes] | None, status: int, arguments: Sequence[str]) -> None:
        """Follow `pid`, whose exit status will be on the pipe `status`."""
        self.pid, self.args = pid, arguments
        self.stdout = stdout
        self.returncode: int | None = None
        self._status = status

    def poll(self) -> int | None:
        """Exit status, or None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Exit status (negative: the signal that ended it). Raises TimeoutExpired after so many seconds."""
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._status, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
            said = os.read(self._status, 16)
            os.close(self._status)
            assert said, "the process that forks has ended, and all of its children with it"
            self.returncode = os.waitstatus_to_exitcode(int(said))
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """Send a signal, where it still runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it without warning."""
        self.send_signal(signal.SIGKILL)


class _ForkingServer:
    """This side of the process that forks; started with the first request."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, request: Mapping[str, Any], fds: Sequence[int]) -> int:
        """Process id of what was started."""
        with self._lock:
            if self._line is None:
                self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                with theirs:
                    command = [sys.executable, "-m", "tests.forking_server", str(theirs.fileno())]
                    self._process = subprocess.Popen(
                        command, cwd=ROOT, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
                    )
            socket.send_fds(self._line, [json.dumps(request).encode()], fds)
            answer = self._line.recv(64)
        assert answer, "the process that forks has ended"
        return int(answer)


_SERVER = _ForkingServer()


def start_module(
    command: Sequence[str], *, cwd: Path, stderr: IO[Any], env: Mapping[str, str] | None = None
) -> ForkedProcess:
    """Run `[sys.executable, ..., "-m", module, *arguments]` with a pipe as its standard output."""
    reading, writing = os.pipe()
    try:
        stderr.flush()
        process = _start(command, cwd=cwd, env=env, stdout=writing, stderr=stderr.fileno(), heard=reading)
    finally:
        os.close(writing)
    return process


def run_module(
    command: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run such a command to its end; its output is captured as text."""
    streams = {name: os.memfd_create(name) for name in ("stdout", "stderr")}
    process = _start(command, cwd=cwd, env=env, heard=None, **streams)
    code = process.wait()
    said = {name: _all_of(fd) for name, fd in streams.items()}
    return subprocess.CompletedProcess(list(command), code, **said)


def _all_of(fd: int) -> str:
    with os.fdopen(fd, encoding="utf-8") as stream:
        stream.seek(0)
        return stream.read()


def _start(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str] | None,
    stdout: int,
    stderr: int,
    heard: int | None,
) -> ForkedProcess:
    assert command[0] == sys.executable
    at = list(command).index("-m")
    request = {
        "module": command[at + 1],
        "arguments": list(command[at + 2 :]),
        "cwd": str(cwd),
        "env": dict(os.environ if env is None else env),
    }
    status, ended = os.pipe()
    try:
        pid = _SERVER.ask(request, (stdout, stderr, ended))
    finally:
        os.close(ended)
    stream = None if heard is None else os.fdopen(heard, "rb")
    return ForkedProcess(pid, stdout=stream, status=status, arguments=command)
