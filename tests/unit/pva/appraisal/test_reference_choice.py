"""The table of cases in `pva.appraisal.reference_choice`, played through whole validations."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from pva.refusals import RefusalCode, RefusalError
from standards.pki import oids
from standards.pki.extensions import ExpectedSystemState
from standards.pki.jws import verify_jws
from standards.rats.ear import RESULT_TYPE, AttestationResult, read_claims
from standards.rats.manifest import Predecessor
from tests.fakes.attesting_device import AttestingDevice, measurements
from tests.fakes.credentials import CredentialPlan
from tests.fakes.pki import NOW
from tests.fakes.pva_world import ADMINISTRATORS, World, reference_manifest

HOUR = timedelta(hours=1)
COUNTS = NOW + HOUR
OVER = NOW + 3 * HOUR
AFTER = OVER + timedelta(seconds=1)
OVERLAP = NOW + 2 * HOUR
M1, M2 = "release-1", "release-2"


class Story:
    """A device in the state of M1 (svn 3), and an update M2 (svn 4) that overlaps with it for two hours."""

    def __init__(self) -> None:
        self.world = World()
        self.old = self.world.device
        self.new = self.booted(b"kernel 6.2")
        self.ticks = 0

    def booted(self, kernel: bytes) -> AttestingDevice:
        return replace(self.old, boot=tuple(measurements(kernel=kernel)))

    def update(self, *, approve: bool = True, **changed: Any) -> ExpectedSystemState:
        """Publish M2."""
        before = Predecessor(id=M1, digest=self.world.state.manifest_digest, until=OVER)
        parts = {"id": M2, "svn": 4, "version": "1.1.0", "line_name": M1, "valid_from": COUNTS, **changed}
        signed = self.world.sign(reference_manifest(self.new, predecessor=before, **parts))
        if approve:
            return self.world.publish(signed)
        imported = self.world.recognition.import_manifest(signed, only_of=None, by="s", at=NOW)
        return ExpectedSystemState(manifest_id=M2, manifest_digest=imported.digest, svn=imported.svn)

    def validate(
        self, device: AttestingDevice, *, at: datetime, state: ExpectedSystemState | None = None
    ) -> AttestationResult:
        """A validation of the device as it is; the credential names `state`, M1 where none is given."""
        self.ticks += 1
        token, challenge = self.world.challenge(device=device, at=at)
        chain = self.world.chain(device=device, plan=CredentialPlan(state=state or self.world.state))
        message = device.later(1000 * self.ticks).evidence(challenge, token=token, chain=chain)
        claims = verify_jws(
            self.world.validate(message, at=at).token,
            anchors=[self.world.operators.certificate],
            eku=oids.EKU_ATTESTATION_RESULT,
            typ=RESULT_TYPE,
            at=at,
        ).claims
        return read_claims(claims)

    def refused(self, device: AttestingDevice, *, at: datetime, **options: Any) -> RefusalCode:
        results, histories = dict(self.world.store.results), dict(self.world.store.histories)
        with pytest.raises(RefusalError) as caught:
            self.validate(device, at=at, **options)
        assert self.world.store.results == results
        assert self.world.store.histories == histories
        return caught.value.code

    @property
    def svn_highest(self) -> int | None:
        highest: int | None = self.world.store.histories[self.old.device_id].svn_highest
        return highest


@pytest.fixture
def story() -> Story:
    return Story()


def used(result: AttestationResult) -> str | None:
    return None if result.manifest is None else result.manifest.id


def codes(result: AttestationResult) -> set[str]:
    return {each.code for part in result.submodules.values() for each in part.findings}


@pytest.mark.check("A25")
def test_the_old_state_alone_until_the_successor_counts(story: Story) -> None:
    story.update()
    result = story.validate(story.old, at=NOW)
    assert (used(result), result.status.value, story.svn_highest) == (M1, "affirming", 3)


@pytest.mark.check("A25")
@pytest.mark.requirement("R82")
def test_in_the_overlap_either_state_is_accepted_and_the_result_names_it(story: Story) -> None:
    state = story.update(release_name="autumn")
    before = story.validate(story.old, at=OVERLAP)
    assert (used(before), before.status.value, story.svn_highest) == (M1, "affirming", 3)
    after = story.validate(story.new, at=OVERLAP)
    assert (used(after), after.status.value, story.svn_highest) == (M2, "affirming", 4)
    assert after.manifest is not None
    assert (after.manifest.digest, after.manifest.svn) == (state.manifest_digest, 4)
    assert after.manifest.release == "1.1.0 (autumn)"


@pytest.mark.negative
@pytest.mark.check("A25")
def test_the_new_state_before_it_counts(story: Story) -> None:
    story.update()
    story.validate(story.old, at=NOW)
    result = story.validate(story.new, at=NOW)
    assert used(result) == M2
    assert result.status.value == "warning"
    assert "manifest-not-yet-valid" in codes(result)
    assert story.svn_highest == 3


@pytest.mark.negative
@pytest.mark.check("A25")
@pytest.mark.requirement("R29")
def test_a_successor_that_waits_for_approval_is_nobodys_reference(story: Story) -> None:
    story.update(approve=False)
    result = story.validate(story.new, at=OVERLAP)
    assert (used(result), result.status.value) == (M1, "contraindicated")
    assert "kernel-mismatch" in codes(result)
    assert story.validate(story.old, at=AFTER).status.value == "affirming"


@pytest.mark.negative
@pytest.mark.check("A25")
@pytest.mark.requirement("R82")
def test_after_the_window_the_old_state_is_superseded_with_the_release_to_install(story: Story) -> None:
    story.update()
    assert story.validate(story.old, at=OVER).status.value == "affirming"
    result = story.validate(story.old, at=AFTER)
    assert (used(result), result.status.value, story.svn_highest) == (M1, "contraindicated", 3)
    finding = next(each for each in result.submodules["platform"].findings if each.code == "superseded-state")
    assert finding.remedy == "install release 1.1.0 (manifest 'release-2', svn 4)"
    assert "1.0.0" in finding.subject


@pytest.mark.check("A25")
def test_after_the_window_the_old_credential_still_carries_the_new_state(story: Story) -> None:
    story.update()
    story.validate(story.new, at=OVERLAP)
    result = story.validate(story.new, at=AFTER)
    assert (used(result), result.status.value) == (M2, "affirming")


@pytest.mark.negative
@pytest.mark.check("A29")
@pytest.mark.requirement("R82")
@pytest.mark.parametrize("at", [OVERLAP, AFTER], ids=["in the overlap", "after it"])
def test_going_back_to_the_old_state_is_refused(story: Story, at: datetime) -> None:
    story.update()
    story.validate(story.new, at=OVERLAP)
    assert story.refused(story.old, at=at) is RefusalCode.MANIFEST_ROLLBACK


@pytest.mark.check("A29")
def test_a_supplier_who_does_not_raise_the_svn_allows_to_go_back(story: Story) -> None:
    story.update(svn=3)
    story.validate(story.new, at=OVERLAP)
    result = story.validate(story.old, at=OVERLAP)
    assert (used(result), result.status.value) == (M1, "affirming")


@pytest.mark.negative
@pytest.mark.check("A25")
def test_a_state_of_neither_is_judged_by_the_nearer_manifest(story: Story) -> None:
    story.update(platform=reference_manifest(story.new).platform)
    strange = replace(story.new, boot=(*story.new.boot[:-2], *measurements(kernel=b"rootkit")[-2:]))
    result = story.validate(strange, at=OVERLAP)
    assert result.status.value == "contraindicated"
    assert "kernel-mismatch" in codes(result)


@pytest.mark.negative
@pytest.mark.check("A29")
def test_a_state_of_neither_is_never_judged_by_a_rolled_back_manifest(story: Story) -> None:
    story.update()
    story.validate(story.new, at=OVERLAP)
    result = story.validate(story.booted(b"rootkit"), at=OVERLAP)
    assert (used(result), result.status.value, story.svn_highest) == (M2, "contraindicated", 4)


@pytest.mark.negative
@pytest.mark.check("A25")
def test_a_predecessor_is_no_successor(story: Story) -> None:
    state = story.update()
    result = story.validate(story.old, at=OVERLAP, state=state)
    assert (used(result), result.status.value) == (M2, "contraindicated")


@pytest.mark.negative
@pytest.mark.check("A25")
def test_a_retired_manifest_affirms_nobody(story: Story) -> None:
    story.update()
    digest = story.world.state.manifest_digest
    story.world.manifest_desk.retire(digest, reason="a flaw", by="admin-1", at=NOW)
    result = story.validate(story.old, at=OVERLAP)
    assert (used(result), result.status.value) == (M1, "warning")
    assert "manifest-retired" in codes(result)
    assert story.validate(story.new, at=OVERLAP).status.value == "affirming"


@pytest.mark.negative
@pytest.mark.check("A24")
@pytest.mark.requirement("R29")
def test_one_administrator_is_not_enough_to_judge_anybody(story: Story) -> None:
    signed = story.world.sign(reference_manifest(story.old, id="alone"))
    imported = story.world.recognition.import_manifest(signed, only_of=None, by="s", at=NOW)
    story.world.manifest_desk.approve(imported.digest, by=ADMINISTRATORS[0], at=NOW)
    state = ExpectedSystemState(manifest_id="alone", manifest_digest=imported.digest, svn=3)
    result = story.validate(story.old, at=NOW, state=state)
    assert (used(result), result.status.value) == (None, "warning")
    assert "no-reference-manifest" in codes(result)
    story.world.manifest_desk.approve(imported.digest, by=ADMINISTRATORS[1], at=NOW)
    assert story.validate(story.old, at=NOW, state=state).status.value == "affirming"


@pytest.mark.negative
@pytest.mark.check("A29")
def test_a_credential_that_names_less_than_was_accepted_is_refused(story: Story) -> None:
    state = story.update()
    story.validate(story.new, at=OVERLAP, state=state)
    alone = story.world.publish(story.world.sign(reference_manifest(story.old, id="other", svn=3)))
    assert story.refused(story.old, at=OVERLAP, state=alone) is RefusalCode.MANIFEST_ROLLBACK


@pytest.mark.negative
@pytest.mark.check("A29")
def test_a_successor_that_waits_does_not_reach_what_was_accepted(story: Story) -> None:
    """The device was accepted with svn 4 under another credential; of this one's chain only svn 3 is approved."""
    other = story.world.publish(story.world.sign(reference_manifest(story.new, id="other", svn=4)))
    story.validate(story.new, at=NOW, state=other)
    story.update(approve=False)
    for device in (story.old, story.new, story.booted(b"rootkit")):
        assert story.refused(device, at=OVERLAP) is RefusalCode.MANIFEST_ROLLBACK


@pytest.mark.check("A27")
@pytest.mark.requirement("R81")
def test_a_result_of_the_old_state_ends_with_its_window(story: Story) -> None:
    story.update()
    result = story.validate(story.old, at=OVER - timedelta(seconds=30))
    assert result.expires_at == OVER


def test_of_two_releases_that_measure_alike_the_newer_one_is_named(story: Story) -> None:
    story.new = story.old
    story.update()
    assert used(story.validate(story.old, at=NOW)) == M1
    assert used(story.validate(story.old, at=OVERLAP)) == M2
    assert story.validate(story.old, at=AFTER).status.value == "affirming"
