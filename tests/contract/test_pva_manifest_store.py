"""The PVA's manifests, in memory, on SQLite and on PostgreSQL: chains, approvals and retirements are kept alike."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from cryptography.hazmat.primitives.serialization import Encoding

from edge.database import engine_for, migrate, transaction
from edge.process import system_random
from pva.appraisal.manifest_records import Standing
from pva.refusals import RefusalCode, RefusalError
from pva.store import tables
from pva.store.references import ReferenceStore
from standards.pki.extensions import Requester
from standards.rats.errors import RatsError
from standards.rats.manifest import Predecessor
from tests.contract.test_pva_store import MIGRATIONS, AuditedStore, refused, sqlite_engine, world
from tests.fakes.pki import NOW
from tests.fakes.pva_world import ADMINISTRATORS, World, reference_manifest

__all__ = ["world"]


def test_the_same_manifest_again_changes_nothing(world: World) -> None:
    world.recognition.import_manifest(world.signed_manifest, only_of="Acme", by="again", at=NOW)
    (manifest,) = world.references.manifests()
    assert manifest.imported_by == "supplier"
    chain = world.references.manifest_chain(manifest.digest)
    assert chain is not None
    assert chain.named.manifest.id == "release-1"
    assert world.references.manifest_chain(bytes(32)) is None


@pytest.mark.negative
def test_two_manifests_of_one_version_are_refused(world: World) -> None:
    other = world.sign(reference_manifest(world.device, version="1.0.1"))
    with pytest.raises(RefusalError) as caught:
        world.recognition.import_manifest(other, only_of=None, by="admin", at=NOW)
    assert refused(caught) is RefusalCode.MANIFEST_CONFLICT


def successor(world: World, name: str = "release-2", **changed: Any) -> bytes:
    """A signed manifest that follows the first one."""
    before = Predecessor(id="release-1", digest=world.state.manifest_digest, until=NOW + timedelta(days=2))
    parts = {"svn": 4, "line_name": "release-1", "valid_from": NOW, "predecessor": before, **changed}
    return world.sign(reference_manifest(world.device, id=name, **parts))


@pytest.mark.check("A25")
def test_a_chain_leaves_the_store_as_it_was_signed_and_approved(world: World) -> None:
    second = world.publish(successor(world))
    before = Predecessor(id="release-2", digest=second.manifest_digest, until=NOW + timedelta(days=3))
    third = world.recognition.import_manifest(
        successor(world, "release-3", predecessor=before), only_of=None, by="s", at=NOW
    )
    world.manifest_desk.retire(second.manifest_digest, reason="a flaw", by="admin-1", at=NOW)
    chain = world.references.manifest_chain(world.state.manifest_digest)
    assert chain is not None
    standing = [(each.manifest.id, each.approved, each.retired) for each in chain.links]
    assert standing == [
        ("release-1", True, False),
        ("release-2", True, True),
        ("release-3", False, False),
    ]
    assert chain.permitted_models == world.supplier.recognised().models
    held = {each.id: each for each in world.references.manifests()}
    assert (held["release-3"].line, held["release-3"].predecessor) == ("release-1", before)
    assert held["release-2"].retirement is not None
    assert (held["release-2"].retirement.reason, held["release-2"].retirement.by) == ("a flaw", "admin-1")
    assert held["release-3"].digest == third.digest


@pytest.mark.negative
@pytest.mark.requirement("R82")
def test_a_fork_is_refused_and_nothing_changes(world: World) -> None:
    world.publish(successor(world))
    before = world.references.manifests()
    with pytest.raises(RefusalError) as caught:
        world.recognition.import_manifest(successor(world, "rival"), only_of=None, by="s", at=NOW)
    assert refused(caught) is RefusalCode.MANIFEST_FORK
    assert world.references.manifests() == before


@pytest.mark.requirement("R29")
@pytest.mark.parametrize("world", ["sqlite", "postgresql"], indirect=True)
def test_every_approval_and_retirement_leaves_its_audit_leaf(world: World) -> None:
    kinds = world.store.audit_kinds()
    assert kinds.count("manifest-approval") == 2
    world.manifest_desk.approve(world.state.manifest_digest, by=ADMINISTRATORS[0], at=NOW)
    assert world.store.audit_kinds() == kinds
    for reason in ("a flaw", "again"):
        world.manifest_desk.retire(world.state.manifest_digest, reason=reason, by="admin-1", at=NOW)
    assert world.store.audit_kinds() == (*kinds, "manifest-retired")


@pytest.mark.requirement("R29")
@pytest.mark.parametrize("world", ["sqlite", "postgresql"], indirect=True)
def test_two_administrators_at_the_same_moment_are_two(world: World) -> None:
    imported = world.recognition.import_manifest(successor(world), only_of=None, by="s", at=NOW)
    threads = [
        threading.Thread(
            target=world.manifest_desk.approve, args=[imported.digest], kwargs={"by": each, "at": NOW}
        )
        for each in ADMINISTRATORS
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = {each.id: each for each in world.references.manifests()}
    assert held["release-2"].standing is Standing.APPROVED


@pytest.mark.requirement("R29")
def test_an_approval_that_waited_too_long_is_replaced(world: World) -> None:
    imported = world.recognition.import_manifest(successor(world), only_of=None, by="s", at=NOW)
    late = NOW + timedelta(hours=25)
    staff = Requester(name="staff", key_sha256="3" * 64)
    by = replace(ADMINISTRATORS[0], issued_at_request_of=(staff,))
    for at in (NOW, late):
        approved = world.manifest_desk.approve(imported.digest, by=by, at=at)
    assert approved.approvals == (by.approval(late),)
    assert approved in world.references.manifests()


@pytest.mark.negative
def test_a_manifest_that_somebody_changed_in_the_database_affirms_nobody(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path)
    references = ReferenceStore(engine, random_bytes=system_random)
    world = World(store=AuditedStore(engine), references=references)
    other = world.sign(reference_manifest(world.device, version="2"))
    flipped = world.signed_manifest[:-1] + bytes([world.signed_manifest[-1] ^ 1])
    for altered, expected in ((flipped, RatsError), (other, RefusalError)):
        with transaction(engine) as connection:
            connection.execute(sa.update(tables.manifests).values(signed=altered))
        with pytest.raises(expected):
            references.manifest_chain(world.state.manifest_digest)
    engine.dispose()


@pytest.mark.negative
def test_a_successor_that_somebody_made_one_in_the_database_affirms_nobody(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path)
    references = ReferenceStore(engine, random_bytes=system_random)
    world = World(store=AuditedStore(engine), references=references)
    other = world.publish(world.sign(reference_manifest(world.device, id="other")))
    table = tables.manifests
    with transaction(engine) as connection:
        connection.execute(
            sa.update(table)
            .where(table.c.digest == other.manifest_digest)
            .values(succeeds=world.state.manifest_digest)
        )
    with pytest.raises(RefusalError) as caught:
        references.manifest_chain(world.state.manifest_digest)
    assert refused(caught) is RefusalCode.MANIFEST_MISMATCH
    engine.dispose()


@pytest.mark.requirement("R29")
def test_manifests_of_an_earlier_version_wait_for_approval(tmp_path: Path) -> None:
    engine = engine_for(f"sqlite:///{tmp_path / 'old.db'}")
    with transaction(engine) as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    world = World()
    held = world.recognition.manifest(world.state.manifest_digest, only_of=None)
    supplier = world.recognition.suppliers()[0]
    with transaction(engine) as connection:
        connection.execute(
            sa.insert(tables.suppliers).values(
                name="Acme",
                root=supplier.root.public_bytes(Encoding.DER),
                root_sha256=bytes(32),
                models=dict(supplier.models),
                ocsp_url="http://127.0.0.1/",
                recognised_by="admin",
                recognised_at=NOW,
            )
        )
        connection.execute(
            sa.insert(tables.manifests).values(
                digest=held.digest,
                supplier="Acme",
                manifest_id=held.id,
                svn=held.svn,
                models=list(held.models),
                signed=held.signed,
                imported_by="s",
                imported_at=NOW,
            )
        )
    migrate(engine, MIGRATIONS)
    references = ReferenceStore(engine, random_bytes=system_random)
    (after,) = references.manifests()
    assert (after.id, after.line, after.standing) == ("release-1", "release-1", Standing.WAITING)
    chain = references.manifest_chain(held.digest)
    assert chain is not None
    assert chain.approved(at=NOW) == ()
    engine.dispose()
