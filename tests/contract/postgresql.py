"""A PostgreSQL of this test run: own cluster, UNIX socket only, gone afterwards.

PostgreSQL refuses to run as root, so root runs it as the user that Debian's package makes.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.tools import absent

USER = "postgres"


class PostgreSql:
    """A running cluster below `folder`."""

    def __init__(self, folder: Path, programs: Path) -> None:
        """Make the cluster and start it."""
        self.folder = folder
        self.programs = programs
        self._numbers = count()
        self._run(
            "initdb", "--auth=trust", "--no-sync", "--encoding=UTF8", f"--username={USER}", f"{folder}/data"
        )
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off"
        self._run("pg_ctl", "start", "-w", "-D", f"{folder}/data", "-l", f"{folder}/log", "-o", options)

    def new_database(self) -> str:
        """URL of an empty database."""
        name = f"test_{next(self._numbers)}"
        self._run("createdb", f"--host={self.folder}", f"--username={USER}", name)
        url = sa.URL.create(
            "postgresql+psycopg", username=USER, database=name, query={"host": str(self.folder)}
        )
        return url.render_as_string()

    def stop(self) -> None:
        """Stop it at once; nothing in it is worth keeping."""
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", f"{self.folder}/data")

    def _run(self, program: str, *arguments: str) -> None:
        command: Sequence[str] = [str(self.programs / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", USER, "--", *command]
        subprocess.run(
            command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        absent("PostgreSQL", remedy="apt-get install postgresql")
    return found[-1].parent if found else Path(str(on_path)).parent


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSql]:
    """One cluster for a module; skips where PostgreSQL is not installed."""
    programs = _programs()
    # a path that another user can walk, and short enough for a socket's address
    folder = Path(tempfile.mkdtemp(prefix="pva-pg-", dir="/tmp"))  # see the line above
    if os.geteuid() == 0:
        owner = pwd.getpwnam(USER)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    server = PostgreSql(folder, programs)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
