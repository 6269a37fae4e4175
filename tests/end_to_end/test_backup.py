"""`pva backup` on running services, on SQLite and PostgreSQL: put back, started, and the audit log still proves itself."""

import json
import shutil
import sys
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from clients.audit_log import AuditLogClient
from clients.ca import CaOperatorClient
from edge.http_client import HttpError
from edge.log_verification import check_records, verify_log
from lab.keyring import make_log_key
from standards.merkle.checkpoint import VerifierKey
from standards.merkle.tree import MerkleError
from tests.conformance.ca_service import ROOT, Installation
from tests.contract.postgresql import running_postgresql
from tests.fakes.enrolling_device import TpmMaker
from tests.forked_python import run_module
from tests.tools import need

LOG = """
[audit_log]
name = "ca.example.net/log"
key = "signer/log.key"
passphrase_file = "signer/passphrase"
interval_s = 0.05
"""


class Site:
    """A CA with an audit log, and the file that names it."""

    def __init__(self, folder: Path, *, database: str) -> None:
        home = folder / "ca"
        home.mkdir(mode=0o700)
        self.folder = folder
        self.ca = Installation(folder=home, maker=TpmMaker(), database=database, more=LOG)
        make_log_key(home / "signer", "ca.example.net/log")
        self.key = VerifierKey.parse((home / "signer" / "log.vkey").read_text())
        self.ca.set_up()
        self.services = folder / "services.toml"
        self.services.write_text('[services.ca]\nrole = "ca"\nconfig = "ca/ca.toml"\n')
        self.copies = folder / "copies"

    def backup(self, command: str, *, code: int = 0) -> dict[str, Any]:
        """Run `pva backup`."""
        words = ["backup", command, str(self.copies), "--services", str(self.services), "-o", "json"]
        done = run_module([sys.executable, "-P", "-m", "cli", *words], cwd=ROOT)
        assert done.returncode == code, done.stdout + done.stderr
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def act(self, supplier: str) -> None:
        """Something that goes on record."""
        CaOperatorClient(self.ca.client("operator", who="admin")).create_es_root(supplier)

    def log(self, *, known: bytes | None = None, naming: str) -> bytes:
        """The log's checkpoint, verified with all its records; waits until one of them is of supplier `naming`."""
        client = AuditLogClient(self.ca.client("operator", who="admin"))
        for _ in range(200):
            try:
                verified = verify_log(client, self.key, known=known)
            except HttpError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise
                time.sleep(0.05)  # nothing is signed yet
                continue
            check_records(client, verified)
            if any(
                naming.encode() in (each.record or b"")
                for each in client.records(first=0)[: verified.checkpoint.size]
            ):
                return verified.note
        raise AssertionError(naming)


def played(site: Site, *, lose: Callable[[], None]) -> None:
    """Back up under work, lose the store, put it back, and look at the log."""
    try:
        _play(site, lose=lose)
    finally:
        if site.ca.served is not None:
            site.ca.stop()


def _play(site: Site, *, lose: Callable[[], None]) -> None:
    site.ca.start()
    site.act("acme")
    before = site.log(naming="acme")
    said = site.backup("create")
    assert [each["service"] for each in said["stores"]] == ["ca"]
    site.act("globex")  # the CA goes on, and this is lost
    after = site.log(known=before, naming="globex")
    assert site.ca.stop() == 0

    assert site.backup("restore", code=1)["error"]["code"] == "store-exists"
    lose()
    site.backup("restore")
    site.ca.start()
    assert site.log(known=before, naming="acme")
    with pytest.raises(MerkleError):
        site.log(known=after, naming="acme")  # whoever kept a newer checkpoint sees what the restore has lost
    roots = json.dumps(site.ca.client("operator", who="admin").get_json("/v1/es-roots"))
    assert "acme" in roots
    assert "globex" not in roots


def test_a_store_on_sqlite_comes_back_whole(tmp_path: Path) -> None:
    site = Site(tmp_path, database="")
    path = site.ca.folder / "ca.db"

    def lose() -> None:
        for each in site.ca.folder.glob("ca.db*"):
            each.unlink()

    played(site, lose=lose)
    assert path.stat().st_mode & 0o777 == 0o600
    assert {each.stat().st_mode & 0o777 for each in site.copies.glob("*.sqlite")} == {0o600}


def test_a_store_on_postgresql_comes_back_whole(tmp_path: Path) -> None:
    need("pg_dump")
    with running_postgresql() as server:
        site = Site(tmp_path, database=server.new_database())

        def lose() -> None:
            config = site.ca.config
            config.write_text(config.read_text().replace(str(site.ca.database), server.new_database()))

        played(site, lose=lose)


@pytest.mark.negative
def test_a_copy_that_was_changed_is_not_put_back(tmp_path: Path) -> None:
    site = Site(tmp_path, database="")
    site.backup("create")
    (copy,) = site.copies.glob("*.sqlite")
    copy.write_bytes(copy.read_bytes()[:-1] + b"x")
    (site.ca.folder / "ca.db").unlink()
    assert site.backup("restore", code=1)["error"]["code"] == "backup-damaged"
    assert not (site.ca.folder / "ca.db").exists()
    assert site.backup("create", code=1)["error"]["code"] == "folder"
    shutil.rmtree(site.copies)
    assert site.backup("restore", code=1)["error"]["code"] == "no-backup"
