"""Policies on every store keep the same promises: whose they are, how many, in which state, with an audit leaf each."""

import threading
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from edge.database import transaction
from pva.policies.desk import ACTIVE_MAX, STORED_MAX, Owner, PolicyState, StoredPolicy
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RelyingParty
from pva.store import tables
from tests.contract.test_pva_store import world
from tests.fakes.pki import NOW
from tests.fakes.pva_memory import MemoryStore
from tests.fakes.pva_world import TENANT, World

__all__ = ["world"]

OPERATOR, SUPPLIER = Owner(role="sho", tenant=TENANT), Owner(role="es", tenant="Acme")
OTHER = Owner(role="sho", tenant="sho-2")
PARTY = RelyingParty(role="sho", tenant=TENANT, name="somebody")


def written(name: str = "rule", condition: str = "resource.svn < 9") -> str:
    return f'@id("{name}")\n@reason("too old")\nforbid (principal, action, resource) when {{ {condition} }};'


def store_of(world: World) -> Any:
    return world.policies or world.store


def add(world: World, text: str, *, owner: Owner = OPERATOR) -> StoredPolicy:
    return world.policy_desk.add(text, owner=owner, by="somebody", at=NOW)


def activate(world: World, policy: StoredPolicy) -> StoredPolicy:
    return world.policy_desk.activate(policy.digest, owner=policy.owner, by="another", at=NOW)


def in_force(world: World, *, party: RelyingParty = PARTY, supplier: str = "Acme") -> set[bytes]:
    return {each.digest for each in store_of(world).in_force(party, supplier=supplier)}


def kinds(world: World) -> list[str]:
    return list(world.store.audit if isinstance(world.store, MemoryStore) else world.store.audit_kinds())


def test_a_policy_is_in_force_from_activation_to_retirement(world: World) -> None:
    draft = add(world, written())
    assert (draft.state, in_force(world)) == (PolicyState.DRAFT, set())
    active = activate(world, draft)
    assert (active.state, active.changed_by, in_force(world)) == (
        PolicyState.ACTIVE,
        "another",
        {draft.digest},
    )
    world.policy_desk.retire(draft.digest, owner=OPERATOR, by="somebody", at=NOW)
    assert in_force(world) == set()
    assert kinds(world)[-3:] == ["policy-added", "policy-active", "policy-retired"]
    assert add(world, written()).state is PolicyState.RETIRED


def test_it_judges_a_validation_through_the_store(world: World) -> None:
    activate(world, add(world, written()))
    result = world.validate(world.answer())
    assert result.status == "warning"
    run = world.policy_desk.dry_run(written(), owner=OPERATOR, since=NOW - timedelta(days=1))
    assert (run.judged, run.denied, run.changed) == (1, 1, 0)
    of_supplier = world.policy_desk.dry_run(written(), owner=SUPPLIER, since=NOW - timedelta(days=1))
    assert (of_supplier.judged, of_supplier.denied) == (1, 1)
    for stranger in (OTHER, Owner(role="es", tenant="Other")):
        assert world.policy_desk.dry_run(written(), owner=stranger, since=NOW - timedelta(days=1)).judged == 0


@pytest.mark.negative
def test_each_owner_sees_and_changes_its_own(world: World) -> None:
    own, others = add(world, written()), add(world, written(), owner=OTHER)
    assert own.digest == others.digest
    assert [each.owner for each in world.policy_desk.policies(owner=OPERATOR)] == [OPERATOR]
    assert {each.owner for each in world.policy_desk.policies(owner=None)} == {OPERATOR, OTHER}
    only_theirs = add(world, written("theirs"), owner=OTHER)
    for step in (world.policy_desk.activate, world.policy_desk.retire):
        with pytest.raises(RefusalError) as caught:
            step(only_theirs.digest, owner=OPERATOR, by="somebody", at=NOW)
        assert caught.value.code is RefusalCode.NOT_FOUND
    activate(world, others)
    assert in_force(world) == set()
    activate(world, add(world, written("of the supplier".replace(" ", "-")), owner=SUPPLIER))
    assert len(in_force(world)) == 1
    assert in_force(world, supplier="Other") == set()
    assert in_force(world, party=RelyingParty(role="dpf", tenant=TENANT, name="x"), supplier="Other") == set()


@pytest.mark.negative
def test_steps_that_lead_nowhere_and_more_than_fit_are_refused(world: World) -> None:
    first, *others = [activate(world, add(world, written(f"rule-{each}"))) for each in range(ACTIVE_MAX)]
    with pytest.raises(RefusalError) as caught:
        activate(world, first)
    assert caught.value.code is RefusalCode.POLICY_STATE
    one_more = add(world, written("one-more"))
    with pytest.raises(RefusalError) as caught:
        activate(world, one_more)
    assert caught.value.code is RefusalCode.TOO_MANY_POLICIES
    world.policy_desk.retire(others[0].digest, owner=OPERATOR, by="somebody", at=NOW)
    assert activate(world, one_more).state is PolicyState.ACTIVE
    with pytest.raises(RefusalError) as caught:
        store_of(world).add_policy(
            StoredPolicy(
                owner=OPERATOR,
                digest=bytes(32),
                text="",
                state=PolicyState.DRAFT,
                added_at=NOW,
                changed_at=NOW,
                changed_by="x",
            ),
            stored_max=ACTIVE_MAX,
        )
    assert caught.value.code is RefusalCode.TOO_MANY_POLICIES
    assert STORED_MAX > ACTIVE_MAX


@pytest.mark.negative
@pytest.mark.parametrize("world", ["sqlite", "postgresql"], indirect=True)
def test_of_many_at_once_no_more_than_fit_are_activated(world: World) -> None:
    drafts = [add(world, written(f"rule-{each}")) for each in range(ACTIVE_MAX + 3)]
    refused: list[RefusalCode] = []

    def switch_on(policy: StoredPolicy) -> None:
        try:
            activate(world, policy)
        except RefusalError as error:
            refused.append(RefusalCode(error.code))

    threads = [threading.Thread(target=switch_on, args=(each,)) for each in drafts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(in_force(world)) == ACTIVE_MAX
    assert refused == [RefusalCode.TOO_MANY_POLICIES] * 3


@pytest.mark.negative
@pytest.mark.parametrize("world", ["sqlite", "postgresql"], indirect=True)
def test_a_text_that_somebody_changed_judges_nobody(world: World) -> None:
    policy = activate(world, add(world, written()))
    message = world.answer()
    with transaction(world.store.engine) as connection:
        connection.execute(sa.update(tables.policies).values(text=written(condition="false && true")))
    with pytest.raises(RefusalError) as caught:
        world.validate(message)
    assert caught.value.code is RefusalCode.MALFUNCTION
    assert policy.digest.hex() in caught.value.subject
