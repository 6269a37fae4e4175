"""Sequence numbers of AKA across restarts: remembered in blocks, so that not every authentication is a write.

The rule: what is stored is never behind what was accepted. After a restart every number below the block's end
counts as used; the network, one resynchronisation later, goes on above it. A number is accepted at most once.
Source: TS 33.102, C.2.
"""

from m2me_agent.tre.errors import StateError
from m2me_agent.tre.state import Storage
from m2me_agent.tre.stored_rows import not_understood
from messages.encoding import decode_fields, encode_deterministic
from messages.errors import MessageError
from standards.aka.sequence import IND_COUNT, SEQ_MAX, UsimSequence

BLOCK = 32
"""Numbers reserved by one write."""

_RECORD = "sequence-numbers"
_RECORD_BYTES_MAX = 1 << 16
"""What is read back at most; so no more is written, or one operator's many identities would end everybody's."""


class SequenceNumbers:
    """By subject (the PCID, or an application of a MID): what was taken, and what is reserved."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._taken: dict[str, UsimSequence] = {}
        self._reserved: dict[str, int] | None = None

    def of(self, subject: str) -> UsimSequence:
        """What a subject has taken, at least. Raises StateError."""
        if subject not in self._taken:
            reserved = self._load().get(subject, 0)
            self._taken[subject] = UsimSequence(highest=(reserved,) * IND_COUNT)
        return self._taken[subject]

    def remember(self, subject: str, sequence: UsimSequence) -> None:
        """Keep what was accepted; durable, as far as its block goes, before the answer is given. Raises StateError."""
        reserved, highest = self._load(), max(sequence.highest)
        if highest > reserved.get(subject, 0):
            grown = {**reserved, subject: min(highest + BLOCK, SEQ_MAX)}
            content = encode_deterministic(grown)
            if len(content) > _RECORD_BYTES_MAX:
                raise _full(subject)
            self._storage.write(_RECORD, content)
            self._reserved = grown
        self._taken[subject] = sequence

    def _load(self) -> dict[str, int]:
        if self._reserved is None:
            content = self._storage.read(_RECORD)
            self._reserved = {} if content is None else _decode(content)
        return self._reserved


def _decode(content: bytes) -> dict[str, int]:
    try:
        fields = decode_fields(content, what=_RECORD, bytes_max=_RECORD_BYTES_MAX)
        return {str(subject): fields.integer(subject, high=SEQ_MAX) for subject in fields.present()}
    except MessageError as error:
        raise not_understood(_RECORD, error) from error


def _full(subject: str) -> StateError:
    return StateError(
        subject=subject,
        reason=f"its sequence number does not fit beside the others in {_RECORD_BYTES_MAX} bytes",
        remedy="nothing was answered; this device holds no more identities",
    )
