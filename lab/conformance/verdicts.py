"""What is said about one item: met, not met, or not applicable, each with a reason for people."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from lab.conformance.subject import Subject


class Outcome(Enum):
    """In the order of the alarm."""

    MET = "pass"
    NOT_APPLICABLE = "n/a"
    NOT_MET = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Outcome of one item at one responder."""

    item: str
    outcome: Outcome
    reason: str


class NotMetError(Exception):
    """The responder does otherwise: how."""


class NotApplicableError(Exception):
    """The item cannot be judged here: why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A numbered check: `judge` returns what was seen where it is met, or raises one of the two errors."""

    name: str
    norm: str
    says: str
    judge: Callable[[Subject], str]


def demand(met: bool, otherwise: str) -> None:  # noqa: FBT001  # read as a sentence: demand(this, or that)
    """Raise NotMetError saying `otherwise` unless `met`."""
    if not met:
        raise NotMetError(otherwise)


def verdict(item: Item, subject: Subject) -> Verdict:
    """Judge one item; an answer that nobody can read is one that does not meet it."""
    try:
        return Verdict(item=item.name, outcome=Outcome.MET, reason=item.judge(subject))
    except NotApplicableError as error:
        return Verdict(item=item.name, outcome=Outcome.NOT_APPLICABLE, reason=str(error))
    except NotMetError as error:
        return Verdict(item=item.name, outcome=Outcome.NOT_MET, reason=str(error))
    except Exception as error:  # noqa: BLE001  # whatever a foreign responder sends is its answer, not our failure
        return Verdict(
            item=item.name, outcome=Outcome.NOT_MET, reason=f"no readable answer: {type(error).__name__}"
        )
