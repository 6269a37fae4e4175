"""Sequence numbers of AKA: SQN = SEQ || IND, how an AuC makes them, which a USIM takes (TS 33.102, annex C).

Rule: a USIM takes each SQN at most once. It remembers the highest SEQ for each of the 32 values of IND, so vectors
that are used out of order, or in two networks at once, are not refused for that (C.1.2, C.2.2). An AuC counts without
a clock (C.1.1.2, profile 2), gives one IND to a batch (C.3.4), and goes back for a USIM alone that has been left behind. The optional age limit L of C.2.2
is not used.
"""

from dataclasses import dataclass, replace
from typing import Final

from standards.aka.errors import SequenceError, SizeError
from standards.aka.functions import SQN_SIZE

IND_BITS: Final = 5
IND_COUNT: Final = 1 << IND_BITS
SEQ_MAX: Final = (1 << (8 * SQN_SIZE - IND_BITS)) - 1
SQN_MAX: Final = (1 << (8 * SQN_SIZE)) - 1
DELTA: Final = 1 << 28
"""How far ahead a SEQ may lie: nobody can use up a USIM's numbers with one vector (C.2.1, C.3)."""


def sqn_of(*, seq: int, ind: int) -> int:
    """SEQ || IND. Raises SizeError outside 43 and 5 bits."""
    if not (0 <= seq <= SEQ_MAX and 0 <= ind < IND_COUNT):
        raise SizeError("SQN", expected=f"SEQ up to {SEQ_MAX}, IND below {IND_COUNT}", got="another")
    return seq << IND_BITS | ind


def parts_of(sqn: int) -> tuple[int, int]:
    """(SEQ, IND) of an SQN. Raises SizeError outside 48 bits."""
    if not 0 <= sqn <= SQN_MAX:
        raise SizeError("SQN", expected="48 bits", got="another")
    return sqn >> IND_BITS, sqn % IND_COUNT


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeSequence:
    """Where an AuC stands for one subscriber: SEQ and IND that it used last."""

    seq: int = 0
    ind: int = 0

    def batch(self, count: int) -> tuple[int, ...]:
        """The next `count` SQNs, in order, with one IND (C.3.4); `after` is where the AuC stands then.

        Raises SequenceError when the numbers are used up: the subscriber needs a new key.
        """
        following = self.after(count)
        return tuple(sqn_of(seq=self.seq + 1 + each, ind=following.ind) for each in range(count))

    def after(self, count: int) -> "HomeSequence":
        """Where the AuC stands after a batch of `count`. Raises SequenceError."""
        if self.seq + count > SEQ_MAX:
            raise SequenceError("used up: the subscriber needs a new key")
        return HomeSequence(seq=self.seq + count, ind=(self.ind + 1) % IND_COUNT)

    def resynchronised(self, sqn_ms: int) -> "HomeSequence":
        """Where the AuC goes on after a verified AUTS with the USIM's SQN (6.3.5).

        Forward to it; back to it only where the USIM would take nothing that follows, for lying too far ahead:
        otherwise whoever has vectors made without end would have locked the subscriber out for ever.
        """
        seq = parts_of(sqn_ms)[0]
        return replace(self, seq=seq if self.seq >= seq + DELTA else max(self.seq, seq))


@dataclass(frozen=True, slots=True, kw_only=True)
class UsimSequence:
    """What a USIM remembers: the highest SEQ that it took for each IND, 32 of them (C.2.1). SizeError."""

    highest: tuple[int, ...] = (0,) * IND_COUNT

    def __post_init__(self) -> None:
        if len(self.highest) != IND_COUNT or not all(0 <= seq <= SEQ_MAX for seq in self.highest):
            raise SizeError("memory of SEQ", expected=f"{IND_COUNT} numbers of 43 bits", got="another")

    @property
    def sqn_ms(self) -> int:
        """The highest SQN ever taken: what AUTS tells."""
        seq = max(self.highest)
        return sqn_of(seq=seq, ind=self.highest.index(seq))

    def accept(self, sqn: int) -> "UsimSequence":
        """What to remember from now on. Raises SequenceError for an SQN that is not taken (C.2.2).

        The caller stores what comes back before it answers, or a power cut takes the same vector twice.
        """
        seq, ind = parts_of(sqn)
        if seq <= self.highest[ind]:
            raise SequenceError("was used before")
        if seq - max(self.highest) > DELTA:
            raise SequenceError("lies too far ahead")
        return UsimSequence(highest=(*self.highest[:ind], seq, *self.highest[ind + 1 :]))
