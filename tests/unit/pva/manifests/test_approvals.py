"""Two administrators approve the same digest, or nobody is judged by it (D7)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from edge.dual_control import APPROVAL_LIFE, Line
from pva.appraisal.manifest_records import ImportedManifest, Standing
from pva.manifests.approvals import Administrator
from pva.refusals import RefusalCode, RefusalError
from standards.pki.extensions import Requester
from standards.rats.manifest import Predecessor
from tests.fakes.pki import NOW
from tests.fakes.pva_world import ADMINISTRATORS, World, reference_manifest

ONE, TWO = ADMINISTRATORS


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def waiting(world: World) -> ImportedManifest:
    signed = world.sign(reference_manifest(world.device, id="release-2", svn=4))
    return world.recognition.import_manifest(signed, only_of=None, by="s", at=NOW)


def refused(world: World, digest: bytes, by: Administrator) -> RefusalCode:
    before = world.references.manifests()
    with pytest.raises(RefusalError) as caught:
        world.manifest_desk.approve(digest, by=by, at=NOW)
    assert world.references.manifests() == before
    return caught.value.code


@pytest.mark.requirement("R29")
def test_the_second_administrator_makes_it_count(world: World, waiting: ImportedManifest) -> None:
    assert waiting.standing is Standing.WAITING
    first = world.manifest_desk.approve(waiting.digest, by=ONE, at=NOW)
    assert (first.standing, len(first.approvals)) == (Standing.WAITING, 1)
    second = world.manifest_desk.approve(waiting.digest, by=TWO, at=NOW + timedelta(hours=24))
    assert second.standing is Standing.APPROVED
    assert {each.approver for each in second.approvals} == {ONE.name, TWO.name}


@pytest.mark.negative
@pytest.mark.requirement("R29")
@pytest.mark.parametrize(
    "by",
    [
        ONE,
        replace(TWO, name=ONE.name),
        replace(ONE, name="x"),
    ],
    ids=["the same again", "the same person with another key", "another name for the same key"],
)
def test_one_person_or_one_key_is_not_two(world: World, waiting: ImportedManifest, by: Administrator) -> None:
    world.manifest_desk.approve(waiting.digest, by=ONE, at=NOW)
    assert refused(world, waiting.digest, by) is RefusalCode.APPROVER_NOT_ANOTHER


@pytest.mark.negative
@pytest.mark.requirement("R29")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ((Requester(name=ONE.name, key_sha256=ONE.key_sha256),), RefusalCode.APPROVER_NOT_INDEPENDENT),
        (None, RefusalCode.APPROVER_ORIGIN_UNKNOWN),
    ],
)
def test_an_approver_whose_certificate_the_other_had_issued_is_not_another(
    world: World, waiting: ImportedManifest, line: Line | None, code: RefusalCode
) -> None:
    world.manifest_desk.approve(waiting.digest, by=ONE, at=NOW)
    assert refused(world, waiting.digest, replace(TWO, issued_at_request_of=line)) is code


@pytest.mark.negative
@pytest.mark.requirement("R29")
def test_an_approval_waits_a_day_and_no_longer(world: World, waiting: ImportedManifest) -> None:
    late = NOW + APPROVAL_LIFE + timedelta(seconds=1)
    world.manifest_desk.approve(waiting.digest, by=ONE, at=NOW)
    alone = world.manifest_desk.approve(waiting.digest, by=TWO, at=late)
    assert (alone.standing, [each.approver for each in alone.approvals]) == (Standing.WAITING, [TWO.name])
    assert world.manifest_desk.approve(waiting.digest, by=ONE, at=late).standing is Standing.APPROVED


@pytest.mark.negative
def test_an_approval_is_of_one_digest(world: World, waiting: ImportedManifest) -> None:
    assert refused(world, bytes(32), ONE) is RefusalCode.NOT_FOUND
    signed = world.sign(reference_manifest(world.device, id="release-3", svn=5))
    other = world.recognition.import_manifest(signed, only_of=None, by="s", at=NOW)
    world.manifest_desk.approve(waiting.digest, by=ONE, at=NOW)
    assert world.manifest_desk.approve(other.digest, by=TWO, at=NOW).standing is Standing.WAITING


def test_an_approved_manifest_stays_as_it_is(world: World) -> None:
    digest = world.state.manifest_digest
    before = world.recognition.manifest(digest, only_of=None)
    third = replace(TWO, name="admin-3", key_sha256="3" * 64)
    assert world.manifest_desk.approve(digest, by=third, at=NOW) == before


@pytest.mark.negative
def test_a_retired_manifest_cannot_be_approved_any_more(world: World, waiting: ImportedManifest) -> None:
    retired = world.manifest_desk.retire(waiting.digest, reason="a mistake", by="admin-1", at=NOW)
    assert retired.standing is Standing.RETIRED
    assert refused(world, waiting.digest, TWO) is RefusalCode.MANIFEST_RETIRED
    again = world.manifest_desk.retire(waiting.digest, reason="another word", by="admin-2", at=NOW)
    assert again == retired


def test_who_was_rejected_leaves_its_place_in_the_line(world: World) -> None:
    before = Predecessor(id="release-1", digest=world.state.manifest_digest, until=NOW + timedelta(days=2))
    parts = {"predecessor": before, "line_name": "release-1", "valid_from": NOW}
    first, second = (
        world.sign(reference_manifest(world.device, id=name, svn=4, **parts)) for name in ("wrong", "right")
    )
    wrong = world.recognition.import_manifest(first, only_of=None, by="s", at=NOW)
    with pytest.raises(RefusalError) as caught:
        world.recognition.import_manifest(second, only_of=None, by="s", at=NOW)
    assert caught.value.code is RefusalCode.MANIFEST_FORK
    world.manifest_desk.retire(wrong.digest, reason="a mistake", by="admin-1", at=NOW)
    assert world.recognition.import_manifest(second, only_of=None, by="s", at=NOW).id == "right"
    chain = world.references.manifest_chain(world.state.manifest_digest)
    assert chain is not None
    assert [each.manifest.id for each in chain.links] == ["release-1", "right"]
