"""Trust lists, suspensions and what two administrators agree on, on SQLite and PostgreSQL, up to the verdict."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from edge.dual_control import APPROVAL_LIFE
from edge.process import system_random
from pva.manifests.approvals import Administrator
from pva.manifests.proposals import SHOWN_MAX, Proposal, ProposalKind
from pva.manifests.recognised import BY_ADMINISTRATORS
from pva.manifests.suspensions import SupplierSuspension, SuspensionDesk
from pva.manifests.trust_lists import ImportedTrustList, TrustListDesk
from pva.refusals import RefusalCode, RefusalError
from pva.store.known_references import KnownReferences
from pva.store.policies import PolicyStore
from pva.store.references import ReferenceStore
from standards.pki.extensions import Requester
from tests.contract.test_pva_store import AuditedStore, migrated
from tests.fakes.credentials import FakeSupplier
from tests.fakes.pki import NOW
from tests.fakes.pva_world import ADMINISTRATORS, TENANT, World
from tests.fakes.trust_lists import AUDIT, ListIssuer, vouched

FIRST, SECOND = ADMINISTRATORS
OVERSEER = ListIssuer()
OURSELVES = ListIssuer(name="pva-1", role="pva")
OPERATOR = ListIssuer(name=TENANT, role="sho")
SOURCES = {each.name: each.source for each in (OVERSEER, OURSELVES, OPERATOR)}

pytestmark = [pytest.mark.requirement("R26"), pytest.mark.requirement("R29")]


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[sa.Engine]:
    made = migrated(request, request.param)
    yield made
    made.dispose()


@pytest.fixture
def world(engine: sa.Engine) -> World:
    references = ReferenceStore(engine, random_bytes=system_random, sources=SOURCES)
    policies = PolicyStore(engine, random_bytes=system_random)
    return World(
        store=AuditedStore(engine),
        references=references,
        policies=policies,
        looked_up=KnownReferences(engine, references=references, policies=policies),
    )


def lists(world: World) -> TrustListDesk:
    return TrustListDesk(records=world.references, proposals=world.proposal_desk, sources=SOURCES)


def suspensions(world: World) -> SuspensionDesk:
    return SuspensionDesk(records=world.references, proposals=world.proposal_desk)


def brought(
    world: World, token: str, *, by: Administrator = FIRST, at: datetime = NOW
) -> tuple[ImportedTrustList, Proposal | None]:
    return lists(world).import_list(token, only_of=None, by=by, at=at)


def suspended(world: World, *, model: str | None = None) -> SupplierSuspension:
    return suspensions(world).suspend("Acme", model=model, reason="a flaw", by="admin-1", at=NOW)


def verdict(world: World, *, at: datetime = NOW) -> str:
    """What comes of a validation, some powered time after the last one: its tier, or the code of its refusal."""
    world.device = world.device.later()
    world.ask()
    try:
        return world.validate(world.answer(), at=at).result.status.name.lower()
    except RefusalError as refusal:
        return refusal.code.value


def names(world: World) -> list[str]:
    return [each.name for each in world.references.suppliers()]


def refused(caught: pytest.ExceptionInfo[RefusalError]) -> RefusalCode:
    return caught.value.code


def test_an_overseers_list_recognises_and_accredits(world: World) -> None:
    imported, proposal = brought(world, OVERSEER.sign(vouched(world.supplier, tre_level_min=None)))
    assert proposal is None
    (supplier,) = world.references.suppliers()
    assert (supplier.source, supplier.accreditation) == ("overseer-1", AUDIT)
    assert supplier.listed_until == imported.content.expires_at
    assert verdict(world) == "affirming"
    assert world.store.audit_kinds().count("trust-list-imported") == 1


@pytest.mark.negative
@pytest.mark.requirement("R20")
def test_the_end_of_an_audit_is_in_the_next_verdict(world: World) -> None:
    ends = replace(AUDIT, valid_to=NOW + timedelta(seconds=30))
    brought(world, OVERSEER.sign(vouched(world.supplier, accreditation=ends)))
    assert verdict(world) == "affirming"
    assert verdict(world, at=NOW + timedelta(seconds=30)) == "supplier-not-accredited"
    brought(world, OVERSEER.sign(vouched(world.supplier), sequence=2), at=NOW + timedelta(seconds=40))
    assert verdict(world, at=NOW + timedelta(seconds=41)) == "affirming"


@pytest.mark.negative
def test_what_a_newer_list_leaves_out_is_recognised_no_more(world: World) -> None:
    other = FakeSupplier.make("Other")
    brought(world, OVERSEER.sign(vouched(world.supplier), vouched(other)))
    assert names(world) == ["Acme", "Other"]
    brought(world, OVERSEER.sign(vouched(other), sequence=2))
    assert names(world) == ["Other"]
    assert verdict(world) == "supplier-not-recognised"
    brought(world, OVERSEER.sign(vouched(world.supplier), vouched(other), sequence=3))
    assert verdict(world) == "affirming"


@pytest.mark.negative
def test_the_sequence_number_never_falls(world: World) -> None:
    token = OVERSEER.sign(vouched(world.supplier), sequence=5)
    brought(world, token)
    kinds = world.store.audit_kinds()
    brought(world, token)
    assert world.store.audit_kinds() == kinds
    for sequence, days in ((4, 10), (5, 11)):
        with pytest.raises(RefusalError) as caught:
            brought(world, OVERSEER.sign(vouched(world.supplier), sequence=sequence, days=days))
        assert refused(caught) is RefusalCode.TRUST_LIST_ROLLED_BACK
    assert [each.content.sequence for each in lists(world).lists()] == [5]
    assert lists(world).lists()[0].token == token


def test_proposals_are_read_from_a_place_on(world: World) -> None:
    for number in range(3):
        world.proposal_desk.propose(
            ProposalKind.LIFTING,
            subject="a suspension",
            content=f"{number}",
            by=FIRST,
            at=NOW + timedelta(seconds=number // 2),
        )
    whole = world.proposal_desk.proposals()
    keys = [(each.proposed_at, each.digest) for each in whole]
    assert keys == sorted(keys, reverse=True)
    for place, key in enumerate(keys):
        assert list(world.proposal_desk.proposals(after=key)) == list(whole[place + 1 :])
        assert list(world.proposal_desk.proposals(after=key, count_max=1)) == list(whole[place + 1 :][:1])


def _lifting(world: World, content: str = "s-1", *, by: Administrator = FIRST) -> Proposal:
    return world.proposal_desk.propose(
        ProposalKind.LIFTING, subject="a suspension", content=content, by=by, at=NOW
    )


def test_what_waits_is_taken_back_and_begins_anew_when_it_is_proposed_again(world: World) -> None:
    made = _lifting(world)
    assert made in world.proposal_desk.proposals()
    world.proposal_desk.withdraw(made.digest, by=SECOND, at=NOW)
    assert made not in world.proposal_desk.proposals()
    assert isinstance(world.store, AuditedStore)
    assert world.store.audit_kinds()[-1] == "proposal-withdrawn"
    with pytest.raises(RefusalError) as refused:
        world.proposal_desk.approve(made.digest, by=SECOND, at=NOW)
    assert refused.value.code is RefusalCode.NOT_FOUND
    assert [each.approver for each in _lifting(world, by=SECOND).approvals] == [SECOND.name]


@pytest.mark.negative
def test_nobody_takes_back_what_is_done_or_never_was(world: World) -> None:
    made = suspended(world)
    world.proposal_desk.propose(ProposalKind.LIFTING, subject="Acme", content=made.id, by=FIRST, at=NOW)
    done = world.proposal_desk.propose(
        ProposalKind.LIFTING, subject="Acme", content=made.id, by=SECOND, at=NOW
    )
    assert done.done_at is not None
    for digest, code in ((done.digest, RefusalCode.PROPOSAL_DONE), (bytes(32), RefusalCode.NOT_FOUND)):
        with pytest.raises(RefusalError) as refused:
            world.proposal_desk.withdraw(digest, by=FIRST, at=NOW)
        assert refused.value.code is code
    assert world.proposal_desk.approve(done.digest, by=FIRST, at=NOW) == done


def test_a_proposal_is_approved_however_many_came_after_it(world: World) -> None:
    supplier = suspended(world)
    first = world.proposal_desk.propose(
        ProposalKind.LIFTING, subject="Acme", content=supplier.id, by=FIRST, at=NOW
    )
    for number in range(SHOWN_MAX):
        world.proposal_desk.propose(
            ProposalKind.LIFTING,
            subject="a suspension",
            content=f"{number}",
            by=FIRST,
            at=NOW + timedelta(seconds=1),
        )
    assert first not in world.proposal_desk.proposals()
    assert world.proposal_desk.approve(first.digest, by=SECOND, at=NOW).done_at == NOW


@pytest.mark.negative
def test_lists_of_strangers_and_of_other_times(world: World) -> None:
    supplier = vouched(world.supplier)
    strangers = (
        ListIssuer(name="nobody").sign(supplier),
        ListIssuer().sign(supplier),
        ListIssuer(name=OVERSEER.name, root=OPERATOR.root).sign(supplier),
        OVERSEER.sign(supplier, role="sho"),
        OVERSEER.sign(supplier)[:-8],
        "no list",
    )
    for token in strangers:
        with pytest.raises(RefusalError) as caught:
            brought(world, token)
        assert refused(caught) is RefusalCode.TRUST_LIST_UNTRUSTED
    for at in (NOW + timedelta(days=10), NOW - timedelta(minutes=1)):
        with pytest.raises(RefusalError) as caught:
            brought(world, OVERSEER.sign(supplier), at=at)
        assert refused(caught) is RefusalCode.TRUST_LIST_OUT_OF_TIME
    with pytest.raises(RefusalError) as caught:
        lists(world).import_list(OVERSEER.sign(supplier), only_of=("sho", TENANT), by=FIRST, at=NOW)
    assert refused(caught) is RefusalCode.TRUST_LIST_UNTRUSTED
    assert lists(world).lists() == ()
    assert names(world) == ["Acme"]


@pytest.mark.negative
def test_a_list_cannot_take_over_a_name_or_anothers_supplier(world: World) -> None:
    with pytest.raises(RefusalError) as caught:
        brought(world, OVERSEER.sign(vouched(FakeSupplier.make("Acme"))))
    assert refused(caught) is RefusalCode.SUPPLIER_CONFLICT
    assert lists(world).lists() == ()
    brought(world, OVERSEER.sign(vouched(world.supplier)))
    token = OURSELVES.sign(vouched(world.supplier))
    brought(world, token)
    with pytest.raises(RefusalError) as caught:
        brought(world, token, by=SECOND)
    assert refused(caught) is RefusalCode.SUPPLIER_CONFLICT


def test_a_list_of_the_administrators_counts_after_two(world: World) -> None:
    token = OURSELVES.sign(vouched(world.supplier))
    _, waiting = brought(world, token)
    assert waiting is not None
    assert (waiting.kind, waiting.done_at) == (ProposalKind.TRUST_LIST, None)
    assert lists(world).lists() == ()
    for by in (FIRST, replace(SECOND, key_sha256=FIRST.key_sha256), replace(FIRST, key_sha256="9" * 64)):
        with pytest.raises(RefusalError) as caught:
            brought(world, token, by=by)
        assert refused(caught) is RefusalCode.APPROVER_NOT_ANOTHER
    himself = Requester(name=FIRST.name, key_sha256=FIRST.key_sha256)
    with pytest.raises(RefusalError) as caught:
        world.proposal_desk.approve(
            waiting.digest, by=replace(SECOND, issued_at_request_of=(himself,)), at=NOW
        )
    assert refused(caught) is RefusalCode.APPROVER_NOT_INDEPENDENT
    done = world.proposal_desk.approve(waiting.digest, by=SECOND, at=NOW + timedelta(hours=1))
    assert done.done_at is not None
    assert [each.content.issuer for each in lists(world).lists()] == ["pva-1"]
    assert world.references.suppliers()[0].source == "pva-1"


@pytest.mark.negative
def test_an_approval_waits_a_day(world: World) -> None:
    token = OURSELVES.sign(vouched(world.supplier), days=100)
    _, waiting = brought(world, token)
    assert waiting is not None
    late = NOW + APPROVAL_LIFE + timedelta(seconds=1)
    assert world.proposal_desk.approve(waiting.digest, by=SECOND, at=late).done_at is None
    assert world.proposal_desk.approve(waiting.digest, by=FIRST, at=late).done_at == late
    with pytest.raises(RefusalError) as caught:
        world.proposal_desk.approve(bytes(32), by=FIRST, at=NOW)
    assert refused(caught) is RefusalCode.NOT_FOUND


@pytest.mark.negative
@pytest.mark.requirement("R19")
def test_an_operators_list_narrows_its_own_requests(world: World) -> None:
    other = FakeSupplier.make("Other")
    brought(world, OPERATOR.sign(vouched(world.supplier), vouched(other)))
    assert names(world) == ["Acme"]
    assert verdict(world) == "affirming"
    brought(world, OPERATOR.sign(vouched(other), sequence=2))
    assert verdict(world) == "supplier-not-trusted"
    brought(world, OPERATOR.sign(vouched(world.supplier), sequence=3, days=1))
    assert verdict(world) == "affirming"


@pytest.mark.negative
@pytest.mark.requirement("R28")
@pytest.mark.parametrize("model", [None, "gateway-1"])
def test_a_suspension_is_in_the_next_verdict_until_two_lift_it(world: World, model: str | None) -> None:
    made = suspended(world, model=model)
    assert suspended(world, model=model) == made
    assert verdict(world) == "supplier-suspended"
    waiting = suspensions(world).lift(made.id, by=FIRST, at=NOW)
    assert (waiting.kind, waiting.done_at) == (ProposalKind.LIFTING, None)
    assert verdict(world) == "supplier-suspended"
    assert suspensions(world).lift(made.id, by=SECOND, at=NOW).done_at == NOW
    assert [each.lifted_at for each in suspensions(world).suspensions()] == [NOW]
    assert verdict(world) == "affirming"
    with pytest.raises(RefusalError) as caught:
        suspensions(world).lift(made.id, by=FIRST, at=NOW)
    assert refused(caught) is RefusalCode.NOT_FOUND


@pytest.mark.negative
def test_what_is_not_recognised_is_not_suspended(world: World) -> None:
    for supplier, model in (("Nobody", None), ("Acme", "another")):
        with pytest.raises(RefusalError) as caught:
            suspensions(world).suspend(supplier, model=model, reason="r", by="admin-1", at=NOW)
        assert refused(caught) is RefusalCode.NOT_FOUND
    assert suspensions(world).suspensions() == ()


def test_a_list_takes_over_what_administrators_recognised_and_not_the_reverse(world: World) -> None:
    assert world.references.suppliers()[0].source == BY_ADMINISTRATORS
    brought(world, OVERSEER.sign(vouched(world.supplier)))
    assert world.references.suppliers()[0].source == "overseer-1"
    with pytest.raises(RefusalError) as caught:
        world.recognise(world.supplier)
    assert refused(caught) is RefusalCode.SUPPLIER_CONFLICT
