"""A change of operator as the new one makes it: release, switch, confirmation, and the proof that the prior MID is gone (R66, R119, R120).

Rule: make before break. Until this operator confirms, the TRE goes back by itself to the prior operator's MID, so nothing
here has to be undone. This operator confirms for a fresh report of the TRE alone, and only once a network has told it
that the device attached with the new IMSI; what the prior operator says is believed for its signature and the TRE's.

    release    1 the prior operator releases the MID that the order names; without it nobody is validated
    switch     2 the receipt is answered with `switch` and the release; AuC open, order installed, in one transaction
               3 a report that says INACTIVE: the change was undone, and begins anew, SWITCHES_MAX times
    confirm    4 a report that says ACTIVE until confirmed, and the device has attached: `confirm`
               5 a report that says ACTIVE: order active, and the user is told
    proof      6 the prior operator's erase proof, by the AK of this order, about the MID that the order names
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from cryptography import x509

from messages.erasure import decode_erasure
from messages.errors import MessageError
from messages.instruction import ERASE, INSTRUCTION_KIND, Instruction
from messages.instruction import read_claims as read_instruction
from messages.operator_token import OperatorSigner, verify_operator_token
from messages.registry import AWAITS_CONFIRMATION, PASSING, RegistryEntry
from messages.release import RELEASE_KIND, read_release
from messages.statement import decode_statement
from messages.switch import CONFIRM, SWITCH, SWITCH_KIND, Switch
from operators.sho.order_states import BoundOrder, Change, OrderRecord, OrderState, Prior, bound
from operators.sho.refusals import PeerError, RefusalCode, RefusalError
from operators.sho.spoken_states import SpokenStateStore, heard

SWITCHES_MAX: Final = 5
"""Switches of one order: a change that is undone again and again is given up, and the prior MID serves."""
CHANGED: Final = "The subscription is installed in your device and active, in place of the one from {prior}."
PRIOR_ERASED: Final = "The subscription from {prior} has been erased from your device."
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What this operator's word answers: a nonce of one TRE, in its receipt or report about one MID."""

    device_id: str
    mid_id: str
    nonce: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorAnswer:
    """What a prior operator answers; nothing in it is proven. `instruction` and `proof` come once its MID is erased."""

    release: str | None
    instruction: str | None = None
    proof: bytes | None = None


class ReleaseRefusedError(Exception):
    """A prior operator does not release its MID; the text is for people."""


class PriorOperators(Protocol):
    """The operators that subscriptions are taken over from, by their ids."""

    def release(self, operator: str, *, device_id: str, mid_id: str) -> PriorAnswer:
        """What became of the question for a release, asked the first time or again. Raises PeerError, ReleaseRefusedError."""


class ChangeStore(SpokenStateStore, Protocol):
    """What this use case needs of a store; each call is one transaction with its audit leaf."""

    def change(self, order_id: str) -> Change | None:
        """The change that an order makes, if it makes one."""

    def refuse(self, order_id: str, *, before: OrderState, reason: str, at: datetime) -> None:
        """Refuse an order, if it is in this state still."""

    def keep_release(self, order_id: str, token: str, *, at: datetime) -> None:
        """Keep the prior operator's release, the first that came."""

    def switched(self, order_id: str, *, before: int, at: datetime) -> bool:
        """Count a switch more, and forget who attached before it; False where another one was counted meanwhile."""

    def attached(self, imsi: str, *, network: str, at: datetime) -> None:
        """A network tells of the IMSI of an order whose change waits for that; of any other it changes nothing."""

    def changed(self, order_id: str, *, informed: str, at: datetime) -> None:
        """An installed order is active, and its user is told; the proof of the prior operator is due."""

    def keep_proof(self, order_id: str, proof: bytes, *, informed: str, at: datetime) -> None:
        """Keep the proof that the prior MID is gone, and tell the user; nothing is due any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeDesk:
    """The use case and what it works with; `window` is how long a switch may stand unconfirmed, by the TPM's clock."""

    store: ChangeStore
    priors: PriorOperators
    signer: OperatorSigner
    anchors: Sequence[x509.Certificate]
    window: timedelta

    def is_released(self, order: OrderRecord, *, at: datetime) -> bool:
        """Whether an order may go on to its validation: it takes nothing over, or the prior operator has let go (1).

        Refuses the order where the prior operator refuses. Raises PeerError; RefusalError: what came is no release.
        """
        change = self.store.change(order.id)
        if change is None or change.release is not None:
            return True
        device_id, prior = bound(order).device_id, change.prior
        try:
            answer = self.priors.release(prior.operator, device_id=device_id, mid_id=prior.mid_id)
        except ReleaseRefusedError as refused:
            self.store.refuse(order.id, before=order.state, reason=str(refused), at=at)
            return False
        if answer.release is None:
            return False
        self._check_release(answer.release, device_id=device_id, prior=prior, at=at)
        self.store.keep_release(order.id, answer.release, at=at)
        return True

    def switch(self, change: Change, answered: Answered) -> str:
        """The new MID is to serve in place of the prior one until it is confirmed, or the window is over (2)."""
        window_ms = self.window // _MILLISECOND
        return self._signed(change, answered, action=SWITCH, release=change.release, window_ms=window_ms)

    def next_word(
        self, order: OrderRecord, entry: RegistryEntry, *, nonce: bytes, at: datetime
    ) -> str | None:
        """What answers a verified report about the MID of an installed order (3 to 5); None where nothing is to be said.

        Raises RefusalError: another report came meanwhile.
        """
        change = self.store.change(order.id)
        if change is None:
            return None
        answered = Answered(device_id=bound(order).device_id, mid_id=entry.mid_id, nonce=nonce)
        if entry.state == "ACTIVE" and entry.reason == AWAITS_CONFIRMATION:
            return self._signed(change, answered, action=CONFIRM) if change.attached else None
        if entry.state == "ACTIVE":
            self.store.changed(order.id, informed=CHANGED.format(prior=change.prior.operator), at=at)
            return None
        if entry.state == "INACTIVE" and entry.reason not in PASSING and change.switches < SWITCHES_MAX:
            if not self.store.switched(order.id, before=change.switches, at=at):
                raise RefusalError(
                    RefusalCode.CONCURRENT_CHANGE,
                    subject=f"order {order.id}",
                    reason="another switch was signed meanwhile",
                    retry_after_s=1,
                )
            return self.switch(change, answered)
        return None

    def fetch_proof(self, order: OrderRecord, *, at: datetime) -> bool:
        """Ask the prior operator for the proof that its MID is gone (6); whether it is there now.

        Raises PeerError; RefusalError: what came proves nothing.
        """
        change = self.store.change(order.id)
        if change is None or change.proof is not None:
            return False
        binding, prior = bound(order), change.prior
        try:
            answer = self.priors.release(prior.operator, device_id=binding.device_id, mid_id=prior.mid_id)
        except ReleaseRefusedError as refused:
            raise PeerError(f"operator {prior.operator}", reason=str(refused)) from None
        if answer.instruction is None or answer.proof is None:
            return False
        self._check_erasure(answer.instruction, answer.proof, order=binding, prior=prior, at=at)
        informed = PRIOR_ERASED.format(prior=prior.operator)
        self.store.keep_proof(order.id, answer.proof, informed=informed, at=at)
        return True

    def _signed(
        self,
        change: Change,
        answered: Answered,
        *,
        action: str,
        release: str | None = None,
        window_ms: int | None = None,
    ) -> str:
        said = Switch(
            nsho=self.signer.issuer,
            action=action,
            device_id=answered.device_id,
            mid_id=answered.mid_id,
            prior_mid_id=change.prior.mid_id,
            tre_nonce=answered.nonce,
            window_ms=window_ms,
            release=release,
        )
        return self.signer.sign(said.claims(), typ=SWITCH_KIND.typ)

    def _check_release(self, token: str, *, device_id: str, prior: Prior, at: datetime) -> None:
        try:
            signed = verify_operator_token(token, RELEASE_KIND, anchors=self.anchors, at=at)
            release = read_release(signed.claims)
        except MessageError as error:
            raise _no_release(str(error)) from None
        named = (release.osho, release.device_id, release.mid_id, release.successor)
        if named != (prior.operator, device_id, prior.mid_id, self.signer.issuer):
            raise _no_release("it is of another operator, device or MID, or for another successor")

    def _check_erasure(
        self, instruction: str, proof: bytes, *, order: BoundOrder, prior: Prior, at: datetime
    ) -> None:
        try:
            signed = verify_operator_token(instruction, INSTRUCTION_KIND, anchors=self.anchors, at=at)
            asked = read_instruction(signed.claims)
            said = decode_statement(proof)
            nonce = _proof_nonce(asked)
            body = heard(said, nonce=nonce, order=order, store=self.store, anchors=self.anchors, at=at)
            erasure = decode_erasure(body)
        except MessageError as error:
            raise _no_erasure(str(error)) from None
        named = (erasure.sho, erasure.device_id, erasure.mid_id)
        if asked.sho != prior.operator or named != (prior.operator, order.device_id, prior.mid_id):
            raise _no_erasure("it speaks of another operator's MID, or of another one")


def _proof_nonce(asked: Instruction) -> bytes:
    if asked.action != ERASE or asked.proof_nonce is None:
        raise MessageError(what="instruction", expected="one to erase", got=asked.action)
    return asked.proof_nonce


def _no_release(reason: str) -> RefusalError:
    return RefusalError(RefusalCode.RELEASE_INVALID, subject="release", reason=reason)


def _no_erasure(reason: str) -> RefusalError:
    return RefusalError(RefusalCode.ERASURE_INVALID, subject="erase proof of the prior MID", reason=reason)
