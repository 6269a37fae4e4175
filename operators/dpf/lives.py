"""Use case: a device that was provisioned here asks what the owner of its MID wants, and brings what its TRE said (R56-R57).

Rule: this DPF passes question, statement and answer on. What the TRE signed is for its owner, what the owner signed is for the
TRE; neither means anything to this DPF, and it can make up neither.
"""

from dataclasses import dataclass
from typing import Protocol

from operators.dpf.owners import Authorizations, owner_of


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


class Owners(Protocol):
    """The SHOs that this DPF delivers for."""

    def next_step(self, sho: str, question: StepQuestion) -> Step:
        """The SHO's answer. Raises RefusalError: it is silent, or says no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeDesk:
    """The use case and what it works with."""

    store: Authorizations
    owners: Owners

    def next_step(self, question: StepQuestion) -> Step:
        """The owner's answer, as it is. Raises RefusalError."""
        sho = owner_of(self.store, question.device_id, question.order_digest)
        return self.owners.next_step(sho, question)
