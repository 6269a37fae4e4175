"""The guard before every signature: what past exchanges allow, remembered before the next one signs."""

from dataclasses import replace
from datetime import datetime

from m2me_agent.tre.anchors import SignedChallenge
from m2me_agent.tre.pva_time import Told, judge_issue_time
from m2me_agent.tre.rate_limit import RatePolicy, spend
from m2me_agent.tre.state import TreState
from standards.tpm2.structures import ClockInfo


class ExchangeGuard:
    """Time and allowance, durable: a crash after a signature cannot give either back."""

    def __init__(self, state: TreState, *, policy: RatePolicy) -> None:
        self._state = state
        self._policy = policy

    def known_time(self, *, clock: ClockInfo) -> datetime | None:
        """What the time is at least; None before any PVA has told it."""
        known = self._state.exchanges().pva_time
        return None if known is None else known.carried_to(clock)

    def spend(self, *, clock: ClockInfo) -> None:
        """Take one exchange out of the allowance.

        Raises:
            RateLimitError: none is left.
        """
        past = self._state.exchanges()
        allowance = spend(past.allowance, policy=self._policy, clock=clock)
        self._state.remember_exchanges(replace(past, allowance=allowance))

    def admit(self, signed: SignedChallenge, *, clock: ClockInfo, begun_at: datetime) -> None:
        """Let a verified challenge tell the time, and take one exchange out of the allowance.

        `begun_at`: beginning of the PfC, what a TRE knows about time before any PVA has told it.

        Raises:
            ChallengeError: it is older than one of its PVA that was answered, has expired, or lives too long.
            RateLimitError: no exchange is left.
        """
        past = self._state.exchanges()
        challenge = signed.challenge
        told = Told(pva=signed.pva, issued_at=challenge.issued_at, expires_at=challenge.expires_at)
        pva_time = judge_issue_time(told, known=past.pva_time, clock=clock, begun_at=begun_at)
        allowance = spend(past.allowance, policy=self._policy, clock=clock)
        self._state.remember_exchanges(
            replace(past, pva_time=pva_time, allowance=allowance, pcr_selections=challenge.pcr_selections)
        )
