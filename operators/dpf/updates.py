"""Use case: a device that was provisioned here asks for its owner's approvals of the state after an update (R82).

Rule: this DPF passes a question on to the SHO of the order, and the SHO's signed answer back. It says neither yes nor no:
what the answer opens is between the SHO, its PVA and the TRE that gave out the nonce.
"""

from dataclasses import dataclass
from typing import Protocol

from operators.dpf.owners import Authorizations, owner_of


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateQuestion:
    """What the device asks; nothing in it is proven, and nothing needs to be."""

    device_id: str
    order_digest: bytes
    manifest_digest: bytes
    tre_nonce: bytes


class Owners(Protocol):
    """The SHOs that this DPF delivers for."""

    def update_approvals(self, sho: str, question: UpdateQuestion) -> str:
        """The SHO's signed approvals. Raises RefusalError: it is silent, or says no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateDesk:
    """The use case and what it works with."""

    store: Authorizations
    owners: Owners

    def approvals(self, question: UpdateQuestion) -> str:
        """The owner's signed answer, as it is. Raises RefusalError."""
        sho = owner_of(self.store, question.device_id, question.order_digest)
        return self.owners.update_approvals(sho, question)
