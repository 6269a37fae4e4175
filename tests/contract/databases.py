"""Databases as the migrations of a role make them, one for each test; the migrations themselves run once a role."""

import shutil
from pathlib import Path

import pytest

from edge.database import engine_for, migrate
from tests.contract.postgresql import PostgreSql


class Databases:
    """Copies of databases that were migrated once and never used; the session's fixture `databases`."""

    def __init__(self, folder: Path) -> None:
        """Keep those of SQLite in `folder`."""
        self._folder = folder
        self._templates: dict[tuple[str, Path], str] = {}
        self._copies = 0

    def sqlite(self, migrations: Path) -> str:
        """URL of an own SQLite file with the schema of `migrations`."""
        template = self._templates.get(("sqlite", migrations))
        if template is None:
            template = str(self._folder / f"template-{len(self._templates)}.db")
            _migrate(f"sqlite:///{template}", migrations)
            self._templates["sqlite", migrations] = template
        self._copies += 1
        copy = self._folder / f"{self._copies}.db"
        shutil.copyfile(template, copy)
        return f"sqlite:///{copy}"

    def postgresql(self, server: PostgreSql, migrations: Path) -> str:
        """URL of an own database of `server` with the schema of `migrations`."""
        place = (str(server.folder), migrations)
        if place not in self._templates:
            url = server.new_database()
            _migrate(url, migrations)
            self._templates[place] = url
        return server.new_database(template=self._templates[place])


def _migrate(url: str, migrations: Path) -> None:
    engine = engine_for(url)
    migrate(engine, migrations)
    engine.dispose()


def new_database(request: pytest.FixtureRequest, kind: str, migrations: Path) -> str:
    """URL of a database for one test: `kind` is sqlite or postgresql, which is skipped where it is not installed."""
    databases: Databases = request.getfixturevalue("databases")
    if kind == "sqlite":
        return databases.sqlite(migrations)
    return databases.postgresql(request.getfixturevalue("postgresql"), migrations)
