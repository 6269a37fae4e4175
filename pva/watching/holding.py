"""When results about a platform's state lead to a hold of its credential, and when to the end of one. Pure (D6).

Rule: what counts was proven: the challenge was redeemed, the quote verified under the credential's key, the logs
replayed. Only the findings of the table below count, by the PVA's baseline policy: they are about the *state*. Refused
tries, silence and malfunctions leave no result and so never count; what this PVA does not hold or recognise (no
manifest, a retired one, a model that is not permitted) is not the device's state, a state whose window has closed is
not yet a bad one; a warning accuses nobody.

    results of one credential since it last recovered, newest first, none older than `within`, at most `of`
      `contraindicated` of them or more  -> ask the CA to hold it, naming these
    a recovery result that finds nothing but the hold itself  -> tell the CA; what came before counts no more
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, unique
from itertools import islice, takewhile
from typing import Final

from messages.challenge import RECOVERY, VALIDATION
from pva.appraisal.findings import FindingCode

STATE_FINDINGS: Final = frozenset(
    {
        FindingCode.PCR_MISMATCH,
        FindingCode.EVENT_MISMATCH,
        FindingCode.CONFIGURATION_PCR_MISMATCH,
        FindingCode.BOOT_LOADER_MISMATCH,
        FindingCode.KERNEL_MISMATCH,
        FindingCode.INITRD_MISMATCH,
        FindingCode.COMMAND_LINE_MISMATCH,
        FindingCode.SECURE_BOOT_VARIABLE_MISSING,
        FindingCode.SECURE_BOOT_VARIABLE_REPEATED,
        FindingCode.SECURE_BOOT_VARIABLE_LATE,
        FindingCode.SECURE_BOOT_SEPARATOR_WRONG,
        FindingCode.SECURE_BOOT_DATABASE_MALFORMED,
        FindingCode.SECURE_BOOT_AUTHORITY_UNKNOWN,
        FindingCode.TRE_IMAGE_MISMATCH,
        FindingCode.IMA_BOOT_AGGREGATE_MISMATCH,
        FindingCode.CLOCK_REGRESSION,
        FindingCode.STORAGE_KEY_CHANGED,
        FindingCode.GENERATION_COUNTER_REGRESSION,
    }
)
"""Findings that speak against a device: all that contraindicate, but for those about what this PVA recognises."""


RESULTS_MIN: Final = 2
"""One result alone holds nothing."""


@unique
class Act(StrEnum):
    """What a PVA asks of a CA."""

    HOLD = "hold"
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRule:
    """N of M within a time: `contraindicated` of the last `of` results that are not older than `within`."""

    contraindicated: int
    of: int
    within: timedelta

    def __post_init__(self) -> None:
        """Refuse a rule that one result fulfils, or none."""
        if not RESULTS_MIN <= self.contraindicated <= self.of:
            raise ValueError(
                f"expected {RESULTS_MIN} <= contraindicated <= of, got {self.contraindicated} of {self.of} results"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one recorded result says about the state; `against` by the table, `recovered` by a recovery result."""

    result_id: str
    purpose: str
    against: bool
    recovered: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What follows from the newest result: the act, and the results that it stands on, newest first."""

    act: Act
    results: tuple[str, ...]


def speaks_against(codes: Iterable[str]) -> bool:
    """Whether findings with these codes are about a bad state."""
    return not STATE_FINDINGS.isdisjoint(codes)


def shows_recovery(codes: Iterable[str], *, purpose: str) -> bool:
    """Whether a result with these findings shows that its device has recovered: nothing is found but the hold."""
    return purpose == RECOVERY and set(codes) == {FindingCode.CREDENTIAL_ON_HOLD}


def next_ask(outcomes: Sequence[Outcome], *, last: Act | None, rule: HoldRule, at: datetime) -> Ask | None:
    """What to ask of the CA after the newest of `outcomes` (newest first, one at least), or None.

    `last` is the last act that was asked about this credential: while that is a hold, no other one is asked.
    """
    newest = outcomes[0]
    if newest.recovered:
        return Ask(act=Act.RECOVERY, results=(newest.result_id,))
    if last is Act.HOLD or not newest.against or newest.purpose != VALIDATION:
        return None
    since = takewhile(lambda each: not each.recovered, outcomes)
    counted = islice(
        (each for each in since if each.purpose == VALIDATION and at - each.at <= rule.within), rule.of
    )
    against = tuple(each.result_id for each in counted if each.against)
    return Ask(act=Act.HOLD, results=against) if len(against) >= rule.contraindicated else None
