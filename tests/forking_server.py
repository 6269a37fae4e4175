"""The process from which `tests.forked_python` forks: imports what all services share, then forks on request.

A child leaves the loop and runs its module as the interpreter would; this process waits for each, tells the exit
status, and takes all of them with it when the tests end.
"""

import gc
import importlib
import json
import os
import pkgutil
import random
import runpy
import selectors
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass

LIBRARIES = (
    "alembic.command",
    "flask",
    "granian",
    "joserfc.jwt",
    "pkilint.bin.lint_crl",
    "pkilint.bin.lint_ocsp_response",
    "pkilint.bin.lint_pkix_cert",
    "prometheus_client",
    "psycopg",
    "pydantic",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "structlog",
    "uvicorn",
)
SHARED = ("standards", "messages", "clients", "edge")
"""Floors below the roles: a role's own modules are imported by its own process alone."""
_REQUEST_MAX = 1 << 20
_FDS = 3


def warm_up() -> None:
    """Import all that the roles share."""
    for name in LIBRARIES:
        with suppress(ImportError):  # an extra that is not installed
            importlib.import_module(name)
    for floor in SHARED:
        package = importlib.import_module(floor)
        for module in pkgutil.walk_packages(package.__path__, f"{floor}."):
            importlib.import_module(module.name)
    gc.freeze()  # a child's first collection does not copy it all


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a child is to run: a module, as `python -m` would, with its streams."""

    module: str
    arguments: list[str]
    cwd: str
    env: dict[str, str]
    stdout: int
    stderr: int


def serve(line: socket.socket) -> Request | None:
    """Fork for each request; returns in a child with its request, in this process with None when the tests end."""
    running: dict[int, tuple[int, int]] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(line, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is not line:
                    selector.unregister(key.fileobj)
                    _tell(key.fd, *running.pop(key.fd))
                    continue
                data, fds, _, _ = socket.recv_fds(line, _REQUEST_MAX, _FDS)
                if not data:
                    for pid, _ in running.values():
                        os.kill(pid, signal.SIGKILL)
                    return None
                stdout, stderr, status = fds
                pid = os.fork()
                if pid == 0:
                    return Request(**json.loads(data), stdout=stdout, stderr=stderr)
                os.close(stdout)
                os.close(stderr)
                ended = os.pidfd_open(pid)
                running[ended] = (pid, status)
                selector.register(ended, selectors.EVENT_READ)
                line.send(str(pid).encode())


def _tell(ended: int, pid: int, status: int) -> None:
    _, code = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):
        os.write(status, str(code).encode())
    os.close(status)
    os.close(ended)


def become(request: Request) -> None:
    """Let go of what belongs to the tests, and stand where a process that was just started would."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, fd in enumerate((nothing, request.stdout, request.stderr)):
        os.dup2(fd, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(request.env)
    os.chdir(request.cwd)
    random.seed()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [request.module, *request.arguments]


if __name__ == "__main__":
    warm_up()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C is for the tests, and their end is this process's
    channel = socket.socket(fileno=int(sys.argv[1]))
    asked = serve(channel)
    channel.detach()
    if asked is not None:
        become(asked)
        runpy.run_module(asked.module, run_name="__main__", alter_sys=True)
