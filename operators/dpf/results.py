"""Use case: a PVA pushes a signed result; it is kept with the delivery that asked for it (step 10).

Rule: a result is believed for its signature under the operators' root, never for who brought it; it is judged by the
gate when the device comes for its grant, and here only proven, so that nobody can put a forged one in its place.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from operators.dpf.gate import Trust, recognised_result
from operators.dpf.refusals import RefusalCode


class ResultStore(Protocol):
    """What this use case needs of a store."""

    def record_fresh_result(self, nonce: bytes, token: str) -> None:
        """Keep an answer with the open delivery that asked on this nonce; others' answers are not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultDesk:
    """The use case and what it works with."""

    store: ResultStore
    trust: Trust

    def take(self, token: str, *, at: datetime) -> None:
        """Keep a result if this DPF asked for it. Raises RefusalError (RESULT_INVALID)."""
        result = recognised_result(token, RefusalCode.RESULT_INVALID, trust=self.trust, at=at)
        self.store.record_fresh_result(result.nonce, token)
