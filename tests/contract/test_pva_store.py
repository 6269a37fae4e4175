"""The PVA's stores, in memory, on SQLite and on PostgreSQL, keep the same promises to the use cases."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from edge.database import engine_for, migrate, schema_differences, transaction
from edge.ledger import verify_entry
from edge.process import system_random
from messages.evidence import encode_evidence
from pva import schema
from pva.approval_store import ApprovalStore
from pva.continuity import advance
from pva.reference_store import ReferenceStore
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RelyingParty, RequestState
from pva.store import UNAUTHENTICATED_REFUSALS_MAX, Store
from pva.store_rows import history_of, row_of_history
from standards.rats.errors import RatsError
from tests.contract.postgresql import postgresql
from tests.fakes.attesting_device import AttestingDevice
from tests.fakes.credentials import FakeSupplier
from tests.fakes.pki import NOW
from tests.fakes.pva_world import TENANT, World, reference_manifest

__all__ = ["postgresql"]
MIGRATIONS = Path(__file__).parents[2] / "pva" / "migrations"


class AuditedStore(Store):
    """The real store, with its audit leaves made readable for the tests."""

    def __init__(self, engine: sa.Engine) -> None:
        """Work on `engine`."""
        super().__init__(engine, random_bytes=system_random)
        self.engine = engine

    def audit_kinds(self) -> tuple[str, ...]:
        """Kinds of the audit leaves so far; each one must match its record."""
        with transaction(self.engine, write=False) as connection:
            entries = schema.ledger.entries(connection)
        return tuple(verify_entry(entry)["kind"] for entry in entries)


def migrated(url: str) -> sa.Engine:
    engine = engine_for(url)
    migrate(engine, MIGRATIONS)
    return engine


def sqlite_engine(folder: Path) -> sa.Engine:
    return migrated(f"sqlite:///{folder / 'pva.db'}")


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "memory":
        yield World()
        return
    if request.param == "sqlite":
        engine = sqlite_engine(tmp_path)
    else:
        engine = migrated(request.getfixturevalue("postgresql").new_database())
    yield World(
        store=AuditedStore(engine),
        references=ReferenceStore(engine, random_bytes=system_random),
        approvals=ApprovalStore(engine, random_bytes=system_random),
    )
    engine.dispose()


def refused(caught: pytest.ExceptionInfo[RefusalError]) -> RefusalCode:
    return caught.value.code


def refusal() -> RefusalError:
    return RefusalError(RefusalCode.BOOT_LOG_MISMATCH, subject="boot log", reason="another")


def test_a_validation_goes_through_the_store(world: World) -> None:
    request_id = world.ask()
    signed = world.validate(world.answer())
    progress = world.desk.progress(request_id, tenant=TENANT, at=NOW)
    assert (progress.state, progress.result) == (RequestState.COMPLETED, signed.token)
    history = world.store.device_history(world.device.device_id)
    assert history is not None
    assert history.last.clock_info == world.device.clock_info
    assert history.last.at == NOW
    assert history.svn_highest == 3
    assert world.store.holder_of_ak(world.device.ak.name) == world.device.device_id
    assert tuple(world.store.audit_kinds())[-2:] == ("validation-requested", "validation-result")


def test_the_oldest_pending_request_comes_first_and_ends_with_its_time(world: World) -> None:
    first = world.ask()
    world.ask(at=NOW + timedelta(seconds=1))
    device_id = world.device.device_id
    (pending,) = world.store.oldest_of_each(device_id, at=NOW + timedelta(seconds=2))
    assert pending.id == first
    assert pending.device_id == device_id
    assert world.store.oldest_of_each(device_id, at=NOW + timedelta(hours=1)) == ()
    progress = world.desk.progress(first, tenant=TENANT, at=NOW + timedelta(hours=1))
    assert progress.state is RequestState.EXPIRED


@pytest.mark.negative
@pytest.mark.requirement("R40")
def test_a_tenant_sees_only_its_own_requests(world: World) -> None:
    request_id = world.ask()
    assert world.store.progress(request_id, role="sho", tenant="sho-2", at=NOW) is None
    assert world.store.progress(request_id, role="dpf", tenant=TENANT, at=NOW) is None
    with pytest.raises(RefusalError) as caught:
        world.desk.progress(request_id, tenant="sho-2", at=NOW)
    assert refused(caught) is RefusalCode.NOT_FOUND


@pytest.mark.negative
def test_a_relying_partys_nonce_is_used_once(world: World) -> None:
    request_id = world.ask()
    asked = world.desk.progress(request_id, tenant=TENANT, at=NOW).request
    with pytest.raises(RefusalError) as caught:
        world.store.add_request(replace(asked, id="another"), pending_max=8)
    assert refused(caught) is RefusalCode.NONCE_REUSED
    other = RelyingParty(role="sho", tenant="sho-2", name="another")
    world.store.add_request(replace(asked, id="another", party=other), pending_max=8)


@pytest.mark.negative
def test_pending_requests_of_one_tenant_for_one_device_are_bounded(world: World) -> None:
    for _ in range(8):
        world.ask()
    with pytest.raises(RefusalError) as caught:
        world.ask()
    assert refused(caught) is RefusalCode.TOO_MANY_REQUESTS
    world.ask(device=AttestingDevice(ek_seed=b"another device"))


@pytest.mark.negative
@pytest.mark.check("A5")
def test_a_digest_is_redeemed_once(world: World) -> None:
    ends = NOW + timedelta(minutes=1)
    assert world.store.redeem(b"\x01" * 32, expires_at=ends, at=NOW)
    assert not world.store.redeem(b"\x01" * 32, expires_at=ends, at=NOW)
    assert world.store.redeem(b"\x02" * 32, expires_at=ends, at=NOW)


@pytest.mark.negative
def test_refusals_of_nobody_in_particular_are_bounded_and_leave_room_for_the_devices(world: World) -> None:
    request_id = world.ask()
    for _ in range(UNAUTHENTICATED_REFUSALS_MAX + 5):
        world.store.record_refusal(request_id, refusal(), authenticated=False, at=NOW)
    world.store.record_refusal(request_id, refusal(), authenticated=True, at=NOW)
    world.store.record_refusal("no such request", refusal(), authenticated=True, at=NOW)
    told = world.desk.progress(request_id, tenant=TENANT, at=NOW).refusals
    assert len(told) == UNAUTHENTICATED_REFUSALS_MAX + 1
    assert told[-1].authenticated
    assert (told[-1].code, told[-1].subject, told[-1].reason) == ("boot-log-mismatch", "boot log", "another")


@pytest.mark.negative
@pytest.mark.check("A24")
def test_a_result_on_an_outdated_history_leaves_nothing_behind(world: World) -> None:
    first = world.validate(world.answer())
    world.ask()
    history = world.store.device_history(world.device.device_id)
    assert history is not None
    after = advance(history, history.last, accepted_svn=None)
    audited = tuple(world.store.audit_kinds())
    (request,) = world.store.oldest_of_each(world.device.device_id, at=NOW)
    second = replace(first, request_id=request.id, result=replace(first.result, result_id="second"))
    for revision in (None, history.revision + 1):
        with pytest.raises(RefusalError) as caught:
            world.store.record_result(second, history=after, expected_revision=revision, at=NOW)
        assert refused(caught) is RefusalCode.CONCURRENT_VALIDATION
    assert world.store.device_history(world.device.device_id) == history
    assert tuple(world.store.audit_kinds()) == audited
    world.store.record_result(second, history=after, expected_revision=history.revision, at=NOW)


@pytest.mark.negative
@pytest.mark.check("A26")
def test_an_ak_belongs_to_one_device_in_the_store_too(world: World) -> None:
    first = world.validate(world.answer())
    history = world.store.device_history(world.device.device_id)
    clone = replace(history, last=replace(history.last, device_id="ff" * 32))
    request_id = world.ask()
    second = replace(first, request_id=request_id, result=replace(first.result, result_id="second"))
    with pytest.raises(RefusalError):
        world.store.record_result(second, history=clone, expected_revision=None, at=NOW)
    assert world.store.device_history("ff" * 32) is None


@pytest.mark.negative
@pytest.mark.requirement("R19")
def test_a_supplier_keeps_its_root_and_may_change_its_models(world: World) -> None:
    with pytest.raises(RefusalError) as caught:
        world.recognise(FakeSupplier.make("Acme"))
    assert refused(caught) is RefusalCode.SUPPLIER_CONFLICT
    with pytest.raises(RefusalError) as caught:
        world.recognise(replace(world.supplier, name="Acme under another name"))
    assert refused(caught) is RefusalCode.SUPPLIER_CONFLICT
    world.recognise(world.supplier, models=())
    (supplier,) = world.references.suppliers()
    assert (supplier.name, supplier.models) == ("Acme", {})
    assert supplier.root == world.supplier.root.certificate


def test_the_same_manifest_again_changes_nothing(world: World) -> None:
    world.recognition.import_manifest(world.signed_manifest, only_of="Acme", by="again", at=NOW)
    (manifest,) = world.references.manifests()
    assert manifest.imported_by == "supplier"
    reference = world.references.reference_manifest(manifest.digest)
    assert reference is not None
    assert reference.manifest.id == "release-1"
    assert world.references.reference_manifest(bytes(32)) is None


@pytest.mark.negative
def test_two_manifests_of_one_version_are_refused(world: World) -> None:
    other = world.sign(reference_manifest(world.device, version="1.0.1"))
    with pytest.raises(RefusalError) as caught:
        world.recognition.import_manifest(other, only_of=None, by="admin", at=NOW)
    assert refused(caught) is RefusalCode.MANIFEST_CONFLICT


# what only the real store can show


@pytest.mark.requirement("R94")
@pytest.mark.negative
def test_a_used_challenge_stays_used_after_a_restart(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path)
    references = ReferenceStore(engine, random_bytes=system_random)
    world = World(store=AuditedStore(engine), references=references)
    message = world.answer()
    world.validate(message)
    engine.dispose()
    again = sqlite_engine(tmp_path)
    world.store = AuditedStore(again)
    world.references = ReferenceStore(again, random_bytes=system_random)
    with pytest.raises(RefusalError) as caught:
        world.validate(message)
    assert refused(caught) is RefusalCode.CHALLENGE_USED
    again.dispose()


@pytest.mark.negative
@pytest.mark.check("A5")
@pytest.mark.parametrize("world", ["sqlite", "postgresql"], indirect=True)
def test_of_many_at_once_one_redeems_a_challenge(world: World) -> None:
    evidence = encode_evidence(world.answer())
    outcomes: list[str] = []

    def hand_in() -> None:
        try:
            outcomes.append(world.verifier.validate_platform(evidence, at=NOW).status)
        except RefusalError as error:
            outcomes.append(error.code.value)

    threads = [threading.Thread(target=hand_in) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["affirming", *["challenge-used"] * 15]


@pytest.mark.negative
def test_a_manifest_that_somebody_changed_in_the_database_affirms_nobody(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path)
    references = ReferenceStore(engine, random_bytes=system_random)
    world = World(store=AuditedStore(engine), references=references)
    other = world.sign(reference_manifest(world.device, version="2"))
    flipped = world.signed_manifest[:-1] + bytes([world.signed_manifest[-1] ^ 1])
    for altered, expected in ((flipped, RatsError), (other, RefusalError)):
        with transaction(engine) as connection:
            connection.execute(sa.update(schema.manifests).values(signed=altered))
        with pytest.raises(expected):
            references.reference_manifest(world.state.manifest_digest)
    engine.dispose()


def test_migrations_make_exactly_the_schema(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path)
    assert schema_differences(engine, schema.metadata) == []
    migrate(engine, MIGRATIONS)
    engine.dispose()


def test_a_history_survives_its_row_with_64_bit_values() -> None:
    world = World()
    world.validate(world.answer())
    history = world.store.histories[world.device.device_id]
    most: Any = 2**64 - 1
    clock_info = replace(history.last.clock_info, clock=most, reset_count=2**32 - 1)
    last = replace(history.last, clock_info=clock_info, generation_counter=most, firmware_version=most)
    extreme = replace(history, last=last, svn_highest=None, unsafe_since=NOW)
    assert history_of(row_of_history(extreme)) == extreme  # type: ignore[arg-type]  # a dict reads like a row
