"""The release of this operator's MIDs to a successor: who may ask, who must agree, and the signed word (R22, R23, R120).

Rule: default deny. A successor is known by its certificate and stands in this operator's table with a policy; it gets a
release of one MID in one device, and nothing about any other. A release that was given stands: only the successor that it
names can use it, and only with a TRE's own nonce.

    ask     1 the successor is one that this operator has an agreement with
            2 the MID is this operator's, in that device, and not blocked
            3 policy      consent   waits for the subscriber or an administrator
                          notice    given, and the subscriber is told
                          none      given
            4 the same question again: what became of it; once the MID is erased, the TRE's proof of that
    decide  5 somebody who may has decided, and a release that was given is not taken back
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from typing import Final, Protocol

from messages.operator_token import OperatorSigner
from messages.release import RELEASE_KIND, Release
from operators.sho.lives import MidLife
from operators.sho.order_states import OrderRecord, OrderState
from operators.sho.packages import Package
from operators.sho.refusals import RefusalCode, RefusalError
from operators.sho.subscriber_secrets import SubscriberSecrets

ADMINISTRATOR: Final = "administrator"
SUBSCRIBER: Final = "subscriber"


@unique
class ReleasePolicy(StrEnum):
    """What it takes until a successor gets a release."""

    CONSENT = "consent"
    NOTICE = "notice"
    NONE = "none"


@unique
class ReleaseState(StrEnum):
    """How a question for a release stands; `erased` is what a released MID has become."""

    WAITING = "waiting"
    DENIED = "denied"
    RELEASED = "released"
    ERASED = "erased"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRecord:
    """One question of a successor for the MID of an order; `token` once it is released, `decided_by` once somebody has decided."""

    order_id: str
    successor: str
    state: ReleaseState
    token: str | None = None
    decided_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseAnswer:
    """What a successor is told: `token` with `released` and `erased`, instruction and proof of the erasure with `erased`."""

    state: ReleaseState
    token: str | None = None
    instruction: str | None = None
    proof: bytes | None = None


class ReleaseStore(Protocol):
    """What this use case needs of a store; each call is one transaction with its audit leaf."""

    def order(self, order_id: str) -> OrderRecord | None:
        """One order."""

    def current(self, order_id: str) -> str:
        """The order that has the subscription of this one now: itself, unless it was superseded."""

    def order_of_mid(self, device_id: str, mid_id: str) -> OrderRecord | None:
        """The order whose newest package brought this MID to this device; none that was superseded or is on its way."""

    def package(self, order_id: str) -> Package | None:
        """The newest package of an order."""

    def is_blocked(self, order_id: str) -> bool:
        """Whether this operator has the MID of an order blocked."""

    def life(self, order_id: str) -> MidLife:
        """What is on record about the MID of an order."""

    def erase_proof(self, order_id: str) -> bytes | None:
        """What the TRE signed when the MID of an order was gone."""

    def releases(self, order_id: str) -> tuple[ReleaseRecord, ...]:
        """Every question for the MID of an order, by successor."""

    def ask_release(self, asked: ReleaseRecord, *, informed: str | None, at: datetime) -> ReleaseRecord:
        """Keep a question and tell the user, or give the record that is there: one row for order and successor."""

    def decide_release(self, decided: ReleaseRecord, *, informed: str, at: datetime) -> bool:
        """Keep a decision and tell the user; False where the release was given before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseDesk:
    """The use case and what it works with; `policies` by the id of the successor, for those that there are."""

    store: ReleaseStore
    signer: OperatorSigner
    secrets: SubscriberSecrets
    policies: Mapping[str, ReleasePolicy]

    def ask(self, successor: str, *, device_id: str, mid_id: str, at: datetime) -> ReleaseAnswer:
        """What became of a successor's question, which this is the first time or again. Raises RefusalError."""
        # 1 the successor is one that this operator has an agreement with
        policy = self.policies.get(successor)
        if policy is None or successor == self.signer.issuer:
            raise RefusalError(
                RefusalCode.SUCCESSOR_UNKNOWN,
                subject=f"operator {successor}",
                reason="this operator releases nothing to it",
            )
        # 2 the MID is this operator's, in that device, and not blocked
        order = self.store.order_of_mid(device_id, mid_id)
        if order is None:
            raise _no_mid(mid_id)
        known = _of(self.store.releases(order.id), successor)
        if order.state is OrderState.ERASED and known is not None and known.token is not None:
            return self._erased(order, known)
        if order.state is not OrderState.ACTIVE:
            raise _no_mid(mid_id)
        self._check_usable(order, mid_id)
        # 3 policy
        if known is None:
            known = self._asked(order, successor, policy, mid_id=mid_id, at=at)
        # 4 what became of it
        if known.state is ReleaseState.DENIED:
            raise RefusalError(
                RefusalCode.RELEASE_DENIED,
                subject=f"MID {mid_id}",
                reason=f"its {known.decided_by} has denied its release to {successor}",
            )
        return ReleaseAnswer(state=known.state, token=known.token)

    def decide(self, order_id: str, successor: str, *, approves: bool, at: datetime) -> ReleaseRecord:
        """An administrator decides. Raises RefusalError."""
        return self._decided(order_id, successor, approves=approves, by=ADMINISTRATOR, at=at)

    def decide_as_subscriber(
        self, order_id: str, successor: str, *, secret: str, approves: bool, at: datetime
    ) -> ReleaseRecord:
        """Whoever has the secret of the order decides. Raises RefusalError."""
        if not self.secrets.is_order_secret(secret, order_id=order_id):
            raise RefusalError(
                RefusalCode.ORDER_UNKNOWN, subject="order", reason="no order has this id and secret"
            )
        return self._decided(self.store.current(order_id), successor, approves=approves, by=SUBSCRIBER, at=at)

    def about(self, order_id: str) -> tuple[ReleaseRecord, ...]:
        """Every question for the MID of an order. Raises RefusalError."""
        if self.store.order(order_id) is None:
            raise RefusalError(
                RefusalCode.ORDER_UNKNOWN, subject="order", reason="there is none with this id"
            )
        return self.store.releases(order_id)

    def _asked(
        self, order: OrderRecord, successor: str, policy: ReleasePolicy, *, mid_id: str, at: datetime
    ) -> ReleaseRecord:
        if policy is ReleasePolicy.CONSENT:
            waiting = ReleaseRecord(order_id=order.id, successor=successor, state=ReleaseState.WAITING)
            informed = f"{successor} asks to take your subscription over: please approve or deny it."
            return self.store.ask_release(waiting, informed=informed, at=at)
        released = ReleaseRecord(
            order_id=order.id,
            successor=successor,
            state=ReleaseState.RELEASED,
            token=self._signed(order, successor, mid_id=mid_id),
        )
        notice = _given(successor) if policy is ReleasePolicy.NOTICE else None
        return self.store.ask_release(released, informed=notice, at=at)

    def _decided(
        self, order_id: str, successor: str, *, approves: bool, by: str, at: datetime
    ) -> ReleaseRecord:
        order = self.store.order(order_id)
        known = _of(self.store.releases(order_id), successor)
        if order is None or known is None or order.state is not OrderState.ACTIVE:
            raise RefusalError(
                RefusalCode.RELEASE_UNKNOWN,
                subject=f"order {order_id}",
                reason=f"no question of {successor} waits for a decision on it",
            )
        package = self.store.package(order_id)
        mid_id = "" if package is None else package.mid_id
        if approves:
            self._check_usable(order, mid_id)
        decided = ReleaseRecord(
            order_id=order_id,
            successor=successor,
            state=ReleaseState.RELEASED if approves else ReleaseState.DENIED,
            token=self._signed(order, successor, mid_id=mid_id) if approves else None,
            decided_by=by,
        )
        informed = _given(successor) if approves else f"Your subscription is not released to {successor}."
        # 5 a release that was given is not taken back
        if not self.store.decide_release(decided, informed=informed, at=at):
            known = _of(self.store.releases(order_id), successor) or known
            if not approves:
                raise RefusalError(
                    RefusalCode.RELEASE_GIVEN,
                    subject=f"order {order_id}",
                    reason=f"{successor} has its release",
                )
            return known
        return decided

    def _check_usable(self, order: OrderRecord, mid_id: str) -> None:
        if self.store.is_blocked(order.id):
            raise RefusalError(
                RefusalCode.MID_BLOCKED, subject=f"MID {mid_id}", reason="its operator has it blocked"
            )

    def _erased(self, order: OrderRecord, known: ReleaseRecord) -> ReleaseAnswer:
        return ReleaseAnswer(
            state=ReleaseState.ERASED,
            token=known.token,
            instruction=self.store.life(order.id).instruction,
            proof=self.store.erase_proof(order.id),
        )

    def _signed(self, order: OrderRecord, successor: str, *, mid_id: str) -> str:
        release = Release(
            osho=self.signer.issuer, device_id=order.device_id or "", mid_id=mid_id, successor=successor
        )
        return self.signer.sign(release.claims(), typ=RELEASE_KIND.typ)


def _of(records: tuple[ReleaseRecord, ...], successor: str) -> ReleaseRecord | None:
    return next((each for each in records if each.successor == successor), None)


def _given(successor: str) -> str:
    return f"Your subscription may be taken over by {successor}, who has its release."


def _no_mid(mid_id: str) -> RefusalError:
    return RefusalError(
        RefusalCode.MID_UNKNOWN,
        subject=f"MID {mid_id}",
        reason="no MID of this operator with this id is there",
    )
