"""Updates at the PVA, on its real stores: announcements, approvals of next states, and what CAs are told."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from edge.http_client import HttpError, UnreachableError
from edge.process import system_random
from messages.approval import USE_VAULT, StateApproval, decode_approval
from messages.update_approvals import GENERATIONS_MIN
from pva.refusals import RefusalCode, RefusalError
from pva.store.approvals import ApprovalStore
from pva.store.known_references import KnownReferences
from pva.store.policies import PolicyStore
from pva.store.references import ReferenceStore
from pva.store.renewals import RenewalStore
from pva.store.updates import UpdateStore
from pva.updates.approvals import Approved, DayKey
from pva.updates.next_states import NextFacts, NextStateDesk
from pva.updates.renewals import PendingRenewal, RenewalCourier
from pva.updates.rollouts import Rollout, RolloutDesk, RolloutState, in_share
from pva.updates.successors import ChainSuccessors
from standards.pki.fingerprints import ca_id
from standards.rats.manifest import Predecessor
from standards.tpm2.policy import pcr_digest
from standards.tpm2.structures import PcrSelection
from tests.contract.test_pva_store import AuditedStore, migrated
from tests.fakes.attesting_device import SHA256, AttestingDevice, measurements
from tests.fakes.pki import NOW
from tests.fakes.pva_world import SELECTION, World, reference_manifest
from tests.fakes.relying_parties import ORDER, RelyingParties

OTHER_ORDER = b"\x0e" * 32


@dataclass(kw_only=True)
class Updating:
    """A PVA whose device was validated for an order, and the supplier's next releases."""

    world: World
    updates: UpdateStore
    renewals: RenewalStore

    def __post_init__(self) -> None:
        """Validate the device in its first state."""
        self.parties = RelyingParties(world=self.world)
        self.result = self.parties.validated()
        self.clock = 0

    @property
    def rollouts(self) -> RolloutDesk:
        """The use case of announcements."""
        return RolloutDesk(records=self.updates)

    @property
    def desk(self) -> NextStateDesk:
        """The use case of next states."""
        return NextStateDesk(
            records=self.updates,
            successors=ChainSuccessors(chain_of=self.world.references.manifest_chain),
            day_key=DayKey(key=self.world.approval_key, chain=[self.world.approval_certificate]),
        )

    def device(self, release: int, *, counter: int = 1) -> AttestingDevice:
        """The device in a release, some time later."""
        self.clock += 1000
        device = self.world.device
        boot = device.boot if release == 1 else tuple(measurements(kernel=b"kernel %d" % release))
        clock = replace(device.clock_info, clock=device.clock_info.clock + self.clock)
        return replace(device, boot=boot, clock_info=clock, counter_value=counter)

    def publish(self, release: int, *, follows: bytes | None = None, **changed: Any) -> bytes:
        """The manifest of a release that follows another one, approved; its digest."""
        before = self.world.state.manifest_digest if follows is None else follows
        names = {
            "id": f"release-{release}",
            "line_name": "release-1",
            "version": f"{release}.0",
            "svn": 2 + release,
        }
        predecessor = Predecessor(id=f"release-{release - 1}", digest=before, until=NOW + timedelta(days=7))
        manifest = reference_manifest(
            self.device(release), **{**names, "predecessor": predecessor, **changed}
        )
        return self.world.publish(self.world.sign(manifest)).manifest_digest

    def announced(self, release: int = 2, *, share: int = 100, **published: Any) -> bytes:
        """A published release that is announced."""
        digest = self.publish(release, **published)
        self.announce(digest, share=share)
        return digest

    def announce(self, digest: bytes, *, share: int = 100) -> Rollout:
        """As the supplier announces."""
        return self.rollouts.announce(digest, share_percent=share, only_of="Acme", by="supplier", at=NOW)

    def approve(
        self, digest: bytes, *, result_id: str = "", order: bytes = ORDER, sho: str = "sho-1"
    ) -> Approved:
        """As an SHO asks."""
        return self.desk.approve(
            result_id or self.result.id, order_digest=order, manifest_digest=digest, sho=sho, at=NOW
        )


@pytest.fixture(params=["sqlite", "postgresql"])
def updating(request: pytest.FixtureRequest) -> Iterator[Updating]:
    engine = migrated(request, request.param)
    references = ReferenceStore(engine, random_bytes=system_random)
    policies = PolicyStore(engine, random_bytes=system_random)
    world = World(
        store=AuditedStore(engine),
        references=references,
        approvals=ApprovalStore(engine, random_bytes=system_random),
        policies=policies,
        looked_up=KnownReferences(engine, references=references, policies=policies),
    )
    yield Updating(
        world=world,
        updates=UpdateStore(engine, random_bytes=system_random),
        renewals=RenewalStore(engine, random_bytes=system_random),
    )
    engine.dispose()


def values(first: int, *, more: int = 0) -> list[int]:
    """What the counter is approved at, from its value of now on."""
    return list(range(first, first + GENERATIONS_MIN + more))


def refused(act: Callable[[], Any]) -> RefusalCode:
    with pytest.raises(RefusalError) as caught:
        act()
    return caught.value.code


def decoded(approved: Approved) -> list[StateApproval]:
    return [decode_approval(each) for each in approved.given.approvals]


def digest_in(device: AttestingDevice) -> bytes:
    selection = [PcrSelection(bank=SHA256, indices=SELECTION[SHA256])]
    return pcr_digest(selection, device.pcr_values(SELECTION))


# --- approvals of next states ---------------------------------------------------------------------------


@pytest.mark.requirement("R82")
@pytest.mark.requirement("R76")
def test_the_next_state_is_what_the_device_will_measure(updating: Updating) -> None:
    digest = updating.announced()
    approvals = decoded(updating.approve(digest))
    device = updating.world.device
    assert {(each.use.use, each.use.device_id, each.use.sho) for each in approvals} == {
        (USE_VAULT, device.device_id, "sho-1")
    }
    assert [each.state.counter for each in approvals] == values(1)
    assert {each.state.pcr_digest for each in approvals} == {digest_in(updating.device(2))}
    assert digest_in(updating.device(2)) != digest_in(updating.device(1))
    assert updating.world.store.audit_kinds()[-1] == "next-state-approved"
    assert updating.approve(digest) == updating.approve(digest)
    assert updating.world.store.audit_kinds().count("next-state-approved") == 1


@pytest.mark.requirement("R82")
@pytest.mark.check("A16")
def test_a_register_that_the_manifest_does_not_fix_keeps_the_value_that_was_quoted(
    updating: Updating,
) -> None:
    manifest = reference_manifest(updating.device(2))
    registers = {
        SHA256: {pcr: value for pcr, value in manifest.platform.registers[SHA256].items() if pcr != 1}
    }
    events = tuple(each for each in manifest.events if each.pcr != 1)
    digest = updating.announced(platform=replace(manifest.platform, registers=registers), events=events)
    values = updating.device(2).pcr_values(SELECTION)[SHA256]
    quoted = updating.device(1).pcr_values(SELECTION)[SHA256]
    joined = b"".join(quoted[pcr] if pcr == 1 else values[pcr] for pcr in SELECTION[SHA256])
    assert {each.state.pcr_digest for each in decoded(updating.approve(digest))} == {
        hashlib.sha256(joined).digest()
    }


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_nothing_is_approved_that_is_not_announced_to_this_device_now(updating: Updating) -> None:
    digest = updating.publish(2)
    assert refused(lambda: updating.approve(digest)) is RefusalCode.UPDATE_NOT_ANNOUNCED
    updating.announce(digest, share=0)
    assert refused(lambda: updating.approve(digest)) is RefusalCode.UPDATE_NOT_YET
    updating.rollouts.widen(digest, share_percent=100, only_of="Acme", by="supplier", at=NOW)
    updating.rollouts.set_state(digest, RolloutState.PAUSED, only_of="Acme", by="supplier", at=NOW)
    assert refused(lambda: updating.approve(digest)) is RefusalCode.UPDATE_PAUSED
    assert "next-state-approved" not in updating.world.store.audit_kinds()
    updating.rollouts.set_state(digest, RolloutState.RUNNING, only_of="Acme", by="supplier", at=NOW)
    assert len(decoded(updating.approve(digest))) == GENERATIONS_MIN


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_a_manifest_that_does_not_follow_the_devices_own_is_not_approved(updating: Updating) -> None:
    second = updating.announced()
    third = updating.publish(3, follows=second)
    updating.announce(third)
    updated = updating.device(3)
    updating.parties.validated(device=updated, order_digest=OTHER_ORDER)
    assert refused(lambda: updating.approve(second)) is RefusalCode.UPDATE_NO_SUCCESSOR
    unknown = bytes(32)
    assert refused(lambda: updating.approve(unknown)) is RefusalCode.UPDATE_NOT_ANNOUNCED


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_nobody_elses_result_or_order_gets_approvals(updating: Updating) -> None:
    digest = updating.announced()
    assert refused(lambda: updating.approve(digest, sho="sho-2")) is RefusalCode.NOT_FOUND
    assert refused(lambda: updating.approve(digest, result_id="00")) is RefusalCode.NOT_FOUND
    assert refused(lambda: updating.approve(digest, order=OTHER_ORDER)) is RefusalCode.ORDER_MISMATCH


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_a_device_whose_newest_result_does_not_pass_gets_none(updating: Updating) -> None:
    digest = updating.announced()
    strange = replace(updating.device(1), boot=tuple(measurements(kernel=b"a stranger's")))
    updating.parties.validated(device=strange, order_digest=OTHER_ORDER)
    assert refused(lambda: updating.approve(digest)) is RefusalCode.RESULT_NOT_AFFIRMING


@pytest.mark.requirement("R82")
def test_the_counter_of_now_counts_and_not_that_of_the_order(updating: Updating) -> None:
    digest = updating.announced()
    updating.parties.validated(device=updating.device(1, counter=5), order_digest=OTHER_ORDER)
    assert [each.state.counter for each in decoded(updating.approve(digest))] == values(5)


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_the_counter_ends_past_an_update_that_was_not_followed(updating: Updating) -> None:
    second = updating.announced()
    assert [each.state.counter for each in decoded(updating.approve(second))] == values(1)
    third = updating.announced(3, follows=second)
    assert [each.state.counter for each in decoded(updating.approve(third))] == values(1, more=1)
    assert [each.state.counter for each in decoded(updating.approve(second))] == values(1, more=2)
    assert refused(lambda: [updating.approve(each) for each in (second, third) * 4]) is (
        RefusalCode.UPDATES_ABANDONED
    )


@pytest.mark.requirement("R82")
def test_a_device_that_is_in_the_state_already_gets_approvals_of_it(updating: Updating) -> None:
    digest = updating.publish(2)
    updating.parties.validated(device=updating.device(2, counter=4), order_digest=OTHER_ORDER)
    approvals = decoded(updating.approve(digest))
    assert {each.state.pcr_digest for each in approvals} == {digest_in(updating.device(2))}
    assert [each.state.counter for each in approvals] == values(4)


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_an_update_that_is_held_while_approvals_are_signed_gives_none(updating: Updating) -> None:
    digest = updating.announced()

    class Racing(UpdateStore):
        """The supplier pauses between looking and recording."""

        def next_facts(self, result_id: str, *, manifest_digest: bytes, sho: str) -> NextFacts | None:
            """As it was before."""
            facts = super().next_facts(result_id, manifest_digest=manifest_digest, sho=sho)
            updating.rollouts.set_state(digest, RolloutState.PAUSED, only_of="Acme", by="supplier", at=NOW)
            return facts

    desk = replace(
        updating.desk,
        records=Racing(updating.updates._engine, random_bytes=system_random),  # noqa: SLF001 - its double
    )
    asked = {"order_digest": ORDER, "manifest_digest": digest, "sho": "sho-1", "at": NOW}
    assert refused(lambda: desk.approve(updating.result.id, **asked)) is RefusalCode.CONCURRENT_CHANGE  # type: ignore[arg-type] # its parameters
    assert "next-state-approved" not in updating.world.store.audit_kinds()


# --- announcements ----------------------------------------------------------------------------------------


@pytest.mark.requirement("R82")
def test_an_announcement_is_made_once_and_each_change_is_on_record(updating: Updating) -> None:
    digest = updating.announced(share=10)
    assert updating.announce(digest, share=10).share_percent == 10
    kinds = updating.world.store.audit_kinds()
    assert kinds.count("update-announced") == 1
    desk, who = updating.rollouts, {"only_of": "Acme", "by": "supplier", "at": NOW}
    assert desk.widen(digest, share_percent=50, **who).share_percent == 50  # type: ignore[arg-type] # its parameters
    assert desk.set_state(digest, RolloutState.PAUSED, **who).state is RolloutState.PAUSED  # type: ignore[arg-type] # its parameters
    assert desk.set_state(digest, RolloutState.PAUSED, **who).state is RolloutState.PAUSED  # type: ignore[arg-type] # its parameters
    assert desk.set_state(digest, RolloutState.RUNNING, **who).state is RolloutState.RUNNING  # type: ignore[arg-type] # its parameters
    assert updating.world.store.audit_kinds().count("update-changed") == 3
    (shown,) = desk.rollouts(only_of=None)
    assert (shown.share_percent, shown.supplier) == (50, "Acme")
    assert desk.rollouts(only_of="Other") == []


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_what_cannot_be_announced_is_not(updating: Updating) -> None:
    first, digest = updating.world.state.manifest_digest, updating.publish(2)
    assert refused(lambda: updating.announce(first)) is RefusalCode.UPDATE_NOT_ANNOUNCEABLE
    assert refused(lambda: updating.announce(bytes(32))) is RefusalCode.NOT_FOUND
    desk = updating.rollouts
    as_another = {"only_of": "Other", "by": "other", "at": NOW}
    assert refused(lambda: desk.announce(digest, share_percent=1, **as_another)) is RefusalCode.NOT_FOUND  # type: ignore[arg-type] # its parameters
    updating.announce(digest, share=10)
    assert refused(lambda: updating.announce(digest, share=20)) is RefusalCode.ROLLOUT_CONFLICT
    assert refused(lambda: desk.widen(digest, share_percent=99, **as_another)) is RefusalCode.NOT_FOUND  # type: ignore[arg-type] # its parameters
    assert refused(lambda: desk.set_state(digest, RolloutState.PAUSED, **as_another)) is RefusalCode.NOT_FOUND  # type: ignore[arg-type] # its parameters
    own = {"only_of": "Acme", "by": "supplier", "at": NOW}
    assert refused(lambda: desk.widen(digest, share_percent=5, **own)) is RefusalCode.ROLLOUT_CONFLICT  # type: ignore[arg-type] # its parameters
    assert refused(lambda: desk.set_state(bytes(32), RolloutState.PAUSED, **own)) is RefusalCode.NOT_FOUND  # type: ignore[arg-type] # its parameters
    assert "update-changed" not in updating.world.store.audit_kinds()


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_a_manifest_that_waits_for_administrators_is_not_announced(updating: Updating) -> None:
    predecessor = Predecessor(
        id="release-1", digest=updating.world.state.manifest_digest, until=NOW + timedelta(days=7)
    )
    manifest = reference_manifest(
        updating.device(2),
        id="release-2",
        line_name="release-1",
        version="2.0",
        svn=4,
        predecessor=predecessor,
    )
    waiting = updating.world.recognition.import_manifest(
        updating.world.sign(manifest), only_of=None, by="supplier", at=NOW
    )
    assert refused(lambda: updating.announce(waiting.digest)) is RefusalCode.UPDATE_NOT_ANNOUNCEABLE


@pytest.mark.requirement("R82")
def test_the_share_is_drawn_by_manifest_and_device_and_only_grows() -> None:
    devices = [hashlib.sha256(bytes([number % 256, number // 256])).hexdigest() for number in range(2000)]
    for manifest in (b"\x01" * 32, b"\x02" * 32):
        inside: list[set[str]] = [
            {each for each in devices if in_share(each, manifest_digest=manifest, share_percent=percent)}
            for percent in (0, 10, 50, 100)
        ]
        assert inside[0] == set()
        assert inside[3] == set(devices)
        assert inside[1] < inside[2] < inside[3]
        assert 100 < len(inside[1]) < 300
    drawn = [
        {each for each in devices if in_share(each, manifest_digest=manifest, share_percent=10)}
        for manifest in (b"\x01" * 32, b"\x02" * 32)
    ]
    assert drawn[0] != drawn[1], "another manifest begins with other devices"


# --- what CAs are told ------------------------------------------------------------------------------------


class Ca:
    """A CA that answers as a test wants it."""

    def __init__(self, *errors: Exception) -> None:
        """Raise these first, one a call."""
        self.errors = list(errors)
        self.asked: list[PendingRenewal] = []

    def __call__(self, pending: PendingRenewal) -> str:
        """The new serial."""
        self.asked.append(pending)
        if self.errors:
            raise self.errors.pop(0)
        return "0b"


def courier(updating: Updating, ca: Ca, *, later: timedelta = timedelta()) -> RenewalCourier:
    return RenewalCourier(
        book=updating.renewals,
        authorities={"Acme": ca},
        clock=lambda: NOW + later,
        claim_life=timedelta(seconds=30),
    )


@pytest.mark.requirement("R82")
def test_a_device_that_is_accepted_under_the_next_manifest_gets_its_credential_renewed(
    updating: Updating,
) -> None:
    digest = updating.announced()
    result = updating.parties.validated(device=updating.device(2), order_digest=OTHER_ORDER)
    ca = Ca()
    courier(updating, ca).deliver()
    courier(updating, ca).deliver()
    (asked,) = ca.asked
    assert (asked.device_id, asked.manifest_digest, asked.result_id) == (
        updating.world.device.device_id,
        digest,
        result.id,
    )
    assert asked.serial == result.result.pfc.serial
    assert asked.issuer == ca_id(updating.world.supplier.issuing.certificate)
    assert updating.world.store.audit_kinds()[-1] == "credential-renewal"


@pytest.mark.requirement("R82")
@pytest.mark.negative
@pytest.mark.parametrize("kind", ["unannounced", "outside", "paused", "old state", "bad state"])
def test_nobody_is_told_of_a_device_that_may_not_have_a_new_one(updating: Updating, kind: str) -> None:
    digest = updating.publish(2)
    if kind != "unannounced":
        updating.announce(digest, share=0 if kind == "outside" else 100)
    if kind == "paused":
        updating.rollouts.set_state(digest, RolloutState.PAUSED, only_of="Acme", by="supplier", at=NOW)
    device = {
        "old state": updating.device(1),
        "bad state": replace(updating.device(1), boot=tuple(measurements(kernel=b"a stranger's"))),
    }.get(kind) or updating.device(2)
    updating.parties.validated(device=device, order_digest=OTHER_ORDER)
    ca = Ca()
    courier(updating, ca).deliver()
    assert ca.asked == []


@pytest.mark.requirement("R82")
@pytest.mark.negative
def test_a_ca_that_is_silent_is_asked_again_and_one_that_refuses_is_not(updating: Updating) -> None:
    updating.announced()
    updating.parties.validated(device=updating.device(2), order_digest=OTHER_ORDER)
    silent = Ca(UnreachableError("ca", reason="no route"), HttpError("ca", status=503, problem=None))
    courier(updating, silent).deliver()
    assert len(silent.asked) == 1
    courier(updating, silent, later=timedelta(seconds=2)).deliver()
    courier(updating, silent, later=timedelta(seconds=60)).deliver()
    assert len(silent.asked) == 3
    courier(updating, silent, later=timedelta(days=1)).deliver()
    assert len(silent.asked) == 3, "it has answered"
    updating.parties.validated(device=updating.device(2), order_digest=ORDER)
    refusing = Ca(*[HttpError("ca", status=409, problem=None)] * 2)
    courier(updating, refusing).deliver()
    courier(updating, refusing, later=timedelta(days=1)).deliver()
    assert len(refusing.asked) == 1


def test_a_supplier_whose_ca_is_not_configured_waits(updating: Updating) -> None:
    updating.announced()
    updating.parties.validated(device=updating.device(2), order_digest=OTHER_ORDER)
    ca = Ca()
    other = RenewalCourier(
        book=updating.renewals, authorities={"Other": ca}, clock=lambda: NOW, claim_life=timedelta(seconds=30)
    )
    other.deliver()
    assert ca.asked == []
    courier(updating, ca).deliver()
    assert len(ca.asked) == 1
