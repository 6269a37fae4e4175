"""The PVA's stores, in memory, on SQLite and on PostgreSQL, keep the same promises to the use cases."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from edge.database import engine_for, migrate, schema_differences, transaction
from edge.ledger_leaf import verify_entry
from edge.process import system_random
from messages.approval import VAULT_REACH
from messages.evidence import encode_evidence
from messages.validation_request import VALIDATION_REQUEST_OF_SHO
from pva.appraisal.continuity import ImaProgress, advance
from pva.policies.facts import PolicyFacts
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RelyingParty, RequestState
from pva.results.grounds import Grounds
from pva.results.result import SignedResult
from pva.store import tables
from pva.store.approvals import ApprovalStore
from pva.store.known_references import KnownReferences
from pva.store.outbox import OutboxStore
from pva.store.policies import PolicyStore
from pva.store.references import ReferenceStore
from pva.store.results import ResultStore
from pva.store.rows import history_of, row_of_history, row_of_request, row_of_result
from pva.store.status_asks import StatusAskOutbox
from pva.store.validations import UNAUTHENTICATED_REFUSALS_MAX, Store
from pva.updates.approvals import GivenApprovals
from pva.watching.holding import HoldRule
from tests.contract.databases import new_database
from tests.fakes.attesting_device import AttestingDevice, measurements
from tests.fakes.credentials import FakeSupplier
from tests.fakes.pki import NOW
from tests.fakes.pva_memory import MemoryStore
from tests.fakes.pva_world import TENANT, World
from tests.fakes.relying_parties import DPF, ORDER, RELAY, SHO, RelyingParties

CALLBACKS = frozenset({"sho-1", "dpf-1"})
HOLD_RULE = HoldRule(contraindicated=2, of=3, within=timedelta(hours=1))
FACTS = PolicyFacts(device={}, device_id="", action="validate", manifest={}, context={})
GROUNDS = Grounds(evidence=b"evidence", facts=FACTS, parts={})
MIGRATIONS = Path(__file__).parents[2] / "pva" / "migrations"


class AuditedStore(Store):
    """The real store, with its audit leaves made readable for the tests."""

    def __init__(self, engine: sa.Engine) -> None:
        """Work on `engine`."""
        super().__init__(engine, random_bytes=system_random, callbacks=CALLBACKS, hold_rule=HOLD_RULE)
        self.engine = engine

    def audit_kinds(self) -> tuple[str, ...]:
        """Kinds of the audit leaves so far; each one must match its record."""
        with transaction(self.engine, write=False) as connection:
            entries = tables.ledger.entries(connection)
        return tuple(verify_entry(entry)["kind"] for entry in entries)


def migrated(request: pytest.FixtureRequest, kind: str) -> sa.Engine:
    return engine_for(new_database(request, kind, MIGRATIONS))


def sqlite_engine(folder: Path) -> sa.Engine:
    engine = engine_for(f"sqlite:///{folder / 'pva.db'}")
    migrate(engine, MIGRATIONS)
    return engine


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "memory":
        yield World(store=MemoryStore(callbacks=CALLBACKS, hold_rule=HOLD_RULE))
        return
    engine = migrated(request, request.param)
    references = ReferenceStore(engine, random_bytes=system_random)
    policies = PolicyStore(engine, random_bytes=system_random)
    yield World(
        store=AuditedStore(engine),
        references=references,
        approvals=ApprovalStore(engine, random_bytes=system_random),
        outbox=OutboxStore(engine),
        records=ResultStore(engine, random_bytes=system_random),
        asks=StatusAskOutbox(engine),
        policies=policies,
        looked_up=KnownReferences(engine, references=references, policies=policies),
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


def second_result(first: SignedResult, *, request_id: str) -> SignedResult:
    """A result that differs from the first in whatever must be its own."""
    leaf = replace(first.leaf, leaf_hash=b"\x02" * 32)
    return replace(first, request_id=request_id, result=replace(first.result, result_id="second"), leaf=leaf)


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
    second = second_result(first, request_id=request.id)
    outcome: dict[str, Any] = {"grounds": GROUNDS, "history": after, "at": NOW}
    for revision in (None, history.revision + 1):
        with pytest.raises(RefusalError) as caught:
            world.store.record_result(second, expected_revision=revision, **outcome)
        assert refused(caught) is RefusalCode.CONCURRENT_VALIDATION
    assert world.store.device_history(world.device.device_id) == history
    assert tuple(world.store.audit_kinds()) == audited
    world.store.record_result(second, expected_revision=history.revision, **outcome)


@pytest.mark.negative
@pytest.mark.check("A26")
def test_an_ak_belongs_to_one_device_in_the_store_too(world: World) -> None:
    first = world.validate(world.answer())
    history = world.store.device_history(world.device.device_id)
    clone = replace(history, last=replace(history.last, device_id="ff" * 32))
    request_id = world.ask()
    second = second_result(first, request_id=request_id)
    with pytest.raises(RefusalError):
        world.store.record_result(second, grounds=GROUNDS, history=clone, expected_revision=None, at=NOW)
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


@pytest.mark.requirement("R93")
def test_a_signed_request_is_one_request_however_often_it_comes(world: World) -> None:
    parties = RelyingParties(world=world)
    token = parties.token(encrypt_to=parties.encrypt_to())
    desk = world.signed_desk
    first, new = desk.submit(token, caller=SHO, at=NOW)
    assert new
    assert desk.submit(token, caller=SHO, at=NOW) == (first, False)
    with pytest.raises(RefusalError) as caught:
        desk.relayed(first.id, relay="ro-1", at=NOW)
    assert refused(caught) is RefusalCode.NOT_FOUND
    for _ in range(2):
        assert desk.submit(token, caller=RELAY, at=NOW) == (first, False)
    assert desk.relayed(first.id, relay="ro-1", at=NOW).state is RequestState.PENDING
    assert desk.progress(first.id, caller=SHO, at=NOW).request == first
    assert world.store.audit_kinds().count("validation-requested") == 1
    other = parties.question(jti="request-1", order_digest=bytes(32))
    signed = parties.signers["sho"].sign(other.claims(), typ=VALIDATION_REQUEST_OF_SHO.typ)
    with pytest.raises(RefusalError) as caught:
        desk.submit(signed, caller=SHO, at=NOW)
    assert refused(caught) is RefusalCode.REQUEST_CONFLICT
    world.validate(world.answer())
    assert desk.relayed(first.id, relay="ro-1", at=NOW).outcome == "pass"


def test_of_each_relying_party_the_oldest_request_waits(world: World) -> None:
    parties = RelyingParties(world=world)
    first = parties.ask()
    parties.ask(at=NOW + timedelta(seconds=1))
    token = parties.token(role="dpf", at=NOW + timedelta(seconds=2))
    second, _ = world.signed_desk.submit(token, caller=DPF, at=NOW + timedelta(seconds=2))
    waiting = world.store.oldest_of_each(world.device.device_id, at=NOW + timedelta(seconds=3))
    assert [each.id for each in waiting] == [first, second.id]


@pytest.mark.requirement("R81")
@pytest.mark.requirement("R95")
def test_a_result_is_posted_with_its_record_and_claimed_once(world: World) -> None:
    outbox = world.outbox or world.store
    result = world.validate(world.answer())
    for audience in ("sho-1", "dpf-1"):
        (posted,) = outbox.due(audience, at=NOW, count_max=8)
        assert (posted.result_id, posted.token, posted.tries) == (result.id, result.token, 0)
        assert posted.expires_at == result.result.expires_at
        assert outbox.claim(posted, until=NOW + timedelta(seconds=20))
        assert not outbox.claim(posted, until=NOW + timedelta(seconds=20))
        assert outbox.due(audience, at=NOW, count_max=8) == ()
        outbox.postpone(posted, until=NOW + timedelta(seconds=1))
        (again,) = outbox.due(audience, at=NOW + timedelta(seconds=1), count_max=8)
        assert again.tries == 1
        outbox.remove(again)
        assert outbox.due(audience, at=NOW + timedelta(hours=1), count_max=8) == ()
    assert outbox.due("elsewhere", at=NOW, count_max=8) == ()


@pytest.mark.requirement("R101")
def test_every_result_is_posted_to_the_responders_whatever_its_audience(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path)
    store = Store(
        engine, random_bytes=system_random, callbacks=CALLBACKS, status_responders=frozenset({"ocsp-1"})
    )
    world = World(
        store=store,
        references=ReferenceStore(engine, random_bytes=system_random),
        approvals=ApprovalStore(engine, random_bytes=system_random),
        outbox=OutboxStore(engine),
        records=ResultStore(engine, random_bytes=system_random),
        asks=StatusAskOutbox(engine),
        policies=PolicyStore(engine, random_bytes=system_random),
    )
    result = world.validate(world.answer())
    assert "ocsp-1" not in result.result.audience
    for receiver in ("dpf-1", "ocsp-1", "sho-1"):
        (posted,) = OutboxStore(engine).due(receiver, at=NOW, count_max=8)
        assert posted.token == result.token


@pytest.mark.negative
def test_a_result_that_is_not_recorded_is_not_posted(world: World) -> None:
    outbox = world.outbox or world.store
    first = world.validate(world.answer())
    history = world.store.device_history(world.device.device_id)
    request_id = world.ask()
    second = second_result(first, request_id=request_id)
    with pytest.raises(RefusalError):
        world.store.record_result(second, grounds=GROUNDS, history=history, expected_revision=None, at=NOW)
    assert [each.result_id for each in outbox.due("sho-1", at=NOW, count_max=8)] == [first.id]


@pytest.mark.requirement("R76")
def test_approvals_are_given_once_and_an_order_has_one_counter_value(world: World) -> None:
    parties = RelyingParties(world=world)
    first = parties.validated()
    desk = world.approval_desk
    given = desk.approve(first.id, order_digest=ORDER, sho="sho-1", at=NOW)
    assert desk.approve(first.id, order_digest=ORDER, sho="sho-1", at=NOW) == given
    assert given.storage_public == world.device.storage.encode()
    assert world.store.audit_kinds().count("state-approved") == 1
    with pytest.raises(RefusalError) as caught:
        desk.approve(first.id, order_digest=ORDER, sho="sho-2", at=NOW)
    assert refused(caught) is RefusalCode.NOT_FOUND
    again = parties.validated(device=world.device.later())
    approvals = desk.approve(again.id, order_digest=ORDER, sho="sho-1", at=NOW).given.approvals
    assert len(approvals) == 2 + VAULT_REACH  # the package, and the vault from here to its reach
    raised = parties.validated(device=replace(world.device.later(2000), counter_value=2))
    for result in (raised, again, first):
        with pytest.raises(RefusalError) as caught:
            desk.approve(result.id, order_digest=ORDER, sho="sho-1", at=NOW)
        assert refused(caught) is RefusalCode.ORDER_CLOSED


@pytest.mark.negative
def test_a_newer_result_that_is_not_affirming_is_seen(world: World) -> None:
    parties = RelyingParties(world=world)
    good = parties.validated()
    changed = replace(world.device.later(), boot=tuple(measurements(kernel=b"another kernel")))
    parties.validated(device=changed)
    with pytest.raises(RefusalError) as caught:
        world.approval_desk.approve(good.id, order_digest=ORDER, sho="sho-1", at=NOW)
    assert refused(caught) is RefusalCode.RESULT_SUPERSEDED


@pytest.mark.negative
def test_what_changed_meanwhile_is_not_recorded(world: World) -> None:
    parties = RelyingParties(world=world)
    result = parties.validated()
    records = world.approvals or world.store
    facts = records.approval_facts(result.id, sho="sho-1")
    given = GivenApprovals(approvals=(b"never recorded",), day_key_chain=())
    with pytest.raises(RefusalError) as caught:
        records.record_approvals(given, facts=replace(facts, counter_seen=2), sho="sho-1", at=NOW)
    assert refused(caught) is RefusalCode.CONCURRENT_CHANGE
    assert records.approval_facts(result.id, sho="sho-1") == facts


# what only the real store can show


@pytest.mark.requirement("R93")
@pytest.mark.parametrize("world", ["sqlite"], indirect=True)
def test_the_audit_leaf_of_a_signed_request_holds_the_token(world: World) -> None:
    parties = RelyingParties(world=world)
    token = parties.token()
    world.signed_desk.submit(token, caller=RELAY, at=NOW)
    with transaction(world.store.engine, write=False) as connection:
        *_, entry = tables.ledger.entries(connection)
    record = verify_entry(entry)["record"]
    assert (record["token"], record["tenant"], record["relay"]) == (token, "sho-1", "ro-1")


@pytest.mark.negative
@pytest.mark.parametrize("world", ["sqlite", "postgresql"], indirect=True)
def test_of_many_at_once_one_claims_and_all_get_the_same_approvals(world: World) -> None:
    parties = RelyingParties(world=world)
    result = parties.validated()
    (posted,) = world.outbox.due("sho-1", at=NOW, count_max=8)
    claims: list[bool] = []
    answers: list[Any] = []

    def both() -> None:
        claims.append(world.outbox.claim(posted, until=NOW + timedelta(seconds=20)))
        answers.append(world.approval_desk.approve(result.id, order_digest=ORDER, sho="sho-1", at=NOW))

    threads = [threading.Thread(target=both) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claims) == [False] * 7 + [True]
    assert len(answers) == 8
    assert all(each == answers[0] for each in answers)


def test_results_of_an_older_schema_stay(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'old.db'}"
    engine = engine_for(url)
    world = World()
    request_id = world.ask()
    result = world.validate(world.answer())
    request = row_of_request(world.store.requests[request_id])
    with transaction(engine) as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for table, row in (("validation_requests", request), ("results", row_of_result(result, revision=1))):
            known = sa.Table(table, sa.MetaData(), autoload_with=connection)
            values = {name: value for name, value in row.items() if name in known.c}
            connection.execute(sa.insert(tables.metadata.tables[table]).values(**values))
    migrate(engine, MIGRATIONS)
    store = Store(engine, random_bytes=system_random)
    progress = store.progress(request_id, role="sho", tenant=TENANT, at=NOW)
    assert progress is not None
    assert (progress.result, progress.passes) == (result.token, False)
    engine.dispose()


@pytest.mark.requirement("R94")
@pytest.mark.negative
def test_a_used_challenge_stays_used_after_a_restart(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path)
    references = ReferenceStore(engine, random_bytes=system_random)
    policies = PolicyStore(engine, random_bytes=system_random)
    world = World(store=AuditedStore(engine), references=references, policies=policies)
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


def test_migrations_make_exactly_the_schema(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path)
    assert schema_differences(engine, tables.metadata) == []
    migrate(engine, MIGRATIONS)
    engine.dispose()


def test_a_history_survives_its_row_with_64_bit_values() -> None:
    world = World()
    world.validate(world.answer())
    history = world.store.histories[world.device.device_id]
    most: Any = 2**64 - 1
    clock_info = replace(history.last.clock_info, clock=most, reset_count=2**32 - 1)
    last = replace(history.last, clock_info=clock_info, generation_counter=most, firmware_version=most)
    ima = ImaProgress(
        count=2**31, value=bytes(32), reset_count=2**32 - 1, restart_count=2**32 - 1, policy=b"\xff" * 32
    )
    extreme = replace(history, last=last, svn_highest=None, unsafe_since=NOW, ima=ima)
    assert history_of(row_of_history(extreme)) == extreme
