"""MIDs that are installed: what their owner says about them, and authenticating with them (R31, R36-R37, R55, R58).

The rule: only the owner of a compartment instructs about its MIDs, once for each receipt; only an ACTIVE MID
authenticates, with an algorithm that its policy lists. No answer here holds a key of a MID.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from m2me_agent.tre.anchors import Anchors
from m2me_agent.tre.enrollment import identity, key_access
from m2me_agent.tre.errors import InstructionError, MidError
from m2me_agent.tre.exchanges import ExchangeGuard
from m2me_agent.tre.lifecycle import MidEvent, MidState, after
from m2me_agent.tre.mid_content import application_of
from m2me_agent.tre.operator_tokens import OperatorTokens
from m2me_agent.tre.sequence_numbers import SequenceNumbers
from m2me_agent.tre.state import TreState
from m2me_agent.tre.tpm_device import TpmDevice
from m2me_agent.tre.usim import NetworkChallenge, answer
from m2me_agent.tre.vault import Vault
from m2me_agent.tre.vault_record import Installed, OpenCompartment
from messages.errors import MessageError
from messages.instruction import ACTIVATE
from messages.mid_package import MidContent, decode_content
from standards.aka.vectors import Resynchronisation

_EVENTS = {ACTIVATE: MidEvent.ACTIVATE}
"""What an instruction's action does to the MID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mids:
    """The use cases with everything that they need."""

    device: TpmDevice
    state: TreState
    guard: ExchangeGuard
    anchors: Anchors
    vault: Vault
    numbers: SequenceNumbers

    def open_vault(self) -> None:
        """Open every compartment that opens in the present state; the others are BLOCKED, with their reasons.

        Raises:
            NotEnrolledError, TpmDeviceError, StateError: none was opened.
        """
        access = key_access(self.state, self.device)
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
        access = key_access(self.state, self.device)
        if instruction.device_id != identity(access.keys.ek).hex():
            raise _refused("is for another device")
        # 3 by the owner of the compartment that the MID is in
        opened, row = self._find(instruction.mid_id)
        if opened.visible.sho != instruction.sho:
            raise _refused("is not by the owner of the MID")
        # 4 it answers the receipt of this MID
        if not hmac.compare_digest(row.tre_nonce, instruction.tre_nonce):
            raise _refused("answers no receipt of this MID")
        # 5 once: the table knows no way back
        changed = replace(row, state=after(row.state, _EVENTS[instruction.action]))
        # 6 durable before the answer
        with self.device.unlock(access) as keys:
            self.vault.replace(replace(opened, visible=opened.visible.with_row(changed)), keys)
        return changed

    def authenticate(
        self, challenge: NetworkChallenge, *, mid_id: str, application: str
    ) -> Mapping[str, bytes]:
        """`res`, `ck` and `ik`, or `auts`, for one application (IMSI or IMPI) of an active MID.

        Raises:
            MidError: no such MID or application, or it is not active. NetworkError: the network does not know K.
            StateError: the sequence number cannot be remembered; nothing was answered.
        """
        # 1 an active MID in an open compartment
        opened, row = self._find(mid_id)
        if row.state != MidState.ACTIVE:
            raise MidError(
                subject=f"MID {mid_id}",
                reason=f"expected {MidState.ACTIVE}, got {row.state}",
                remedy="have its owner activate it",
            )
        # 2 an application of it, with an algorithm that its policy lists
        found = application_of(_content(opened, mid_id), application)
        if found is None:
            raise MidError(
                subject=f"application of MID {mid_id}",
                reason="there is none of this identity whose algorithm the MID's policy lists",
                remedy="name an application that the MID has",
            )
        # 3 the network first; the number is remembered before the answer
        answered = answer(
            challenge,
            k=found.k,
            opc=found.opc,
            subject=f"mid/{mid_id}/{found.identity}",
            numbers=self.numbers,
        )
        if isinstance(answered, Resynchronisation):
            return {"auts": answered.auts}
        return {"res": answered.res, "ck": answered.ck, "ik": answered.ik}

    def rows(self) -> list[dict[str, Any]]:
        """Id, owner, state and identities of every MID; no key. Raises NotEnrolledError, StateError, TpmDeviceError.

        A MID whose compartment is closed is BLOCKED, and its identities are not known. One in a file that cannot be read
        is not shown: what it is cannot be known.
        """
        access = key_access(self.state, self.device)
        shown = []
        for sho, row in self.vault.readable_journal(access):
            opened = self.vault.opened(sho)
            state = after(row.state, MidEvent.INTEGRITY_FAILED)
            identities: list[str] = []
            if opened is not None and row.mid_id in opened.contents:
                state = row.state
                content = _content(opened, row.mid_id)
                identities = [application.identity for application in content.applications]
            shown.append(
                {"mid_id": row.mid_id, "owner": sho, "state": state.value, "applications": identities}
            )
        return shown

    def _find(self, mid_id: str) -> tuple[OpenCompartment, Installed]:
        access = key_access(self.state, self.device)
        for sho, row in self.vault.readable_journal(access):
            if row.mid_id != mid_id:
                continue
            opened = self.vault.opened(sho)
            if opened is None:
                closed = self.vault.closed.get(sho)
                reason = "its compartment is closed" if closed is None else closed.reason
                raise MidError(
                    subject=f"MID {mid_id}",
                    reason=f"{MidState.BLOCKED}: {reason}",
                    remedy="bring the device into an approved state and start the TRE again",
                )
            # the row inside the encryption's seal counts, not the one that was read
            for authentic in opened.visible.journal:
                if authentic.mid_id == mid_id:
                    return opened, authentic
        for unread in self.vault.unreadable.values():
            raise unread  # it may be in there
        raise MidError(
            subject=f"MID {mid_id}", reason="is not in this TRE", remedy="name a MID that is installed"
        )


def _content(opened: OpenCompartment, mid_id: str) -> MidContent:
    try:
        return decode_content(opened.contents[mid_id])
    except (KeyError, MessageError):
        raise MidError(
            subject=f"MID {mid_id}", reason="its content cannot be read", remedy="order the subscription anew"
        ) from None


def _refused(reason: str) -> InstructionError:
    return InstructionError(
        subject="instruction",
        reason=reason,
        remedy="have the owner of the MID answer its newest receipt",
    )
