"""What a process takes from the world around it: clock, random bytes, settings, logs, user id.

The one rule of this room: nothing outside `edge` and the wiring (`app.py`, `cli.py`) reads the clock,
the environment or the random generator; everything else gets them as parameters and can be tested with
fixed ones.
"""

import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:  # loaded by who writes logs: a device's agent starts for seconds and writes none
    from structlog.typing import EventDict, FilteringBoundLogger, Processor

_LINE = json.JSONEncoder(default=repr)
"""Made once: to make one costs as much as to use it."""

Clock = Callable[[], datetime]
"""Gives the present moment as an aware UTC datetime."""

RandomBytes = Callable[[int], bytes]
"""Gives n bytes from the operating system's generator."""


class PrivilegeError(Exception):
    """The process could not become the user that it was told to become, or could become root again."""


def system_clock() -> datetime:
    """Present moment, aware, UTC."""
    return datetime.now(UTC)


def system_random(count: int) -> bytes:
    """Take `count` bytes from the operating system's generator."""
    return os.urandom(count)


def monotonic_ms() -> float:
    """Milliseconds of a clock that never goes back; only differences mean anything."""
    return time.monotonic() * 1000


def configure_logging(*, role: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Send every log line, the libraries' too, as one JSON object a line to stderr (or `stream`).

    Standard output stays free for the ready line. Libraries speak from warning upwards.
    """
    import structlog  # noqa: PLC0415 - see above

    def with_role(_logger: object, _method: str, line: "EventDict") -> "EventDict":
        return {"role": role, **line}  # not a context variable: threads start without those

    def rendered(_logger: object, _method: str, line: "EventDict") -> str:
        return _LINE.encode(line)

    shared: list[Processor] = [
        with_role,
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    lines = _Lines(stream or sys.stderr)
    structlog.configure(
        processors=[*shared, rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: lines,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(lines.stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, rendered],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


class _Lines:
    """Where our own lines are written; the standard library's way there costs more than all that it is asked to write."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`, a whole line at a time."""
        self.stream = stream
        self._lock = threading.Lock()

    def msg(self, line: str) -> None:
        """Write a line; who cannot log still serves, as with the standard library."""
        with self._lock, contextlib.suppress(OSError, ValueError):
            self.stream.write(f"{line}\n")
            self.stream.flush()

    debug = info = warning = error = critical = exception = msg


def logger(name: str = "pva") -> "FilteringBoundLogger":
    """Logger of one room; its lines carry the room's name."""
    import structlog  # noqa: PLC0415 - see above

    return cast("FilteringBoundLogger", structlog.get_logger(f"pva.{name}"))


def print_ready(role: str, listeners: Mapping[str, str]) -> None:
    """Tell whoever started this process that every listener accepts: one JSON line on stdout."""
    line = {"event": "ready", "role": role, "pid": os.getpid(), "listeners": dict(listeners)}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def drop_privileges(uid: int, gid: int) -> None:
    """Become the unprivileged user `uid` with the group `gid` and no other, for good.

    Does, in this order: setgroups([]), setresgid, setresuid on real, effective and saved ids; then
    verifies all six ids and the empty group list, and that neither root's uid nor its gid can be taken
    back. What is already open stays open and what is already imported stays imported, but nothing that
    only root may reach can be opened afterwards: callers import their modules and open sockets, devices
    and directories first.

    Calling it as the very user with no other group is a no-op that still verifies. Raises
    PrivilegeError, and the process must end, when any step fails or `uid` or `gid` is 0.
    """
    if uid == 0 or gid == 0:
        raise PrivilegeError(
            f"refusing to run as uid {uid}, gid {gid}: expected an unprivileged user and group"
        )
    try:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(gid, gid, gid)
            os.setresuid(uid, uid, uid)
    except OSError as error:
        raise PrivilegeError(f"cannot become uid {uid}, gid {gid}: {error.strerror}") from error
    if os.getresuid() != (uid, uid, uid) or os.getresgid() != (gid, gid, gid):
        raise PrivilegeError(
            f"expected to be uid {uid}, gid {gid}, but am {os.getresuid()}, {os.getresgid()}: "
            "start the process as root or as that user"
        )
    if set(os.getgroups()) - {gid}:
        raise PrivilegeError(
            f"supplementary groups {os.getgroups()} are left: start the process without them"
        )
    for regain, ids in ((os.setresuid, "uid"), (os.setresgid, "gid")):
        try:
            regain(0, 0, 0)
        except PermissionError:
            continue
        raise PrivilegeError(f"root's {ids} could be taken back after dropping it")
