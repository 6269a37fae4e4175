"""A change of operator in this TRE: the new owner's MID serves in place of the prior one's, or nothing has changed (R23, R37).

The rule: exactly one of the two is used at any moment, whatever is cut. Both owners have signed for it: the prior one's
release names device, MID and successor; the successor's instruction answers a nonce of this TRE. What it switches is one
record (see `usim_selection`); what the two compartments say follows it. Until the new owner confirms, the TRE goes back by
itself: at its deadline, after a reboot (the TPM does not count the time that power was off), and where the new MID cannot be
used. Whoever asks for a MID has this judged first, so no timer is needed; and it never goes back to a MID that cannot be used.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge.process import logger
from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.enrollment import identity, key_access
from m2me_agent.tre.errors import InstructionError, MidError, TreError
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.lifecycle import MidEvent, MidState, after
from m2me_agent.tre.mid_content import content_of
from m2me_agent.tre.mid_rules import Rules, check_content
from m2me_agent.tre.nonces import OpenNonces
from m2me_agent.tre.operator_tokens import OperatorTokens
from m2me_agent.tre.state import TreState
from m2me_agent.tre.tpm_device import TpmDevice
from m2me_agent.tre.usim_selection import Change, Chosen, Phase, UsimSelection
from m2me_agent.tre.vault import Vault
from m2me_agent.tre.vault_record import Installed, OpenCompartment
from messages.mid_content import USIM
from messages.registry import AWAITS_CONFIRMATION, HANDED_OVER
from messages.release import Release
from messages.switch import CONFIRM, Switch
from standards.tpm2.structures import ClockInfo

_SETTLED = {
    Phase.BACK: MidEvent.ROLL_BACK,
    Phase.KEPT: MidEvent.HAND_OVER,
}
"""What becomes, in its compartment, of the MID that is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorChanges:
    """The use case with everything that it needs."""

    device: TpmDevice
    state: TreState
    guard: ExchangeGuard
    anchors: Anchors
    vault: Vault
    rules: Rules
    selection: UsimSelection
    nonces: OpenNonces

    def follow(self, token: str) -> Installed:
        """Follow the new owner's word: the row of its MID, as it is durable now.

        Raises AnchorError, MalformedError: it is no SHO's. InstructionError: for another device. And as `_switch`, `_confirm`.
        """
        clock = self.device.read_clock()
        tokens = OperatorTokens(anchors=self.anchors, known_time=self.guard.known_time(clock=clock))
        wanted = tokens.switch(token)
        self._check_device(wanted.device_id)
        if wanted.action == CONFIRM:
            return self._confirm(wanted)
        return self._switch(wanted, tokens.release(wanted.release or ""), clock=clock)

    def _switch(self, wanted: Switch, released: Release, *, clock: ClockInfo) -> Installed:
        """Let the new owner's MID serve in place of the prior one, until it confirms or its window is over.

        Raises:
            InstructionError: not by the owners of the two MIDs, without the prior owner's release for this device, or it
            answers no open nonce. PolicyError, MidError: the MIDs' lives, or what the new one has, do not allow it.
            StateError, TpmDeviceError: the prior MID serves.
        """
        # 1 what stands is judged; by the owners of the two MIDs; the prior one lets this successor follow, and nobody else
        self._check_device(released.device_id)
        standing = self.settle()
        opened, row = self._find(wanted.mid_id)
        before, prior = self._find(wanted.prior_mid_id)
        if opened.visible.sho != wanted.nsho:
            raise _refused("is not by the owner of the new MID")
        _check_release(released, wanted, owner=before.visible.sho)
        # 2 it answers the receipt of the new MID, or the newest report to its owner
        is_first = not row.is_answered and hmac.compare_digest(row.tre_nonce, wanted.tre_nonce)
        if not is_first and not self.nonces.spend(wanted.nsho, wanted.tre_nonce):
            raise _refused("answers no open receipt of this MID, and no open report to its owner")
        # 3 no other change stands; the table has both events; nothing that is served now is lost
        if standing is not None:
            raise _under_way(wanted.mid_id)
        state = after(row.state, MidEvent.SWITCH)
        after(prior.state, MidEvent.HAND_OVER)
        taken = self._taken(opened, row, prior)
        # 4 the new MID is held, then ACTIVE, then it serves: the last write is the switch
        change = Change(
            mid_id=row.mid_id,
            prior_mid_id=prior.mid_id,
            phase=Phase.BACK,
            begun=clock,
            deadline_ms=clock.clock + (wanted.window_ms or 0),
            prior={access: each for access, each in self.selection.all().items() if access in taken},
        )
        changed = replace(row, state=state, is_answered=row.is_answered or is_first)
        self.selection.begin(change)
        with self.device.unlock(key_access(self.state, self.device)) as keys:
            self.vault.replace(opened.with_change(changed, event=MidEvent.SWITCH, clock=clock), keys)
        self.selection.switch(change, taken)
        return changed

    def _confirm(self, wanted: Switch) -> Installed:
        """The new owner has seen its MID at work: it serves for good, and the prior one becomes INACTIVE.

        Raises:
            InstructionError: not by the owner of the new MID, or it answers no report; the receipt was there before.
            MidError: no such change stands, or it was undone. StateError, TpmDeviceError: it stands, or the next use
            finishes it.
        """
        opened, _ = self._find(wanted.mid_id)
        if opened.visible.sho != wanted.nsho:
            raise _refused("is not by the owner of the new MID")
        if not self.nonces.spend(wanted.nsho, wanted.tre_nonce):
            raise _refused("answers no open report to its owner")
        change = self.settle()
        if change is None or change.phase is not Phase.PENDING or not _is_of(change, wanted):
            raise MidError(
                subject=f"MID {wanted.mid_id}",
                reason=f"does not serve in place of {wanted.prior_mid_id} until it is confirmed",
                remedy="ask for a report, and begin the change anew where it was undone",
            )
        self.selection.keep(change)
        self.settle()
        return self._find(wanted.mid_id)[1]

    def settle(self) -> Change | None:
        """Judge the change that stands, finish what is due, and return what still stands.

        What keeps a compartment from following is logged, never raised: its MID stays held, and the next use tries again.
        Raises StateError, TpmDeviceError: nothing was judged, and no MID may be used.
        """
        change = self.selection.change()
        if change is None:
            return None
        clock = self.device.read_clock()
        if change.phase is Phase.PENDING:
            is_over = change.is_late(clock) or not self._is_usable(change.mid_id)
            if not is_over or not self._is_usable(change.prior_mid_id):
                return change
            self.selection.undo(change)
            logger("tre").warning("change of operator undone", subject=change.mid_id)
            change = replace(change, phase=Phase.BACK)
        try:
            is_settled = self._follow(change, clock)
        except TreError as error:
            logger("tre").warning(
                "MID stays held", refused=error.code, subject=error.subject, reason=error.reason
            )
            return change
        if not is_settled:
            return change
        self.selection.end()
        return None

    def check_free(self, mid_id: str) -> None:
        """Raises MidError for a MID whose change of operator stands: its end comes first. StateError, TpmDeviceError."""
        change = self.settle()
        if change is not None and (change.held == mid_id or change.waits_with(mid_id)):
            raise _under_way(mid_id)

    def shown(self, row: Installed, change: Change | None) -> tuple[MidState, str]:
        """State and reason of a row of an open compartment, as its use would meet it."""
        if change is not None and change.held == row.mid_id and row.state is MidState.ACTIVE:
            return MidState.INACTIVE, "" if change.phase is Phase.BACK else HANDED_OVER
        if change is not None and change.phase is Phase.PENDING and change.mid_id == row.mid_id:
            return row.state, row.reason or AWAITS_CONFIRMATION
        return row.state, row.reason

    def _follow(self, change: Change, clock: ClockInfo) -> bool:
        """Make the MID that is held INACTIVE, if it is ACTIVE; False where its compartment is closed."""
        access, event = key_access(self.state, self.device), _SETTLED[change.phase]
        for opened in self.vault.open_compartments(access):
            for row in opened.visible.journal:
                if row.mid_id == change.held:
                    if row.state is MidState.ACTIVE:
                        changed = replace(row, state=after(row.state, event))
                        with self.device.unlock(access) as keys:
                            self.vault.replace(opened.with_change(changed, event=event, clock=clock), keys)
                    return True
        return not self.vault.unreadable and all(
            row.mid_id != change.held for _, row in self.vault.readable_journal(access)
        )

    def _taken(self, opened: OpenCompartment, row: Installed, prior: Installed) -> Mapping[str, Chosen]:
        """By kind of access that the prior MID serves: the USIM of the new one that takes it."""
        content = content_of(opened, row.mid_id)
        check_content(content, self.rules)
        served = [access for access, each in self.selection.all().items() if each.mid_id == prior.mid_id]
        usims = {each.access: each for each in reversed(content.applications) if each.kind == USIM}
        missing = sorted(set(served) - set(usims))
        if missing:
            raise MidError(
                subject=f"MID {row.mid_id}",
                reason=f"has no USIM for {', '.join(missing)} access, which the prior one serves",
                remedy="install a MID that serves what the prior one does",
            )
        return {access: Chosen(mid_id=row.mid_id, identity=usims[access].identity) for access in served}

    def _is_usable(self, mid_id: str) -> bool:
        """Whether it is ACTIVE in a compartment that is open, without regard to who is held."""
        access = key_access(self.state, self.device)
        return any(
            row.mid_id == mid_id and row.state is MidState.ACTIVE
            for opened in self.vault.open_compartments(access)
            for row in opened.visible.journal
        )

    def _check_device(self, named: str) -> None:
        own = identity(key_access(self.state, self.device).keys.ek).hex()
        if named != own:
            raise _refused("is for another device")

    def _find(self, mid_id: str) -> tuple[OpenCompartment, Installed]:
        for opened in self.vault.open_compartments(key_access(self.state, self.device)):
            for row in opened.visible.journal:
                if row.mid_id == mid_id:
                    return opened, row
        raise MidError(
            subject=f"MID {mid_id}",
            reason="is in no compartment that is open",
            remedy="name a MID that is installed, on a device in an approved state",
        )


def _check_release(released: Release, wanted: Switch, *, owner: str) -> None:
    if released.osho != owner or released.mid_id != wanted.prior_mid_id:
        raise _refused("comes with no release by the owner of the prior MID")
    if released.successor != wanted.nsho:
        raise _refused("comes with a release for another successor")
    if owner == wanted.nsho:
        raise _refused("names two MIDs of one owner, which needs no release")


def _is_of(change: Change, wanted: Switch) -> bool:
    return (change.mid_id, change.prior_mid_id) == (wanted.mid_id, wanted.prior_mid_id)


def _under_way(mid_id: str) -> MidError:
    return MidError(
        subject=f"MID {mid_id}",
        reason="a change of operator is under way",
        remedy="confirm it, or wait until it is undone",
    )


def _refused(reason: str) -> InstructionError:
    return InstructionError(
        subject="change of operator",
        reason=reason,
        remedy="have the new owner ask this TRE for a report, and answer it, with the prior owner's release",
    )
