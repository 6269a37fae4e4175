"""A validation is explained to whoever may read its result, from what is on record and nothing else."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pva.appraisal.nearest import CANDIDATES_MAX
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RequestState
from pva.results.explanation import Explanation, Reader
from pva.store.validations import EVIDENCE_LIFE
from standards.rats.ar4si import Tier
from tests.fakes.attesting_device import AttestingDevice, measurements
from tests.fakes.pki import NOW
from tests.fakes.pva_world import TENANT, World, reference_manifest

SHO = Reader(role="sho", tenant=TENANT)


@pytest.fixture
def world() -> World:
    return World()


def in_another_boot(world: World) -> AttestingDevice:
    return replace(world.device, boot=tuple(measurements(kernel=b"another kernel")))


def explained(world: World, some_id: str, *, reader: Reader = SHO) -> Explanation:
    return world.explanation_desk.explain(some_id, reader=reader, at=NOW)


@pytest.mark.requirement("R69")
@pytest.mark.requirement("R71")
def test_a_bad_state_is_explained_by_component_and_nearest_manifest(world: World) -> None:
    device = in_another_boot(world)
    request_id = world.ask()
    result = world.validate(world.answer(device))
    for some_id in (request_id, result.id):
        told = explained(world, some_id)
        assert told.result == result.result
        assert told.nearest is not None
        assert told.nearest.sentence.startswith(
            "release 1.0.0 (svn 3) with kernel vmlinuz in place of event 0 of PCR 9"
        )
        kernel = next(
            each for each in told.result.submodules["platform"].findings if each.code == "kernel-mismatch"
        )
        assert kernel.cause is not None
        assert (kernel.cause.register, kernel.cause.type) == (9, "EV_IPL")
        assert kernel.cause.description.startswith("/vmlinuz")
        assert kernel.expected
        assert kernel.measured
        assert kernel.remedy


def test_a_good_state_is_its_own_manifest(world: World) -> None:
    told = explained(world, world.validate(world.answer()).id)
    assert told.nearest is not None
    assert (told.nearest.sentence, told.nearest.differences) == ("release 1.0.0 (svn 3)", ())
    assert told.result is not None
    assert told.result.status is Tier.AFFIRMING


def test_a_release_that_came_later_explains_what_was_strange_before(world: World) -> None:
    device = in_another_boot(world)
    result = world.validate(world.answer(device))
    later = world.sign(reference_manifest(device, id="release-2", svn=4))
    world.recognition.import_manifest(later, only_of=None, by="supplier", at=NOW)
    told = explained(world, result.id)
    assert told.nearest is not None
    assert told.nearest.sentence == "release 1.0.0 (svn 4)"
    assert told.result is not None
    assert told.result.status is Tier.CONTRAINDICATED


def test_refused_tries_explain_a_validation_without_a_result(world: World) -> None:
    request_id = world.ask()
    message = world.answer()
    world.references.by_name.clear()
    with pytest.raises(RefusalError):
        world.validate(message)
    told = explained(world, request_id)
    assert (told.record.state, told.result, told.nearest) == (RequestState.PENDING, None, None)
    (refused,) = told.record.refusals
    assert refused.code == "supplier-not-recognised"
    assert refused.subject
    assert refused.reason
    assert refused.remedy


def test_without_evidence_the_findings_stay(world: World) -> None:
    result = world.validate(world.answer(in_another_boot(world)))
    world.store.delete_evidence(at=NOW + EVIDENCE_LIFE + timedelta(days=1))
    told = explained(world, result.id)
    assert (told.evidence_kept, told.nearest) == (False, None)
    assert told.result == result.result


@pytest.mark.negative
@pytest.mark.parametrize(
    "reader",
    [
        Reader(role="sho", tenant="sho-2"),
        Reader(role="dpf", tenant=TENANT),
        Reader(role="ro-relay", tenant=TENANT),
    ],
)
def test_nobody_else_is_told(world: World, reader: Reader) -> None:
    result = world.validate(world.answer())
    with pytest.raises(RefusalError) as caught:
        explained(world, result.id, reader=reader)
    assert caught.value.code is RefusalCode.NOT_FOUND
    assert explained(world, result.id, reader=Reader(role="auditor", tenant="x")).result is not None


@pytest.mark.negative
def test_evidence_that_is_not_that_of_the_result_explains_nothing(world: World) -> None:
    first = world.validate(world.answer())
    later = world.validate(world.answer(world.device.later()))
    world.store.evidence[first.id] = world.store.evidence[later.id]
    with pytest.raises(RefusalError) as caught:
        explained(world, first.id)
    assert caught.value.code is RefusalCode.RECORD_ALTERED
    assert explained(world, later.id).nearest is not None


@pytest.mark.negative
def test_a_token_that_somebody_put_into_the_store_explains_nothing(world: World) -> None:
    result = world.validate(world.answer())
    stranger = World()
    forged = stranger.validate(stranger.answer())
    world.store.results[result.request_id] = replace(result, token=forged.token)
    with pytest.raises(RefusalError) as caught:
        explained(world, result.id)
    assert caught.value.code is RefusalCode.RECORD_ALTERED


def test_only_so_many_manifests_are_compared(world: World) -> None:
    asked: list[int] = []
    known = world.references.known_manifests

    class Counting:
        def known_manifests(self, *, count_max: int, **others: object) -> object:
            asked.append(count_max)
            return known(count_max=count_max, **others)

    result = world.validate(world.answer())
    desk = replace(world.explanation_desk, references=Counting())  # type: ignore[arg-type]  # satisfies the port
    assert desk.explain(result.id, reader=SHO, at=NOW).nearest is not None
    assert asked == [CANDIDATES_MAX]
