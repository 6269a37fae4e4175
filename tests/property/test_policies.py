"""Policies for every input: reading gives a policy or its faults, and judging never makes a verdict better."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pva.appraisal.appraisal import Appraisal
from pva.appraisal.findings import FindingCode, Scope
from pva.policies.facts import PolicyFacts, facts_of_json
from pva.policies.language import Fault, PolicyFaultsError, Statement, read_policy
from pva.policies.narrowing import PolicyInForce, narrowed
from tests.fakes.attesting_device import measurements
from tests.fakes.pva_world import World, reference_manifest
from tests.unit.pva.appraisal.appraisals import GOOD, appraised

HEAD = '@id("rule")\n@reason("no")\nforbid (principal, action, resource)'
GOOD_TEXT = f'// ours\n{HEAD} when {{ resource.svn < 3 && context.findings.contains("clock-not-safe") }};\n'
CONDITIONS = (
    "true",
    "resource.svn < 9",
    "resource.svn < 1",
    "!resource.known",
    "context.clock_safe",
    f"resource.svn + {2**63 - 1} > 0",
    'context.platform == "contraindicated"',
    'context.findings.contains("pcr-mismatch")',
)
WORLD = World()
FACTS: PolicyFacts = facts_of_json(WORLD.store.facts[WORLD.validate(WORLD.answer()).id])
MANIFEST = reference_manifest(GOOD)
BASELINES = tuple(
    appraised(device, MANIFEST)
    for device in (GOOD, replace(GOOD, boot=tuple(measurements(kernel=b"another"))))
)


def read(text: str) -> None:
    faults: tuple[Fault, ...] = ()
    statements: tuple[Statement, ...] = ()
    try:
        statements = read_policy(text).statements
    except PolicyFaultsError as error:
        faults = error.faults
    assert bool(faults) != bool(statements)
    assert all(each.line >= 1 and each.message and each.remedy for each in faults)


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_has_faults(text: str) -> None:
    read(text)


@given(
    place=st.integers(min_value=0, max_value=len(GOOD_TEXT)),
    cut=st.integers(min_value=0, max_value=3),
    added=st.text(alphabet='(){}[]"\\\n/;@?|&!=<>.,:aé0', max_size=4),
)
def test_a_changed_policy_is_one_or_has_faults(place: int, cut: int, added: str) -> None:
    read(GOOD_TEXT[:place] + added + GOOD_TEXT[place + cut :])


@given(
    baseline=st.sampled_from(BASELINES),
    conditions=st.lists(st.sampled_from(CONDITIONS), max_size=4),
    findings=st.lists(st.sampled_from([each.value for each in FindingCode]), max_size=3),
)
def test_no_policies_make_a_verdict_better(
    baseline: Appraisal, conditions: list[str], findings: list[str]
) -> None:
    facts = replace(FACTS, context={**FACTS.context, "findings": findings})
    texts = [f"{HEAD} when {{ {each} }};" for each in conditions]
    policies = [PolicyInForce(role="sho", owner="x", digest=bytes(32), text=text) for text in texts]
    after = narrowed(baseline, facts=facts, policies=policies)
    for scope in Scope:
        assert after.tiers[scope] >= baseline.tiers[scope]
        assert all(after.vectors[scope][claim] >= value for claim, value in baseline.vectors[scope].items())
    before = {(each.scope, each.code, each.subject) for each in baseline.findings}
    assert before <= {(each.scope, each.code, each.subject) for each in after.findings}
