"""MIDs that are installed: what their owner says about them, and authenticating with them (R31, R36-R37, R55, R58).

The rule: only the owner of a compartment instructs about its MIDs, once for each nonce that it was given in a receipt or a
report; only an ACTIVE MID authenticates, with an algorithm that its policy lists. No answer here holds a key of a MID.
"""

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from edge.process import logger
from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.enrollment import identity, key_access, pinned_access
from m2me_agent.tre.errors import InstructionError, MidError, StateError, VaultError
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.lifecycle import MidEvent, MidState, after
from m2me_agent.tre.mid_content import application_of, content_of, functions_of
from m2me_agent.tre.mid_rules import Rules, check_content, rules_of_mid
from m2me_agent.tre.nonces import OpenNonces
from m2me_agent.tre.operator_change import OperatorChanges
from m2me_agent.tre.operator_tokens import OperatorTokens
from m2me_agent.tre.sequence_numbers import SequenceNumbers
from m2me_agent.tre.state import TreState
from m2me_agent.tre.tpm_device import TpmDevice, UnlockedKeys
from m2me_agent.tre.usim import NetworkChallenge, answer
from m2me_agent.tre.usim_selection import Chosen, UsimSelection
from m2me_agent.tre.vault import Vault
from m2me_agent.tre.vault_record import Installed, OpenCompartment
from messages.errors import MessageError
from messages.instruction import ACTIVATE, BLOCK, DEACTIVATE, LOCK, UNBLOCK, UNLOCK, Instruction
from messages.mid_content import USIM, MidContent, NetworkApplication
from standards.aka.functions import AuthenticationFunctions
from standards.aka.vectors import Resynchronisation
from standards.tpm2.structures import ClockInfo

_EVENTS = {
    ACTIVATE: MidEvent.ACTIVATE,
    DEACTIVATE: MidEvent.DEACTIVATE,
    BLOCK: MidEvent.BLOCK,
    UNBLOCK: MidEvent.UNBLOCK,
    LOCK: MidEvent.LOCK,
    UNLOCK: MidEvent.UNLOCK,
}
"""What an instruction's action does to the MID; `erase` is a use case of its own."""
_HAS_A_PLACE = frozenset({MidState.ACTIVE, MidState.MIGRATING})
BLOCKED_BY_OWNER = "owner"
"""Why a MID is blocked whose owner gave no reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mids:
    """The use cases with everything that they need."""

    device: TpmDevice
    state: TreState
    guard: ExchangeGuard
    anchors: Anchors
    vault: Vault
    numbers: SequenceNumbers
    rules: Rules
    selection: UsimSelection
    nonces: OpenNonces
    changes: OperatorChanges

    def open_vault(self) -> None:
        """Open every compartment that opens in the present state; the others are BLOCKED, with their reasons.

        Raises:
            NotEnrolledError, TpmDeviceError, StateError: none was opened.
        """
        access = pinned_access(self.state)
        with self.device.unlock(access) as keys:
            self.vault.open_all(keys, access=access, device_id=identity(access.keys.ek).hex())

    def instruct(self, token: str) -> Installed:
        """Follow the owner's instruction: the row of the MID, as it is durable now.

        Raises:
            AnchorError, MalformedError: it is no SHO's. InstructionError: for another device, by another than the
            owner, or it answers no open receipt. MidError: the MID is not there, or its life does not allow it.
            StateError, TpmDeviceError: nothing has changed, or the next start finishes it.
        """
        # 1 an SHO under the anchors
        clock = self.device.read_clock()
        tokens = OperatorTokens(anchors=self.anchors, known_time=self.guard.known_time(clock=clock))
        instruction = tokens.instruction(token)
        # 2 for this device
        access = pinned_access(self.state)
        if instruction.device_id != identity(access.keys.ek).hex():
            raise _refused("is for another device")
        # 3 by the owner of the compartment that the MID is in
        opened, row = self._find(instruction.mid_id)
        if opened.visible.sho != instruction.sho:
            raise _refused("is not by the owner of the MID")
        # 4 it answers the receipt of this MID, or the newest report to its owner
        is_first = hmac.compare_digest(row.tre_nonce, instruction.tre_nonce)
        if not is_first and not self.nonces.spend(instruction.sho, instruction.tre_nonce):
            raise _refused("answers no receipt of this MID, and no open report to its owner")
        if instruction.action not in _EVENTS:
            raise _refused(f"says {instruction.action}, which is an operation of its own")
        # 5 no change of operator stands; the table has such a change, and a receipt is answered once
        self.changes.check_free(instruction.mid_id)
        opened, row = self._find(instruction.mid_id)
        changed = _changed(row, instruction, is_first=is_first)
        with self.device.unlock(access) as keys:
            # 6 what was blocked comes back after another look: registers, key, file, version and content
            if instruction.action == UNBLOCK:
                opened = self.vault.look_again(instruction.sho, keys, access=access)
                content_of(opened, row.mid_id)
            # 7 durable before the answer
            self.vault.replace(opened.with_change(changed, event=instruction.action, clock=clock), keys)
        if changed.state == MidState.ACTIVE:
            for each in content_of(opened, changed.mid_id).applications:
                self.selection.take_free(changed.mid_id, each, is_active=self._is_active)
        return changed

    def authenticate(
        self, challenge: NetworkChallenge, *, mid_id: str, application: str
    ) -> Mapping[str, bytes]:
        """`res`, `ck` and `ik`, or `auts`, for one application (IMSI or IMPI) of an active MID.

        Raises:
            MidError: no such MID or application, it is not active, or another USIM serves this kind of access.
            PolicyError: the device's policy no longer allows it. NetworkError: the network does not know K.
            StateError, TpmDeviceError: the MID cannot be checked, or its number not be remembered; nothing was answered.
        """
        # 1 an active MID in an open compartment, which no change of operator holds
        opened = self._find_active(mid_id, remedy="have its owner activate it")
        # 2 still as it was stored, where its policy or the device's has that checked
        content = content_of(opened, mid_id)
        if rules_of_mid(content.policy, self.rules).is_checked_each_session:
            self._check_integrity(opened.visible.sho)
        # 3 an application of it, allowed here today, and the one that serves its access
        check_content(content, self.rules)
        found = _application(content, application)
        self.selection.take_free(mid_id, found, is_active=self._is_active)
        self.selection.check_serves(mid_id, found)
        # 4 the network first; the number is remembered before the answer
        answered = answer(
            challenge,
            key=_functions(found),
            subject=f"mid/{mid_id}/{found.identity}",
            numbers=self.numbers,
        )
        if isinstance(answered, Resynchronisation):
            return {"auts": answered.auts}
        return {"res": answered.res, "ck": answered.ck, "ik": answered.ik}

    def select(self, *, mid_id: str, application: str) -> NetworkApplication:
        """Let this USIM of an active MID serve its kind of access: a person at the device wants it (R17).

        Raises MidError for another MID or application, StateError, NotEnrolledError.
        """
        opened = self._find_active(mid_id, remedy="select a USIM of an active MID")
        found = _application(content_of(opened, mid_id), application)
        self.selection.select(mid_id, found)
        return found

    def usims(self) -> list[dict[str, Any]]:
        """The USIMs of active MIDs, each with its access and whether it serves that; no key. Raises as `rows`."""
        key_access(self.state, self.device)
        change = self.changes.settle()
        chosen = self.selection.all()
        return [
            {
                "mid_id": row.mid_id,
                "owner": opened.visible.sho,
                "application": each.identity,
                "access": each.access,
                "serves": chosen.get(each.access) == Chosen(mid_id=row.mid_id, identity=each.identity),
            }
            for opened, row in self._open_rows()
            if self.changes.shown(row, change)[0] is MidState.ACTIVE
            for each in content_of(opened, row.mid_id).applications
            if each.kind == USIM
        ]

    def rows(self) -> list[dict[str, Any]]:
        """Id, owner, order, state, why, and identities of every MID; no key. Raises NotEnrolledError, StateError, TpmDeviceError.

        A MID whose compartment is closed is BLOCKED, and its identities are not known. One in a file that cannot be read
        is not shown: what it is cannot be known.
        """
        access = key_access(self.state, self.device)
        shown, change = [], self.changes.settle()
        for opened, visible in self.vault.by_slot(access):
            closed = self.vault.closed.get(visible.sho)
            for row in visible.journal:
                found = () if opened is None else content_of(opened, row.mid_id).applications
                state, reason = self.changes.shown(row, change)
                if opened is None:
                    state = after(row.state, MidEvent.INTEGRITY_FAILED)
                    reason = "" if closed is None else closed.code
                shown.append(_shown(row, visible.sho, state=state, reason=reason, found=found))
        return shown

    def _open_rows(self) -> Iterator[tuple[OpenCompartment, Installed]]:
        """What is inside the encryption's seal, and counts; whatever became of the files meanwhile."""
        for opened in self.vault.open_compartments(pinned_access(self.state)):
            yield from ((opened, row) for row in opened.visible.journal)

    def _is_active(self, mid_id: str) -> bool:
        """Whether a MID is active, was when its compartment closed, or is locked and may come back: it keeps its place."""
        access = pinned_access(self.state)
        rows = chain(
            (row for _, row in self._open_rows()), (row for _, row in self.vault.readable_journal(access))
        )
        return next((row.state in _HAS_A_PLACE for row in rows if row.mid_id == mid_id), False)

    def _check_integrity(self, sho: str) -> None:
        """Look at what is stored; where it is not what is held here, every MID of the compartment is BLOCKED, durably.

        What is held is authentic and the newest, and takes the place of what was found; its owner reads of it in the next
        report, and no MID comes back without its word. Raises VaultError, StateError: it was blocked. TpmDeviceError.
        """
        clock = self.device.read_clock()
        with self.device.unlock(pinned_access(self.state)) as keys:
            try:
                self.vault.check(sho, keys)
            except (VaultError, StateError) as error:
                logger("tre").warning("MIDs blocked", refused=error.code, subject=sho, reason=error.reason)
                self._block_all(sho, keys, reason=f"integrity: {error.code}", clock=clock)
                raise

    def _block_all(self, sho: str, keys: UnlockedKeys, *, reason: str, clock: ClockInfo) -> None:
        opened = self.vault.opened(sho)
        for row in () if opened is None else opened.visible.journal:
            current = self.vault.opened(sho)
            if row.state == MidState.BLOCKED or current is None:
                continue
            event = MidEvent.INTEGRITY_FAILED
            changed = replace(row, state=after(row.state, event), reason=reason)
            self.vault.replace(current.with_change(changed, event=event, clock=clock), keys)

    def _find_active(self, mid_id: str, *, remedy: str) -> OpenCompartment:
        """The compartment of a MID that may be used now. Raises MidError, StateError, TpmDeviceError."""
        key_access(self.state, self.device)  # an open compartment does not outlive TPM2_Clear
        change = self.changes.settle()
        opened, row = self._find(mid_id)
        state, _ = self.changes.shown(row, change)
        if state is not MidState.ACTIVE:
            raise MidError(
                subject=f"MID {mid_id}", reason=f"expected {MidState.ACTIVE}, got {state}", remedy=remedy
            )
        return opened

    def _find(self, mid_id: str) -> tuple[OpenCompartment, Installed]:
        for opened, row in self._open_rows():
            if row.mid_id == mid_id:
                return opened, row
        for sho, row in self.vault.readable_journal(pinned_access(self.state)):
            if row.mid_id == mid_id:
                closed = self.vault.closed.get(sho)
                reason = "its compartment is closed" if closed is None else closed.reason
                raise MidError(
                    subject=f"MID {mid_id}",
                    reason=f"{MidState.BLOCKED}: {reason}",
                    remedy="bring the device into an approved state and start the TRE again",
                )
        for unread in self.vault.unreadable.values():
            raise unread  # it may be in there
        raise MidError(
            subject=f"MID {mid_id}", reason="is not in this TRE", remedy="name a MID that is installed"
        )


def _shown(
    row: Installed, sho: str, *, state: MidState, reason: str, found: tuple[NetworkApplication, ...]
) -> dict[str, Any]:
    return {
        "mid_id": row.mid_id,
        "owner": sho,
        "state": state.value,
        "applications": [each.identity for each in found],
        "public_identities": [name for each in found for name in each.public_identities],
        "order_digest": row.order_digest,
        "reason": reason,
    }


def _changed(row: Installed, instruction: Instruction, *, is_first: bool) -> Installed:
    """The row afterwards. Raises MidError, InstructionError."""
    is_open = is_first and not row.is_answered
    # the receipt of an update is answered like any: the MID that was ACTIVE is as its owner wants it
    is_so = is_open and instruction.action == ACTIVATE and row.state is MidState.ACTIVE
    state = row.state if is_so else after(row.state, _EVENTS[instruction.action])
    if is_first and row.is_answered:
        raise _refused("answers a receipt that was answered before")
    reason = (instruction.reason or BLOCKED_BY_OWNER) if state is MidState.BLOCKED else ""
    return replace(row, state=state, is_answered=row.is_answered or is_first, reason=reason)


def _application(content: MidContent, identity: str) -> NetworkApplication:
    found = application_of(content, identity)
    if found is None:
        raise MidError(
            subject=f"application of MID {content.mid_id}",
            reason="there is none of this identity whose algorithm the MID's policy lists",
            remedy="name an application that the MID has",
        )
    return found


def _functions(application: NetworkApplication) -> AuthenticationFunctions:
    try:
        return functions_of(application)
    except MessageError as error:
        raise MidError(
            subject="application of the MID", reason=str(error), remedy="order the subscription anew"
        ) from None


def _refused(reason: str) -> InstructionError:
    return InstructionError(
        subject="instruction",
        reason=reason,
        remedy="have the owner of the MID ask this TRE for a report, and answer it",
    )
