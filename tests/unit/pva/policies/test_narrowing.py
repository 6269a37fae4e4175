"""Policies deny and do nothing else: their owner's requests, at once, with the reason that they give."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pva.appraisal.findings import Scope
from pva.policies.desk import Owner, PolicyState
from pva.policies.facts import PolicyFacts, facts_of_json
from pva.policies.language import read_policy
from pva.policies.narrowing import DENIALS_MAX, PolicyInForce, denials
from pva.refusals import RefusalCode, RefusalError
from pva.results.result import SignedResult
from standards.rats.ar4si import Tier
from tests.fakes.attesting_device import measurements
from tests.fakes.credentials import MODEL
from tests.fakes.pki import NOW
from tests.fakes.pva_world import TENANT, World

OPERATOR, SUPPLIER = Owner(role="sho", tenant=TENANT), Owner(role="es", tenant="Acme")
SCOPE = "forbid (principal, action, resource)"


def written(condition: str, *, name: str = "rule", reason: str = "not in our network") -> str:
    return f'@id("{name}")\n@reason("{reason}")\n{SCOPE} when {{ {condition} }};'


@pytest.fixture
def world() -> World:
    return World()


def put_in_force(world: World, text: str, *, owner: Owner = OPERATOR) -> bytes:
    digest = world.policy_desk.add(text, owner=owner, by="somebody", at=NOW).digest
    world.policy_desk.activate(digest, owner=owner, by="somebody", at=NOW)
    return digest


def judged(world: World) -> SignedResult:
    return world.validate(world.answer())


def codes(result: SignedResult) -> set[str]:
    return {each.code for part in result.result.submodules.values() for each in part.findings}


@pytest.mark.requirement("R71")
@pytest.mark.parametrize("owner", [OPERATOR, SUPPLIER])
def test_a_policy_denies_what_the_baseline_affirms(world: World, owner: Owner) -> None:
    digest = put_in_force(
        world, written("resource.svn < 9", reason="we take release 9 and newer"), owner=owner
    )
    result = judged(world)
    platform = result.result.submodules["platform"]
    (finding,) = platform.findings
    assert (finding.code, finding.scope) == ("policy-denied", "platform")
    assert finding.reason == "we take release 9 and newer"
    assert digest.hex() in (finding.event or "")
    assert "statement 'rule'" in finding.subject
    assert {name: part.status for name, part in result.result.submodules.items()} == {
        "tre": Tier.WARNING,
        "platform": Tier.WARNING,
    }


def test_without_a_match_the_verdict_stays_and_names_the_policy(world: World) -> None:
    before = judged(world)
    digest = put_in_force(world, written("resource.svn < 2"))
    world.device = world.device.later()
    after = judged(world)
    assert after.result.status is before.result.status is Tier.AFFIRMING
    assert after.result.policy_digest != before.result.policy_digest
    ids = after.result.submodules["tre"].policy_ids
    assert len(ids) == len(before.result.submodules["tre"].policy_ids) + 1 == 2
    assert ids[1].startswith("ni:///sha-256;")
    assert digest


def test_it_judges_from_its_activation_to_its_retirement(world: World) -> None:
    desk = world.policy_desk
    digest = desk.add(written("true"), owner=OPERATOR, by="me", at=NOW).digest
    assert judged(world).status == "affirming"
    for step, status in ((desk.activate, "warning"), (desk.retire, "affirming"), (desk.activate, "warning")):
        step(digest, owner=OPERATOR, by="me", at=NOW)
        world.device = world.device.later()
        assert judged(world).status == status


@pytest.mark.negative
@pytest.mark.parametrize("owner", [Owner(role="sho", tenant="sho-2"), Owner(role="es", tenant="Other")])
def test_anothers_policy_judges_nothing_here(world: World, owner: Owner) -> None:
    put_in_force(world, written("true"), owner=owner)
    assert judged(world).status == "affirming"
    put_in_force(world, written("true", name="own"))
    world.device = world.device.later()
    assert judged(world).status == "warning"


@pytest.mark.negative
def test_a_policy_that_cannot_be_evaluated_denies(world: World) -> None:
    put_in_force(world, written(f"resource.svn + {2**63 - 1} > 0"))
    result = judged(world)
    assert result.status == "warning"
    assert codes(result) == {"policy-not-evaluated", "platform-not-affirmed"}


@pytest.mark.negative
def test_a_stored_policy_that_cannot_be_read_denies(world: World) -> None:
    digest = put_in_force(world, written("resource.svn < 2"))
    policy = world.store.policies_of[OPERATOR, digest]
    world.store.policies_of[OPERATOR, digest] = replace(policy, text="forbid (principal, action")
    assert "policy-not-evaluated" in codes(judged(world))


@pytest.mark.negative
def test_no_policy_makes_a_bad_state_better(world: World) -> None:
    world.device = replace(world.device, boot=tuple(measurements(kernel=b"another")))
    put_in_force(world, written('context.platform == "contraindicated"'))
    result = judged(world)
    assert result.status == "contraindicated"
    assert {"policy-denied", "kernel-mismatch"} <= codes(result)
    with pytest.raises(RefusalError) as caught:
        world.policy_desk.add(f'@id("a")@reason("b") permit {SCOPE[7:]};', owner=OPERATOR, by="me", at=NOW)
    assert caught.value.code is RefusalCode.POLICY_FAULTY


def test_the_facts_are_those_of_the_validation_and_survive_json(world: World) -> None:
    result = judged(world)
    facts = facts_of_json(world.store.facts[result.id])
    assert facts.device == {
        "supplier": "Acme",
        "model": MODEL,
        "hw_type": facts.device["hw_type"],
        "tre_level": facts.device["tre_level"],
    }
    assert facts.manifest == {"id": "release-1", "supplier": "Acme", "svn": 3, "known": True}
    expected = {
        "requester": TENANT,
        "role": "sho",
        "purpose": "validation",
        "tre": "affirming",
        "platform": "affirming",
        "findings": [],
        "seen_before": False,
        "ima": False,
        "manifest_days_left": 90,
        "tpm_resets": 7,
        "clock_safe": True,
    }
    assert {name: facts.context[name] for name in expected} == expected
    world.device = world.device.later()
    again = world.validate(world.answer(at=NOW + timedelta(days=3)), at=NOW + timedelta(days=3))
    later = facts_of_json(world.store.facts[again.id])
    assert (later.context["seen_before"], later.context["last_seen_days"]) == (True, 3)
    assert later.context["svn_highest"] == 3


def test_every_fact_of_a_request_fits_the_schema(world: World) -> None:
    """A request that does not fit comes to no decision, which would deny everybody."""
    facts = facts_of_json(world.store.facts[judged(world).id])
    policy = PolicyInForce(role="sho", owner=TENANT, digest=b"", text=written("resource.svn < 1"))
    assert list(denials(facts, policies=[policy])) == []
    broken = replace(facts, context={**facts.context, "svm": 1})
    assert [each.statement for each in denials(broken, policies=[policy])] == [None]


@pytest.mark.parametrize("name", sorted(Scope))
def test_a_result_tells_of_so_many_denials(world: World, name: str) -> None:
    many = "\n".join(written("true", name=f"rule-{count}") for count in range(DENIALS_MAX + 5))
    assert len(read_policy(many).statements) == DENIALS_MAX + 5
    put_in_force(world, many)
    found = judged(world).result.submodules[name].findings
    assert len(found) == (DENIALS_MAX if name == "platform" else 1)


def test_a_dry_run_shows_what_would_have_changed_and_stores_nothing(world: World) -> None:
    good = judged(world)
    world.device = replace(world.device.later(), boot=tuple(measurements(kernel=b"another")))
    judged(world)
    desk = world.policy_desk
    text = written("resource.svn < 9", reason="we take release 9 and newer")
    run = desk.dry_run(text, owner=OPERATOR, since=NOW - timedelta(days=1))
    assert (run.judged, run.denied, run.changed, run.complete) == (2, 2, 1, True)
    (changed,) = run.changes
    assert (changed.result_id, changed.reasons) == (good.id, ("we take release 9 and newer",))
    assert run.by_statement == {"rule": 2}
    assert desk.policies(owner=OPERATOR) == ()
    assert (
        desk.dry_run(written("resource.svn < 2"), owner=OPERATOR, since=NOW - timedelta(days=1)).denied == 0
    )
    assert desk.dry_run(text, owner=OPERATOR, since=NOW + timedelta(days=1)).judged == 0
    del world.store.facts[good.id]
    assert desk.dry_run(text, owner=OPERATOR, since=NOW - timedelta(days=1)).without_facts == 1


@pytest.mark.negative
def test_a_supplier_is_told_how_many_and_not_which(world: World) -> None:
    judged(world)
    run = world.policy_desk.dry_run(written("true"), owner=SUPPLIER, since=NOW - timedelta(days=1))
    assert (run.changed, run.changes) == (1, ())
    other = Owner(role="es", tenant="Other")
    assert world.policy_desk.dry_run(written("true"), owner=other, since=NOW - timedelta(days=1)).judged == 0


def test_facts_of_an_order_are_a_release_and_a_look_is_none(world: World) -> None:
    facts: PolicyFacts = facts_of_json(world.store.facts[judged(world).id])
    assert facts.action == "validate"
    only_releases = '@id("a")@reason("b") forbid (principal, action == PVA::Action::"release", resource);'
    policy = PolicyInForce(role="sho", owner=TENANT, digest=b"", text=only_releases)
    assert not list(denials(facts, policies=[policy]))
    assert list(denials(replace(facts, action="release"), policies=[policy]))


def test_a_draft_and_a_retired_policy_are_on_record(world: World) -> None:
    digest = put_in_force(world, written("true"))
    world.policy_desk.retire(digest, owner=OPERATOR, by="me", at=NOW)
    (policy,) = world.policy_desk.policies(owner=OPERATOR)
    assert policy.state is PolicyState.RETIRED
    assert world.store.audit[-3:] == ["policy-added", "policy-active", "policy-retired"]
