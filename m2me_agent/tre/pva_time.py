"""What time it is, as far as a TRE can know: the PVA signs it, the TPM clock carries it on.

A TRE has no clock to trust. Every verified challenge tells a time at which a PVA was at work; that time
never runs backwards. Between two challenges of one boot the TPM clock tells how long ago the last one was,
so ``at least this late`` is known without asking anybody. A reset ends that: the TPM does not say for how
long the machine was off.

The TPM clock may run fast: TPM 2.0 Library Part 1 ("Timing Components") wants it accurate to 15 %, and its
rate can be adjusted on top of that, so only elapsed * 100 / 125 is believed.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from m2me_agent.tre.errors import ChallengeError
from standards.tpm2.structures import ClockInfo

CLOCK_FAST_PERCENT = 125


@dataclass(frozen=True, slots=True, kw_only=True)
class PvaTime:
    """The last time that a PVA signed, and the TPM clock when it was learned.

    Attributes:
        issued_at: issue time of the newest challenge that was answered.
        at_least: what the time was at least when the clock stood at ``clock_ms``; never before issued_at.
        clock_ms: TPM clock at that moment.
        reset_count: boot that ``clock_ms`` belongs to.
    """

    issued_at: datetime
    at_least: datetime
    clock_ms: int
    reset_count: int

    def carried_to(self, clock: ClockInfo) -> datetime:
        """What the time is at least, now that the TPM clock stands at ``clock``."""
        if clock.reset_count != self.reset_count or clock.clock < self.clock_ms:
            return self.at_least
        elapsed_ms = (clock.clock - self.clock_ms) * 100 // CLOCK_FAST_PERCENT
        return self.at_least + timedelta(milliseconds=elapsed_ms)


def judge_issue_time(
    issued_at: datetime, expires_at: datetime, *, known: PvaTime | None, clock: ClockInfo
) -> PvaTime:
    """The time as it is known after a challenge with these times; not yet remembered.

    Raises:
        ChallengeError: the challenge is older than one that was answered, or has expired, or never lives.
    """
    if expires_at <= issued_at:
        raise _refused(f"expires at {expires_at.isoformat()}, not after its issue {issued_at.isoformat()}")
    at_least = issued_at
    if known is not None:
        if issued_at < known.issued_at:
            raise _refused(
                f"was issued at {issued_at.isoformat()}, before one of {known.issued_at.isoformat()} that "
                "this TRE has answered: time may not run backwards",
            )
        at_least = max(issued_at, known.carried_to(clock))
        if expires_at <= at_least:
            raise _refused(f"expired at {expires_at.isoformat()}; it is {at_least.isoformat()} or later")
    return PvaTime(
        issued_at=issued_at, at_least=at_least, clock_ms=clock.clock, reset_count=clock.reset_count
    )


def _refused(reason: str) -> ChallengeError:
    return ChallengeError(
        subject="challenge time", reason=reason, remedy="fetch a new challenge from the PVA"
    )
