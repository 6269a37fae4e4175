"""Erasing a MID: its key is written over in the TPM, and then the TRE signs that it is gone (D8, R56, R59).

The rule: first the tombstone and the next key, in one durable file, then the key in the TPM, then the proof. Whatever
interrupts it is finished by the next start, or by the same instruction once more, which gives the same proof; no proof is
signed while the key before is anywhere. A compartment whose last MID went is given back.
"""

import hmac
from dataclasses import dataclass, replace

from edge.process import logger
from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.enrollment import identity, key_access, pinned_access
from m2me_agent.tre.errors import InstructionError, KeyGoneError, MidError, TreError
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.lifecycle import MidEvent, MidState, after
from m2me_agent.tre.nonces import OpenNonces
from m2me_agent.tre.operator_change import OperatorChanges
from m2me_agent.tre.operator_tokens import OperatorTokens
from m2me_agent.tre.receipts import not_validated, sign_statement
from m2me_agent.tre.state import TreState
from m2me_agent.tre.tombstones import Grave, Graves, Tombstone
from m2me_agent.tre.tpm_device import KeyAccess, TpmDevice, UnlockedKeys
from m2me_agent.tre.vault import Vault
from m2me_agent.tre.vault_record import Compartment, Installed, OpenCompartment, transition
from messages.erasure import Erasure
from messages.instruction import ERASE, Instruction
from messages.pcr import PcrSelections
from standards.tpm2.structures import ClockInfo

ERASED_BY_OWNER = "owner"
"""Why a MID is gone whose owner gave no reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasing:
    """One run of the use case: what was asked, by what, and when."""

    instruction: Instruction
    access: KeyAccess
    selections: PcrSelections
    clock: ClockInfo

    @property
    def device_id(self) -> str:
        """This device's."""
        return identity(self.access.keys.ek).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasures:
    """The use case with everything that it needs."""

    device: TpmDevice
    state: TreState
    guard: ExchangeGuard
    anchors: Anchors
    vault: Vault
    graves: Graves
    nonces: OpenNonces
    changes: OperatorChanges

    def erase(self, token: str) -> bytes:
        """An encoded SignedStatement over the Erasure; the same instruction again gives the same.

        Raises:
            AnchorError, MalformedError: it is no SHO's. InstructionError: for another device, or it says something else, or
            answers no open nonce. MidError: the MID is not in the owner's compartment, that is closed, or it is being changed.
            RateLimitError, NotEnrolledError: nothing has changed. StateRefusedError, StateError, TpmDeviceError: nothing
            has changed, or the same instruction finishes it.
        """
        # 1 an SHO under the anchors, for this device, which has been validated
        clock = self.device.read_clock()
        tokens = OperatorTokens(anchors=self.anchors, known_time=self.guard.known_time(clock=clock))
        instruction = tokens.instruction(token)
        access, selections = key_access(self.state, self.device), self.state.exchanges().pcr_selections
        if instruction.device_id != identity(access.keys.ek).hex():
            raise _refused("is for another device")
        if instruction.action != ERASE:
            raise _refused(f"says {instruction.action}, which is no erasure")
        if selections is None:
            raise not_validated()
        run = Erasing(instruction=instruction, access=access, selections=selections, clock=clock)
        # 2 no change of operator is on its way with this MID; the same again: the proof is there
        self.changes.check_free(instruction.mid_id)
        grave = self.graves.find(instruction.sho, instruction.mid_id)
        with self.device.unlock(access) as keys:
            if grave is not None and _is_of(grave.tombstone, instruction):
                self._give_back(run.access, keys)
                return grave.proof
            # 3 the owner's compartment, and what a cut has left of an erasure
            self.vault.open_all(keys, access=access, device_id=run.device_id)
            opened = self._opened(instruction.sho)
            begun = next((each for each in opened.visible.tombstones if _is_of(each, instruction)), None)
            tombstone = begun or self._bury(run, opened, keys)
            # 7 the proof, kept as it was signed
            proof = self._prove(run, tombstone, keys, is_paid=begun is None)
            self.graves.add(Grave(sho=instruction.sho, tombstone=tombstone, proof=proof))
            # 8 a compartment without a MID gives its place back
            self._give_back(run.access, keys)
        return proof

    def finish(self) -> None:
        """At start: give back what an erasure emptied and a cut has left.

        What keeps it back is logged, never raised: the next start tries again.
        """
        try:
            access = pinned_access(self.state)
            with self.device.unlock(access) as keys:
                self._give_back(access, keys)
        except TreError as error:
            logger("tre").warning(
                "compartment not given back",
                refused=error.code,
                subject=error.subject,
                reason=error.reason,
            )

    def _bury(self, run: Erasing, opened: OpenCompartment, keys: UnlockedKeys) -> Tombstone:
        """Steps 4 to 6: the MID is gone afterwards."""
        instruction = run.instruction
        row = _row(opened.visible, instruction.mid_id)
        # 4 it answers the receipt of this MID, or the newest report to its owner; the table has such a change
        is_first = hmac.compare_digest(row.tre_nonce, instruction.tre_nonce) and not row.is_answered
        if not is_first and not self.nonces.spend(instruction.sho, instruction.tre_nonce):
            raise _refused("answers no open receipt of this MID, and no open report to its owner")
        after(row.state, MidEvent.ERASE)
        # 5 the proof is paid for, and the package that brought the MID opens nothing any more
        self.guard.spend(clock=run.clock)
        self.vault.finish_generation(keys)
        # 6 tombstone and next key in one file, then the key in the TPM
        tombstone = self._tombstone(row, run)
        self.vault.change_key(_without(opened, tombstone, clock=run.clock), keys, access=run.access)
        return tombstone

    def _opened(self, sho: str) -> OpenCompartment:
        opened = self.vault.opened(sho)
        if opened is None:
            closed = self.vault.closed.get(sho)
            raise MidError(
                subject=f"compartment of {sho}",
                reason="there is none" if closed is None else f"{MidState.BLOCKED}: {closed.reason}",
                remedy="bring the device into an approved state and start the TRE again"
                if closed is not None
                else "name a MID that is installed",
            )
        return opened

    def _tombstone(self, row: Installed, run: Erasing) -> Tombstone:
        known = self.guard.known_time(clock=run.clock)
        instruction = run.instruction
        return Tombstone(
            mid_id=row.mid_id,
            package_id=row.package_id,
            order_digest=row.order_digest,
            version=row.version,
            reason=instruction.reason or ERASED_BY_OWNER,
            clock_ms=run.clock.clock,
            reset_count=run.clock.reset_count,
            known_at=0 if known is None else max(0, int(known.timestamp())),
            tre_nonce=instruction.tre_nonce,
            proof_nonce=instruction.proof_nonce or b"",
        )

    def _prove(self, run: Erasing, tombstone: Tombstone, keys: UnlockedKeys, *, is_paid: bool) -> bytes:
        if not is_paid:
            self.guard.spend(clock=run.clock)
        erasure = Erasure(
            device_id=run.device_id,
            sho=run.instruction.sho,
            mid_id=tombstone.mid_id,
            order_digest=tombstone.order_digest,
            version=tombstone.version,
            reason=tombstone.reason,
            clock_ms=tombstone.clock_ms,
            reset_count=tombstone.reset_count,
            known_at=tombstone.known_at,
        )
        return sign_statement(
            erasure.encode(),
            keys,
            nonce=tombstone.proof_nonce,
            access=run.access,
            selections=run.selections,
        )

    def _give_back(self, access: KeyAccess, keys: UnlockedKeys) -> None:
        """End every compartment that is known to hold nothing but tombstones whose proofs are kept."""
        for found in tuple(self.vault.readable_compartments(access)):
            sho = found.unverified.sho
            opened = self.vault.opened(sho)
            is_gone = isinstance(self.vault.closed.get(sho), KeyGoneError)
            visible = found.unverified if opened is None else opened.visible
            if (opened is None and not is_gone) or visible.journal or not visible.tombstones:
                continue
            if all(self.graves.find(sho, each.mid_id) is not None for each in visible.tombstones):
                self.vault.give_back(visible, keys, device_id=identity(access.keys.ek).hex())


def _is_of(tombstone: Tombstone, instruction: Instruction) -> bool:
    """Whether this very instruction has made it."""
    return (
        tombstone.mid_id == instruction.mid_id
        and hmac.compare_digest(tombstone.tre_nonce, instruction.tre_nonce)
        and hmac.compare_digest(tombstone.proof_nonce, instruction.proof_nonce or b"")
    )


def _row(visible: Compartment, mid_id: str) -> Installed:
    for row in visible.journal:
        if row.mid_id == mid_id:
            return row
    raise MidError(
        subject=f"MID {mid_id}",
        reason="is not in the compartment of who wants it erased",
        remedy="name an own MID that is installed",
    )


def _without(opened: OpenCompartment, tombstone: Tombstone, *, clock: ClockInfo) -> OpenCompartment:
    made = transition(tombstone.mid_id, event=MidEvent.ERASE, state=MidState.ERASED, clock=clock)
    contents = {mid_id: each for mid_id, each in opened.contents.items() if mid_id != tombstone.mid_id}
    return replace(opened, visible=opened.visible.buried(tombstone).recorded(made), contents=contents)


def _refused(reason: str) -> InstructionError:
    return InstructionError(
        subject="erasure",
        reason=reason,
        remedy="have the owner of the MID ask this TRE for a report, and answer it",
    )
