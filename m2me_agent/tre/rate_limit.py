"""How many signatures a flood of triggers can get out of a TRE (R70): a token bucket in TPM clock time.

The bucket is remembered on disk with the clock at which it was last looked at. Neither a restart of the
process nor a reset of the machine fills it: only powered time does.
"""

from dataclasses import dataclass

from m2me_agent.tre.errors import RateLimitError
from standards.tpm2.structures import ClockInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class RatePolicy:
    """``burst`` exchanges at once, then one in every ``interval_ms`` of TPM clock."""

    burst: int
    interval_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What is left: credit in milliseconds of waiting already served, and when that was counted."""

    credit_ms: int
    clock_ms: int


def spend(allowance: Allowance | None, *, policy: RatePolicy, clock: ClockInfo) -> Allowance:
    """What is left after one exchange, counted at ``clock``; not yet remembered.

    Raises:
        RateLimitError: nothing is left; the remedy names the wait.
    """
    full_ms = policy.burst * policy.interval_ms
    credit_ms = full_ms
    if allowance is not None:
        # After an unclean stop the clock may have gone back: no time has passed then.
        waited_ms = max(0, clock.clock - allowance.clock_ms)
        credit_ms = min(full_ms, allowance.credit_ms + waited_ms)
    if credit_ms < policy.interval_ms:
        wait_s = -(-(policy.interval_ms - credit_ms) // 1000)
        raise RateLimitError(
            subject="signatures of this TRE",
            reason=f"more than {policy.burst} exchanges at once, or one in {policy.interval_ms} ms",
            remedy=f"wait {wait_s} s of powered time and ask again",
        )
    return Allowance(credit_ms=credit_ms - policy.interval_ms, clock_ms=clock.clock)
