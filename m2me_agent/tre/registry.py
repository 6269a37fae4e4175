"""The registry: an owner asks which of its MIDs are here and how they are, and gets a statement by the AK (R38-R40).

The rule: whoever asks is an SHO under the anchors, and hears of its own compartment alone. What is told is what a use of the
MID would meet: the authenticated journal of an open compartment, BLOCKED for everything in a closed one. The nonce in it
is what the owner's next instruction answers.
"""

from dataclasses import dataclass

from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.enrollment import identity, key_access
from m2me_agent.tre.errors import InstructionError, MidError
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.lifecycle import MidState
from m2me_agent.tre.nonces import OpenNonces
from m2me_agent.tre.operator_change import OperatorChanges
from m2me_agent.tre.operator_tokens import OperatorTokens
from m2me_agent.tre.receipts import not_validated, sign_statement
from m2me_agent.tre.state import TreState
from m2me_agent.tre.tombstones import Graves
from m2me_agent.tre.tpm_device import KeyAccess, TpmDevice
from m2me_agent.tre.vault import Vault
from m2me_agent.tre.vault_record import Compartment
from messages.registry import ENTRIES_MAX, RegistryEntry, RegistryReport

NO_REASON = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The use case with everything that it needs."""

    device: TpmDevice
    state: TreState
    guard: ExchangeGuard
    anchors: Anchors
    vault: Vault
    graves: Graves
    nonces: OpenNonces
    changes: OperatorChanges

    def report(self, token: str) -> bytes:
        """An encoded SignedStatement over the RegistryReport for whoever signed the question.

        Raises:
            AnchorError, MalformedError: it is no SHO's. InstructionError: for another device. MidError: nothing of this
            operator is or was here. NotEnrolledError, RateLimitError, StateError, TpmDeviceError.
        """
        # 1 an SHO under the anchors
        clock = self.device.read_clock()
        tokens = OperatorTokens(anchors=self.anchors, known_time=self.guard.known_time(clock=clock))
        query = tokens.registry_query(token)
        # 2 for this device, which has been validated, so that the owner has a result to compare with
        access = key_access(self.state, self.device)
        device_id = identity(access.keys.ek).hex()
        if query.device_id != device_id:
            raise InstructionError(
                subject="registry query", reason="is for another device", remedy="ask the right device"
            )
        selections = self.state.exchanges().pcr_selections
        if selections is None:
            raise not_validated()
        # 3 its own MIDs, and what stays of them
        self.changes.settle()
        found = self._compartment(query.sho, access)
        entries = self._entries(query.sho, found)
        if not entries:
            raise _nothing_of(query.sho)
        # 4 a nonce for the next instruction, and the quote over it all
        self.guard.spend(clock=clock)
        report = RegistryReport(
            device_id=device_id,
            sho=query.sho,
            tre_nonce=self.nonces.give(query.sho),
            sequence=0 if found is None else found.version,
            entries=entries,
            transitions=() if found is None else found.transitions,
        )
        with self.device.unlock(access) as keys:
            return sign_statement(
                report.encode(), keys, nonce=query.nonce, access=access, selections=selections
            )

    def _compartment(self, sho: str, access: KeyAccess) -> Compartment | None:
        opened = self.vault.opened(sho)
        if opened is not None:
            return opened.visible
        return next(
            (each.unverified for each in self.vault.compartments(access) if each.unverified.sho == sho), None
        )

    def _entries(self, sho: str, found: Compartment | None) -> tuple[RegistryEntry, ...]:
        rows = () if found is None else found.journal
        is_open, closed = self.vault.opened(sho) is not None, self.vault.closed.get(sho)
        shut = "closed" if closed is None else closed.code
        change = self.changes.settle()
        shown = [self.changes.shown(row, change) if is_open else (MidState.BLOCKED, shut) for row in rows]
        there = [
            RegistryEntry(
                mid_id=row.mid_id,
                state=state.value,
                reason=reason or NO_REASON,
                order_digest=row.order_digest,
                version=row.version,
            )
            for row, (state, reason) in zip(rows, shown, strict=True)
        ]
        tombstones = {each.tombstone.mid_id: each.tombstone for each in self.graves.of(sho)}
        if found is not None and is_open:
            tombstones |= {each.mid_id: each for each in found.tombstones}
        gone = [
            RegistryEntry(
                mid_id=each.mid_id,
                state=MidState.ERASED.value,
                reason=each.reason,
                order_digest=each.order_digest,
                version=each.version,
            )
            for each in tombstones.values()
        ]
        return (*gone, *there)[-ENTRIES_MAX:]


def _nothing_of(sho: str) -> MidError:
    return MidError(
        subject=f"registry of {sho}",
        reason="no MID of this operator is or was in this TRE",
        remedy="ask a device that has one",
    )
