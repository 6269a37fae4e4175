"""Copies of the stores of a machine's services, taken while they run, and put back where nothing is.

Rule: a copy is one moment of one store, checked by its digest before it is put back; nothing is overwritten. Keys are
not in it: they are files that their owner copies apart, so that no single medium holds a store and what opens it.

SQLite is copied by its online backup, PostgreSQL by `pg_dump` in one transaction; neither keeps a service from work.
SQLAlchemy is loaded where a store is named: every other command is there sooner without it.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.failures import refused
from cli.services_file import ServiceEntry, tables_of

if TYPE_CHECKING:
    import sqlalchemy as sa

INVENTORY = "backup.json"
_CHUNK = 1 << 20
_PROGRAM_TIMEOUT_S = 3_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The copy of one service's store: the file in the backup's folder, its digest, and what kind of store it was."""

    service: str
    role: str
    kind: str
    file: str
    sha256: str


def store_of(name: str, entry: ServiceEntry) -> "sa.URL":
    """Where a service's store is, by its settings. Raises CliError."""
    import sqlalchemy as sa  # noqa: PLC0415 - see above

    try:
        named = tables_of(entry.config).get("database")
        url = sa.make_url(str(named))
    except (OSError, ValueError, sa.exc.ArgumentError) as error:
        raise refused(
            "settings-unreadable",
            subject=f"{name}: {entry.config}",
            reason=f"names no database: {error}",
            remedy="correct the settings of the service",
        ) from None
    if url.get_backend_name() == "sqlite" and url.database is not None:
        return url.set(database=str(entry.config.parent / url.database))
    return url


def back_up(name: str, entry: ServiceEntry, *, folder: Path) -> Copy:
    """Copy a service's store into `folder`. Raises CliError."""
    url = store_of(name, entry)
    kind = url.get_backend_name()
    file = folder / f"{name}.{'sqlite' if kind == 'sqlite' else 'dump'}"
    if kind == "sqlite":
        _copy_sqlite(Path(str(url.database)), file, name=name)
    else:
        _run(name, "pg_dump", "--format=custom", "--no-owner", f"--file={file}", f"--dbname={_libpq(url)}")
    os.chmod(file, 0o600)  # noqa: PTH101 - also what pg_dump made
    return Copy(service=name, role=entry.role, kind=kind, file=file.name, sha256=_sha256(file))


def write_inventory(copies: list[Copy], *, folder: Path, at: datetime) -> None:
    """What the folder holds, last of all: a folder without it is no backup."""
    document = {"taken_at": at.isoformat(), "stores": [asdict(each) for each in copies]}
    (folder / INVENTORY).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def read_inventory(folder: Path) -> list[Copy]:
    """What a backup holds, each file checked by its digest. Raises CliError."""
    try:
        document: Mapping[str, Any] = json.loads((folder / INVENTORY).read_text(encoding="utf-8"))
        copies = [Copy(**each) for each in document["stores"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise refused(
            "no-backup",
            subject=str(folder),
            reason=f"{INVENTORY} cannot be read: {error}",
            remedy="name a folder that `pva backup create` has finished",
        ) from None
    for each in copies:
        if Path(each.file).name != each.file or _sha256(folder / each.file) != each.sha256:
            raise refused(
                "backup-damaged",
                subject=str(folder / each.file),
                reason="its digest is not the one of the day on which it was taken",
                remedy="take another backup; this one is not put back",
            )
    return copies


def restore(copy: Copy, entry: ServiceEntry, *, folder: Path) -> None:
    """Put a copy back where the settings of its service say, if nothing is there. Raises CliError."""
    url = store_of(copy.service, entry)
    if url.get_backend_name() != copy.kind:
        raise refused(
            "another-kind-of-store",
            subject=copy.service,
            reason=f"the copy is of {copy.kind}, the settings name {url.get_backend_name()}",
            remedy="restore into the kind of store that it was taken from",
        )
    if copy.kind == "sqlite":
        _place_sqlite(folder / copy.file, Path(str(url.database)), name=copy.service)
    else:
        _refuse_full(url, name=copy.service)
        _run(
            copy.service,
            "pg_restore",
            "--exit-on-error",
            "--single-transaction",
            "--no-owner",
            f"--dbname={_libpq(url)}",
            str(folder / copy.file),
        )


def _copy_sqlite(source: Path, target: Path, *, name: str) -> None:
    if not source.exists():
        raise refused(
            "no-store",
            subject=f"{name}: {source}",
            reason="there is no such file",
            remedy="start the service once: it makes its store",
        )
    # a reader of the whole file in one snapshot: writers go on in the log beside it
    with sqlite3.connect(f"file:{source}?mode=ro", uri=True) as original, sqlite3.connect(target) as copy:
        original.backup(copy)
    original.close()
    copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    (found,) = copy.execute("PRAGMA integrity_check").fetchone()
    copy.close()
    if found != "ok":
        raise refused(
            "store-damaged",
            subject=f"{name}: {source}",
            reason=f"SQLite says: {found}",
            remedy="restore the last backup that is whole",
        )


def _place_sqlite(source: Path, target: Path, *, name: str) -> None:
    beside = [Path(f"{target}{ending}") for ending in ("", "-wal", "-shm")]
    if any(each.exists() for each in beside):
        raise refused(
            "store-exists",
            subject=f"{name}: {target}",
            reason="something is there already",
            remedy="stop the service, and move the file away with those whose names begin like it",
        )
    draft = target.with_name(f".{target.name}.restored")
    shutil.copyfile(source, draft)
    draft.chmod(0o600)
    draft.rename(target)


def _refuse_full(url: "sa.URL", *, name: str) -> None:
    import sqlalchemy as sa  # noqa: PLC0415 - see above

    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            tables = sa.inspect(connection).get_table_names()
    except sa.exc.DBAPIError as error:
        raise refused(
            "unreachable",
            subject=f"{name}: {url.render_as_string(hide_password=True)}",
            reason=" ".join(str(error.orig).split()),
            remedy="start PostgreSQL, and make the database: createdb",
        ) from None
    finally:
        engine.dispose()
    if tables:
        raise refused(
            "store-exists",
            subject=f"{name}: {url.render_as_string(hide_password=True)}",
            reason=f"the database has {len(tables)} tables already",
            remedy="stop the service, and name an empty database",
        )


def _libpq(url: "sa.URL") -> str:
    """The URL as PostgreSQL's own programs read it; passwords are in the file that it names, never in it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _run(name: str, program: str, *arguments: str) -> None:
    found = shutil.which(program)
    if found is None:
        raise refused(
            "no-program",
            subject=f"{name}: {program}",
            reason="it is not on the path",
            remedy="apt-get install postgresql-client, of the server's version",
        )
    done = subprocess.run(  # noqa: S603 - PostgreSQL's own program with fixed arguments
        [found, *arguments], capture_output=True, text=True, check=False, timeout=_PROGRAM_TIMEOUT_S
    )
    if done.returncode != 0:
        raise refused(
            program.replace("_", "-"),
            subject=name,
            reason=" ".join(done.stderr.split())[:500],
            remedy="see what PostgreSQL says; nothing was changed",
        )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(_CHUNK):
                digest.update(part)
    except OSError:
        return ""
    return digest.hexdigest()
