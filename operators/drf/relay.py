"""Use case: the registration operator carries an SHO's validation request to the PVA (R93).

Rule: the token is not read, only its size is looked at; the PVA scopes by its signer, so a relay can alter nothing. A
relay learns whether the platform passed; the result comes sealed for the SHO, and only the SHO that had the request
relayed sees it here.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from operators.drf.refusals import RefusalCode, RefusalError


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed:
    """A request that was handed in: the PVA's id for it, whose it is, and how long the PVA waits for its answer."""

    request_id: str
    sho: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayedAnswer:
    """What the PVA tells a relay: `outcome` pass or fail, `sealed` a JWE for the signer of the request."""

    request_id: str
    state: str
    outcome: str | None
    sealed: str | None


class RelayStore(Protocol):
    """What this use case needs of a store; each call is one transaction."""

    def add_relayed(self, relayed: Relayed, *, token_digest: bytes, at: datetime) -> None:
        """Keep whose a request is, with an audit leaf; the same again changes nothing.

        Raises RefusalError (NOT_FOUND): the request is another operator's.
        """

    def is_relayed_for(self, request_id: str, *, sho: str) -> bool:
        """Whether this SHO had this request relayed."""


class Verifiers(Protocol):
    """The PVAs that the SHOs work with, as a relay sees them. Both raise RefusalError."""

    def hand_in(self, sho: str, token: str) -> Relayed:
        """Hand in an SHO's request at its PVA; may be repeated."""

    def answer(self, sho: str, request_id: str) -> RelayedAnswer:
        """What came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayDesk:
    """The use case and what it works with."""

    store: RelayStore
    verifiers: Verifiers

    def relay(self, token: str, *, token_digest: bytes, sho: str, at: datetime) -> Relayed:
        """Carry a request of `sho` to its PVA. Raises RefusalError."""
        relayed = self.verifiers.hand_in(sho, token)
        self.store.add_relayed(relayed, token_digest=token_digest, at=at)
        return relayed

    def answer(self, request_id: str, *, sho: str) -> RelayedAnswer:
        """What came of a request that `sho` had relayed. Raises RefusalError."""
        if not self.store.is_relayed_for(request_id, sho=sho):
            raise RefusalError(
                RefusalCode.NOT_FOUND,
                subject="validation request",
                reason="the caller had none relayed with this id",
            )
        return self.verifiers.answer(sho, request_id)
