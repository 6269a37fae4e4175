"""What time it is, as far as a TRE can know: PVAs sign it, the TPM clock carries it on.

A TRE has no clock to trust. Every verified challenge tells a time at which a PVA was at work. The rule: what one
PVA alone says can hold back nobody else for longer than a bound.

Order in time is kept per PVA: its challenges never go back behind its own newest one. At most PVAS_MAX are
remembered. The one heard longest ago makes room, and its issue time is the floor for those not remembered, so that
nothing answered can be answered again by being forgotten.

``At least this late`` is one for all, since it guards every end of validity. In one boot the TPM clock tells how
long ago the last challenge was; a reset ends that, as the TPM does not say for how long the machine was off. One
PVA alone leads the TPM clock by STEP_MAX in a boot and, once in that boot, leaps by LEAP_MAX; what is later than
that has to be signed by a second PVA too. So two PVAs never say a time later than ``at least``, at most one does.

The TPM clock may be wrong: TPM 2.0 Library Part 1 ("Timing Components") wants it accurate to 15 %, and its rate can
be adjusted on top of that, so of elapsed time 100 / 125 is believed to have passed, and 100 / 85 may have passed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from m2me_agent.tre.errors import ChallengeError
from standards.tpm2.structures import ClockInfo

CLOCK_FAST_PERCENT = 125
CLOCK_SLOW_PERCENT = 85
LIFE_MAX = timedelta(minutes=10)
STEP_MAX = timedelta(hours=24)
LEAP_MAX = timedelta(days=30)
PVAS_MAX = 8
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)  # the first that a record can hold
_LATEST = datetime.max.replace(tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a verified challenge says about time: who signed it (id of the OperatorRole), and its life."""

    pva: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Issue time of the newest challenge of one PVA that was answered."""

    pva: str
    issued_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PvaTime:
    """What PVAs have told so far, and the TPM clock when the last one did.

    Attributes:
        at_least: what the time was at least when the clock stood at ``clock_ms``.
        alone_max: how far one PVA alone could have raised ``at_least`` at that moment without its leap.
        leapt: whether the leap of this boot was taken.
        clock_ms: TPM clock at that moment.
        reset_count: boot that ``clock_ms`` belongs to.
        restart_count: how often the TPM had resumed in that boot; its clock stood still before each.
        heard: PVAs that are remembered, the one heard longest ago first.
        floor: no challenge of any other PVA may be older; None before one was forgotten.
    """

    at_least: datetime
    alone_max: datetime
    leapt: bool
    clock_ms: int
    reset_count: int
    restart_count: int
    heard: tuple[Heard, ...]
    floor: datetime | None

    def carried_to(self, clock: ClockInfo) -> datetime:
        """What the time is at least, now that the TPM clock stands at ``clock``."""
        if clock.reset_count != self.reset_count or clock.clock < self.clock_ms:
            return self.at_least
        return _after(self.at_least, (clock.clock - self.clock_ms) * 100 // CLOCK_FAST_PERCENT)

    def newest_of(self, pva: str) -> datetime | None:
        """Before which no challenge of this PVA may be issued; None: nothing is known."""
        return next((each.issued_at for each in self.heard if each.pva == pva), self.floor)

    def alone_carried_to(self, clock: ClockInfo) -> datetime:
        """How far one PVA alone may raise ``at_least`` now, without the leap."""
        if self.is_of_other_boot(clock):
            return _after(self.carried_to(clock), STEP_MAX // _MILLISECOND)
        elapsed_ms = max(0, clock.clock - self.clock_ms)
        return _after(self.alone_max, elapsed_ms * 100 // CLOCK_SLOW_PERCENT)

    def is_of_other_boot(self, clock: ClockInfo) -> bool:
        """Whether power may have been off since: time passed that the clock did not count."""
        return (clock.reset_count, clock.restart_count) != (self.reset_count, self.restart_count)


def judge_issue_time(told: Told, *, known: PvaTime | None, clock: ClockInfo, begun_at: datetime) -> PvaTime:
    """The time as it is known after a challenge; not yet remembered.

    Args:
        told: signer and times of the challenge.
        known: what earlier challenges left; None before the first.
        clock: the TPM clock now.
        begun_at: beginning of this device's PfC, from which the first challenge may step and leap.

    NOT checked here: that the signer's certificate was valid at the issue time (see anchors.verify_challenge).

    Raises:
        ChallengeError: older than one of its PVA that was answered, expired, or without a life of at most LIFE_MAX.
    """
    _check_life(told)
    before = _before_the_first(told, clock=clock, begun_at=begun_at) if known is None else known
    newest = before.newest_of(told.pva)
    if newest is not None and told.issued_at < newest:
        raise _refused(
            f"was issued at {told.issued_at.isoformat()}, before one of {newest.isoformat()} that "
            "this TRE has answered: time may not run backwards",
        )
    carried = before.carried_to(clock)
    if told.expires_at <= carried:
        raise _refused(f"expired at {told.expires_at.isoformat()}; it is {carried.isoformat()} or later")
    return _after_challenge(told, before=before, clock=clock)


def _after_challenge(told: Told, *, before: PvaTime, clock: ClockInfo) -> PvaTime:
    others = tuple(each for each in before.heard if each.pva != told.pva)
    heard = (*others, Heard(pva=told.pva, issued_at=told.issued_at))
    carried, alone_max = before.carried_to(clock), before.alone_carried_to(clock)
    at_least = max(carried, min(told.issued_at, alone_max), _said_by_two(heard, otherwise=carried))
    leapt = before.leapt and not before.is_of_other_boot(clock)
    if told.issued_at > max(at_least, alone_max) and not leapt:
        leapt = True
        at_least = max(at_least, min(told.issued_at, _after(carried, LEAP_MAX // _MILLISECOND)))
    kept, floor = _make_room(heard, at_least=at_least, floor=before.floor)
    return PvaTime(
        at_least=at_least,
        alone_max=max(alone_max, at_least),
        leapt=leapt,
        clock_ms=clock.clock,
        reset_count=clock.reset_count,
        restart_count=clock.restart_count,
        heard=kept,
        floor=floor,
    )


def _before_the_first(told: Told, *, clock: ClockInfo, begun_at: datetime) -> PvaTime:
    # A PfC that begins later than a PVA's clock is the CA's mistake or skew: it makes nothing expire.
    start = min(max(begun_at, _EARLIEST), told.issued_at)
    return PvaTime(
        at_least=start,
        alone_max=_after(start, STEP_MAX // _MILLISECOND),
        leapt=False,
        clock_ms=clock.clock,
        reset_count=clock.reset_count,
        restart_count=clock.restart_count,
        heard=(),
        floor=None,
    )


def _said_by_two(heard: Sequence[Heard], *, otherwise: datetime) -> datetime:
    """The latest time that two PVAs have signed or passed."""
    latest = sorted((each.issued_at for each in heard), reverse=True)
    return latest[1] if len(latest) > 1 else otherwise


def _make_room(
    heard: tuple[Heard, ...], *, at_least: datetime, floor: datetime | None
) -> tuple[tuple[Heard, ...], datetime | None]:
    """Forget one PVA where they are too many: the one heard longest ago, but never one that is ahead of time.

    The floor holds for everybody, so that it may not come from what one PVA alone has said.
    """
    if len(heard) <= PVAS_MAX:
        return heard, floor
    forgotten = min(heard[:-1], key=lambda each: each.issued_at > at_least)  # the first of the least
    kept = tuple(each for each in heard if each is not forgotten)
    return kept, forgotten.issued_at if floor is None else max(floor, forgotten.issued_at)


def _check_life(told: Told) -> None:
    life = told.expires_at - told.issued_at
    if life <= timedelta(0):
        raise _refused(
            f"expires at {told.expires_at.isoformat()}, not after its issue {told.issued_at.isoformat()}"
        )
    if life > LIFE_MAX:
        raise _refused(f"expected a life of at most {LIFE_MAX}, got {life}")


def _after(moment: datetime, elapsed_ms: int) -> datetime:
    """So much later, but never later than a date can be."""
    left_ms = (_LATEST - moment) // _MILLISECOND
    return moment + min(elapsed_ms, left_ms) * _MILLISECOND


def _refused(reason: str) -> ChallengeError:
    return ChallengeError(
        subject="challenge time", reason=reason, remedy="fetch a new challenge from the PVA"
    )
