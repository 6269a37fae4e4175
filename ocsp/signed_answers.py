"""Answers that were signed a moment ago, for those who ask the same again (RFC 9919 section 6).

The one rule: an answer is given again only where one signed now would say the same of every certificate, and
only in the first tenth of its life. So a revocation is never heard later for it, and caches can be told that
what they hold has not changed (L10), which no two signatures over the same status would allow.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from ocsp.responses import Answer
from standards.pki.crl import Revocation
from standards.pki.ocsp import PreferredSignature

ANSWERS_MAX = 32_768
_PART = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """What an answer says, its times apart, and who signs it how: of two with the same, one is enough."""

    singles: tuple[tuple[bytes, bool, Revocation | None], ...]
    delegate: x509.Certificate
    preferred: tuple[PreferredSignature, ...]
    extended_revoke: bool


class SignedAnswers:
    """The newest answers by what they say; safe for several threads."""

    def __init__(self, *, answers_max: int = ANSWERS_MAX) -> None:
        """Keep at most `answers_max`; those that were not asked for the longest go first."""
        self._max = answers_max
        self._lock = threading.Lock()
        self._kept: OrderedDict[Saying, Answer] = OrderedDict()

    def find(self, said: Saying, *, now: datetime) -> Answer | None:
        """The answer that says `said`, None where there is none that is young enough at `now`."""
        with self._lock:
            found = self._kept.get(said)
            if found is None or not _young(found, now=now):
                return None
            self._kept.move_to_end(said)
            return found

    def keep(self, said: Saying, answer: Answer) -> None:
        """Remember an answer in the place of an older one."""
        with self._lock:
            self._kept[said] = answer
            self._kept.move_to_end(said)
            if len(self._kept) > self._max:
                self._kept.popitem(last=False)


def young_until(answer: Answer) -> datetime | None:
    """Until when an answer may be given again, None where it has no life at all."""
    if answer.this_update is None or answer.next_update is None:
        return None
    return answer.this_update + (answer.next_update - answer.this_update) / _PART


def _young(answer: Answer, *, now: datetime) -> bool:
    until = young_until(answer)
    return until is not None and answer.this_update is not None and answer.this_update <= now <= until
