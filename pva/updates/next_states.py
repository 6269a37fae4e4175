"""Use case: approvals of the state that a device will be in after an update, before it is in it (D8, R82).

Rule: whoever asks names a result of its own, its order, and a manifest, and nothing more. The state is built here: a
register that the manifest fixes has the manifest's value, every other boot register the value that the device's last
quote had. Only the vault is approved, never a package, and only for a manifest that the supplier signed as the next one
for this very device, that administrators approved and that is announced to it now.

    1 the result is on record, and answers a signed request of this SHO for this order: so it owns a compartment there
    2 the device's newest result passes, and no newer look says otherwise
    3 the manifest is the one that this result was accepted under, or an announced one that follows it for this device
    4 the next state; the values of the counter: from the one of now, past everything that was approved otherwise
    5 the same approvals again where they were given, else sign them
    6 record them, unless anything changed since step 1
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol

from messages.approval import FORBIDDEN_PCRS, USE_VAULT, ApprovedState, Use
from messages.pcr import covers_boot
from messages.update_approvals import GENERATIONS_MIN
from pva.refusals import RefusalCode, RefusalError
from pva.updates.approvals import (
    COUNTER_MAX,
    Approved,
    DayKey,
    GivenApprovals,
    ProvenState,
    approved_state,
    own_facts,
)
from pva.updates.rollouts import Rollout, RolloutState
from standards.pki.fingerprints import certificate_der

GENERATIONS_MAX: Final = 8
"""Values of the counter that one state is approved for at most: as many as a TRE takes at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLook:
    """The newest result of a device; `accepted` is the digest of the manifest that it was judged by."""

    result_id: str
    passes: bool
    accepted: bytes | None
    hw_type: str
    state: ProvenState | None
    counter_seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NextFacts:
    """Everything on record that decides about the next state of one device for one SHO.

    `order_digest` is that of the SHO's signed request, None where it had none or was not signed.
    """

    device_id: str
    order_digest: bytes | None
    last: LastLook
    rollout: Rollout | None


class Successors(Protocol):
    """How manifests follow one another."""

    def registers_after(
        self, accepted: bytes, *, manifest_digest: bytes, hw_type: str
    ) -> Mapping[int, Mapping[int, bytes]] | None:
        """Registers (bank -> index -> value) of an approved manifest that follows `accepted` for devices of a model.

        None where there is no such manifest, or it does not follow, or not for this model.
        """


class NextStateRecords(Protocol):
    """What this use case needs of a store; each call is one transaction."""

    def next_facts(self, result_id: str, *, manifest_digest: bytes, sho: str) -> NextFacts | None:
        """The facts about a result whose request is this SHO's own, None where there is no such result."""

    def other_states_reach(self, device_id: str, *, state_key: bytes) -> int:
        """The highest value of the counter at which another state than this one was approved for an update, or 0."""

    def given_next_approvals(self, wanted: "NextApproval") -> GivenApprovals | None:
        """What was given for exactly this before."""

    def record_next_approvals(
        self, given: GivenApprovals, *, wanted: "NextApproval", facts: NextFacts, result_id: str, at: datetime
    ) -> GivenApprovals:
        """Record approvals with their audit leaf, if `facts` still hold; what is on record then.

        Raises RefusalError: something changed meanwhile (another call may have been faster: ask again).
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class NextApproval:
    """What is approved: a state at the counter's values from `first` to `last`, for the vault of `sho` on a device."""

    sho: str
    device_id: str
    manifest_digest: bytes
    state: ApprovedState
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStateDesk:
    """The use case and what it works with."""

    records: NextStateRecords
    successors: Successors
    day_key: DayKey

    def approve(
        self, result_id: str, *, order_digest: bytes, manifest_digest: bytes, sho: str, at: datetime
    ) -> Approved:
        """Approvals of the state that a manifest describes, for an SHO's own device. Raises RefusalError."""
        facts = self._own_facts(
            result_id, order_digest=order_digest, manifest_digest=manifest_digest, sho=sho
        )  # 1
        state = _proven(facts)  # 2
        registers = self._registers(facts, manifest_digest=manifest_digest)  # 3
        following = approved_state(_after(state, registers), counter=state.counter)  # 4
        wanted = NextApproval(
            sho=sho,
            device_id=facts.device_id,
            manifest_digest=manifest_digest,
            state=following,
            first=state.counter,
            last=self._last_value(facts, following),
        )
        given = self.records.given_next_approvals(wanted)  # 5
        if given is None:
            given = self.records.record_next_approvals(  # 6
                self._signed(wanted), wanted=wanted, facts=facts, result_id=result_id, at=at
            )
        return Approved(given=given, storage_public=state.storage_public)

    def _own_facts(
        self, result_id: str, *, order_digest: bytes, manifest_digest: bytes, sho: str
    ) -> NextFacts:
        facts = self.records.next_facts(result_id, manifest_digest=manifest_digest, sho=sho)
        return own_facts(facts, result_id=result_id, order_digest=order_digest)

    def _registers(self, facts: NextFacts, *, manifest_digest: bytes) -> Mapping[int, Mapping[int, bytes]]:
        """What the update changes: nothing where the device is in that state already."""
        accepted, last = facts.last.accepted, facts.last
        if accepted == manifest_digest:
            return {}
        _refuse_unannounced(facts, manifest_digest=manifest_digest)
        registers = (
            None
            if accepted is None
            else self.successors.registers_after(
                accepted, manifest_digest=manifest_digest, hw_type=last.hw_type
            )
        )
        if registers is None:
            raise RefusalError(
                RefusalCode.UPDATE_NO_SUCCESSOR,
                subject=f"device {facts.device_id}",
                reason=f"manifest {manifest_digest.hex()} does not follow the one that it was accepted under, "
                "or is not for its model",
            )
        return registers

    def _last_value(self, facts: NextFacts, following: ApprovedState) -> int:
        """Where the counter goes after the update: past all that was approved of other states.

        What packages brought reaches VAULT_REACH past the value of now, and GENERATIONS_MIN is past that.
        """
        state = facts.last.state
        first = 0 if state is None else state.counter
        reached = self.records.other_states_reach(facts.device_id, state_key=state_key(following))
        last = max(first + GENERATIONS_MIN - 1, reached + 1)
        if last - first >= GENERATIONS_MAX or last > COUNTER_MAX:
            raise RefusalError(
                RefusalCode.UPDATES_ABANDONED,
                subject=f"device {facts.device_id}",
                reason=f"its counter is at {first}, and other states were approved up to {reached}",
            )
        return last

    def _signed(self, wanted: NextApproval) -> GivenApprovals:
        use = Use(use=USE_VAULT, device_id=wanted.device_id, sho=wanted.sho, order_digest=None)
        values = range(wanted.first, wanted.last + 1)
        signed = [self.day_key.sign(use, replace(wanted.state, counter=value)) for value in values]
        return GivenApprovals(
            approvals=tuple(each.encode() for each in signed),
            day_key_chain=tuple(certificate_der(each) for each in self.day_key.chain),
        )


def state_key(state: ApprovedState) -> bytes:
    """What tells one state of the registers from another: its PolicyPCR, whatever the counter says; 32 bytes."""
    return replace(state, counter=0).policy


def _refuse_unannounced(facts: NextFacts, *, manifest_digest: bytes) -> None:
    rollout, subject = (
        facts.rollout,
        f"update of device {facts.device_id} to manifest {manifest_digest.hex()}",
    )
    if rollout is None:
        raise RefusalError(
            RefusalCode.UPDATE_NOT_ANNOUNCED, subject=subject, reason="its supplier has not announced it"
        )
    if rollout.state is RolloutState.PAUSED:
        raise RefusalError(
            RefusalCode.UPDATE_PAUSED, subject=subject, reason="its supplier holds it for the time being"
        )
    if not rollout.reaches(facts.device_id):
        raise RefusalError(
            RefusalCode.UPDATE_NOT_YET,
            subject=subject,
            reason=f"it goes to {rollout.share_percent} percent of the devices, and not to this one",
        )


def _proven(facts: NextFacts) -> ProvenState:
    """The state of the newest result, where it passes and can be written into approvals."""
    last, state = facts.last, facts.last.state
    if not last.passes:
        raise RefusalError(
            RefusalCode.RESULT_NOT_AFFIRMING,
            subject=f"device {facts.device_id}",
            reason="its newest result is not affirming",
        )
    if (
        state is None
        or state.counter != last.counter_seen
        or not covers_boot(approved_state(state, counter=0).pcr_selections)
    ):
        raise RefusalError(
            RefusalCode.RESULT_SUPERSEDED,
            subject=f"device {facts.device_id}",
            reason="no state that could be approved is on record with its newest result",
        )
    return state


def _after(state: ProvenState, registers: Mapping[int, Mapping[int, bytes]]) -> ProvenState:
    """The registers after the update; those that are never approved stay out of it, whatever a manifest says (A16)."""
    after = {
        bank: {
            index: value if index in FORBIDDEN_PCRS else registers.get(bank, {}).get(index, value)
            for index, value in values.items()
        }
        for bank, values in state.pcr_values.items()
    }
    return replace(state, pcr_values=after)
