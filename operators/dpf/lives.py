"""Use case: a device that was provisioned here asks what the owner of its MID wants, and brings what its TRE said (R56-R57).

Rule: this DPF passes question, statement and answer on. What the TRE signed is for its owner, what the owner signed is for the
TRE; neither means anything to this DPF, and it can make up neither.
"""

from dataclasses import dataclass
from typing import Protocol

from operators.dpf.records import AuthorizationRecord
from operators.dpf.refusals import RefusalCode, RefusalError


@dataclass(frozen=True, slots=True, kw_only=True)
class StepQuestion:
    """What the device asks; nothing in it is proven. `statement` is what its TRE has said, None at the beginning."""

    device_id: str
    order_digest: bytes
    statement: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The owner's answer: what the TRE is to be asked next, and the signed token for it."""

    kind: str
    token: str | None


class LifeStore(Protocol):
    """What this use case needs of a store."""

    def newest_authorization(self, device_id: str, order_digest: bytes) -> AuthorizationRecord | None:
        """The newest authorisation for a device and an order."""


class Owners(Protocol):
    """The SHOs that this DPF delivers for."""

    def next_step(self, sho: str, question: StepQuestion) -> Step:
        """The SHO's answer. Raises RefusalError: it is silent, or says no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeDesk:
    """The use case and what it works with."""

    store: LifeStore
    owners: Owners

    def next_step(self, question: StepQuestion) -> Step:
        """The owner's answer, as it is. Raises RefusalError."""
        found = self.store.newest_authorization(question.device_id, question.order_digest)
        if found is None:
            raise RefusalError(
                RefusalCode.NOTHING_AUTHORIZED,
                subject=f"order {question.order_digest.hex()}",
                reason="no SHO has authorised anything here for this device and order",
            )
        return self.owners.next_step(found.sho, question)
