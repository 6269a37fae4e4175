"""A PostgreSQL of one's own: a cluster on a UNIX socket, ended with the process that started it.

PostgreSQL refuses to run as root, so root runs it as the user that Debian's package makes. The server is a child
that the kernel ends with this process, whatever ends this process: no run leaves one behind.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import sqlalchemy as sa

USER = "postgres"
_START_S = 30.0
_CONNECTIONS_MAX = 400
_ROOM_BYTES = 8 << 30
_DISK, _MEMORY = Path("/tmp"), Path("/dev/shm")  # noqa: S108 - a folder of our own is made there


class PostgreSql:
    """A cluster below `folder`; `start` it. With a `password` nobody connects without it."""

    def __init__(
        self, folder: Path, programs: Path, *, password: str | None = None, durable: bool = False
    ) -> None:
        """Make the cluster; a `durable` one waits for the disk."""
        self._fsync = "on" if durable else "off"
        self.folder = folder
        self.programs = programs
        self._numbers = count()
        self._server: subprocess.Popen[bytes] | None = None
        inherited = dict(os.environ)  # noqa: TID251 - wiring: where the programs find theirs
        self._environment = inherited | ({} if password is None else {"PGPASSWORD": password})
        method = ["--auth=trust"]
        if password is not None:
            (folder / "first").write_text(password)
            method = ["--auth=scram-sha-256", f"--pwfile={folder}/first"]
            give_to_server(folder / "first")
        self._run("initdb", *method, "--no-sync", "--encoding=UTF8", f"--username={USER}", f"{folder}/data")

    def start(self) -> None:
        """Run the server until it answers."""
        options = ["listen_addresses=", f"unix_socket_directories={self.folder}", f"fsync={self._fsync}"]
        options.append(f"max_connections={_CONNECTIONS_MAX}")
        command = [str(self.programs / "postgres"), "-D", f"{self.folder}/data"]
        for option in options:
            command += ["-c", option]
        with (self.folder / "log").open("ab") as log:
            self._server = subprocess.Popen(  # noqa: S603 - a tool of the lab with fixed arguments
                [*_as_owner(), *command], cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + _START_S
        while self._ask("pg_isready", f"--host={self.folder}", f"--username={USER}") != 0:
            if time.monotonic() > deadline or self._server.poll() is not None:
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    @property
    def pid(self) -> int:
        """Process id of the server that runs."""
        if self._server is None:
            raise RuntimeError("the server does not run")
        return self._server.pid

    def new_database(self, *, template: str | None = None) -> str:
        """URL of an empty database, or of a copy of the one with the URL `template`, to which nobody is connected."""
        name = f"test_{next(self._numbers)}"
        copied = () if template is None else (f"--template={sa.make_url(template).database}",)
        self._run("createdb", f"--host={self.folder}", f"--username={USER}", *copied, name)
        return self.url(name).render_as_string()

    def url(self, name: str, **query: str) -> sa.URL:
        """URL of a database."""
        return sa.URL.create(
            "postgresql+psycopg", username=USER, database=name, query={"host": str(self.folder), **query}
        )

    def stop(self) -> None:
        """Stop it at once: connections are cut, nothing in it is worth keeping, but the next start finds it."""
        if self._server is None:
            return
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(_START_S)
        self._server = None

    def _run(self, program: str, *arguments: str) -> None:
        if self._ask(program, *arguments) != 0:
            raise RuntimeError(f"{program} failed in {self.folder}")

    def _ask(self, program: str, *arguments: str) -> int:
        command: Sequence[str] = [*_as_owner(), str(self.programs / program), *arguments]
        return subprocess.run(  # noqa: S603 - a tool of the lab with fixed arguments
            command,
            check=False,
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ).returncode


def give_to_server(path: Path) -> None:
    """Let the server's user own a file or folder, where it is another than the invoker."""
    if os.geteuid() == 0:
        os.chown(path, *_owner())


def _owner() -> tuple[int, int]:
    owner = pwd.getpwnam(USER)
    return owner.pw_uid, owner.pw_gid


def _as_owner() -> list[str]:
    """Command words before a program of PostgreSQL: its user, and the end of this process is its end (SIGQUIT)."""
    words = ["setpriv", "--pdeathsig=QUIT"]
    if os.geteuid() == 0:
        uid, gid = _owner()
        words += [f"--reuid={uid}", f"--regid={gid}", "--clear-groups"]
    return [*words, "--"]


def programs() -> Path | None:
    """Folder of the newest PostgreSQL's programs, or None where none is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return None if on_path is None else Path(on_path).parent


def _place() -> Path:
    """Where a cluster goes that need not outlive the machine: hundreds of databases are made and removed in memory, if there is room.

    The server's user can walk either path, and both are short enough for a socket's address.
    """
    has_room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES
    return _MEMORY if has_room else _DISK


@contextmanager
def running_cluster(
    found: Path, *, password: str | None = None, durable: bool = False
) -> Iterator[PostgreSql]:
    """A cluster of its own by the programs in `found`, while the block runs; nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="pva-pg-", dir=_DISK if durable else _place()))
    try:
        give_to_server(folder)
        server = PostgreSql(folder, found, password=password, durable=durable)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
