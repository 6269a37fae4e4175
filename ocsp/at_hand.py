"""Answers that can be given without work, by the very octets of the request.

The one rule: an answer at hand is given only while the status that it tells stands in the store unchanged. Each rests
on the standing of its certificate (reason, time, version), read *before* it was signed; when the store has seen any
change since, the standing is read again, by the store's index, before the answer is given once more.

Two tiers
    1 here, by the octets of the whole request: no decoding, no question to the store while nothing changes
    2 `signed_answers`, by what an answer says: several spellings of a request, and requests for several
      certificates, share one signature
Both are bounded, and an answer stays in them for a tenth of its life. Requests with a nonce, and certificates that
were never issued, are in the first tier never: nobody can fill it with numbers that he made up.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from ocsp.delegates import LIFE_LEFT_MIN, DelegateDirectory
from ocsp.responder import AnswerPolicy
from ocsp.responses import Answer
from ocsp.signed_answers import young_until
from standards.pki.ocsp import OcspRequest, ResponseStatus
from standards.pki.ocsp_plain import read_plain_request

ANSWERS_MAX = 32_768
Headers = list[tuple[str, str]]


class StandingStore(Protocol):
    """What tells whether a status has changed."""

    def as_of(self) -> datetime | None:
        """When the store was last level with the CA's feed, None if never."""

    def changes_seen(self) -> int:
        """A number that grows whenever statuses may have changed."""

    def standing(self, issuer: str, serial: int) -> tuple[object, ...] | None:
        """How the certificate stands: equal until its status changes, None where it was not issued."""


class Sign(Protocol):
    """The responder with its store, delegates and policy at hand."""

    def __call__(self, request: bytes | OcspRequest, *, now: datetime) -> Answer:
        """Answer anything; never raises."""


class Kept:
    """An answer, what it rests on, and its HTTP header fields as of the last second in which it was given."""

    __slots__ = (
        "answer",
        "ca_id",
        "headers",
        "headers_second",
        "seen",
        "serial",
        "since",
        "standing",
        "until",
    )

    def __init__(self, answer: Answer) -> None:
        """An answer for one client, that rests on nothing and is not given again."""
        self.answer = answer
        self.ca_id = ""
        self.serial = 0
        self.standing: tuple[object, ...] | None = None
        self.seen = -1
        self.since: datetime | None = None
        self.until: datetime | None = None
        self.headers: Headers = []
        self.headers_second = -1


class AnswersAtHand:
    """The first tier; for one thread at a time to `find`, `make` may run in others."""

    def __init__(
        self,
        sign: Sign,
        store: StandingStore,
        *,
        directory: Callable[[], DelegateDirectory],
        policy: AnswerPolicy,
        revalidate: bool = True,
        answers_max: int = ANSWERS_MAX,
    ) -> None:
        """Keep at most `answers_max`; those that were signed first go first. `directory` gives the present one.

        Without `revalidate`, for a store that is slow to ask, any change in it ends all that is at hand.
        """
        self._sign = sign
        self._store = store
        self._directory = directory
        self._known = directory()
        self._policy = policy
        self._revalidate = revalidate
        self._max = answers_max
        self._kept: dict[str | bytes, Kept] = {}
        self._changing = threading.Lock()

    def find(self, wire: str | bytes, *, now: datetime) -> Kept | None:
        """The answer to the request that came as the path or body `wire`, None where one has to be made."""
        directory = self._directory()
        if directory is not self._known:  # other delegates sign from now on
            self._known = directory
            self._kept = {}
        kept = self._kept.get(wire)
        if kept is None:
            return None
        if self._holds(kept, now=now):
            return kept
        with self._changing:
            self._kept.pop(wire, None)
        return None

    def make(self, request: bytes, *, wire: str | bytes, now: datetime) -> Kept:
        """Answer `request`, and keep the answer where it can be given again to who asks by the same `wire`."""
        asked = read_plain_request(request)
        if asked is None or asked.nonce is not None:
            return Kept(self._sign(asked or request, now=now))
        directory = self._directory()
        issuer = directory.find(asked.cert_ids[0])
        if issuer is None or issuer.delegate is None:
            return Kept(self._sign(asked, now=now))
        # the number before the standing, the standing before the answer: a change in between is noticed later
        seen, as_of = self._store.changes_seen(), self._store.as_of()
        standing = self._store.standing(issuer.ca_id, asked.cert_ids[0].serial)
        kept = Kept(self._sign(asked, now=now))
        fresh = young_until(kept.answer)
        if standing is None or as_of is None or fresh is None or not _is_authoritative(kept.answer):
            return kept
        kept.ca_id, kept.serial = issuer.ca_id, asked.cert_ids[0].serial
        kept.seen, kept.standing = seen, standing
        dying = issuer.delegate.certificate.not_valid_after_utc - LIFE_LEFT_MIN
        kept.until = min(fresh, as_of + self._policy.feed_age_max, dying)
        kept.since = kept.answer.this_update
        with self._changing:
            if directory is self._known:
                self._kept.pop(wire, None)
                self._kept[wire] = kept
                if len(self._kept) > self._max:
                    del self._kept[next(iter(self._kept))]
        return kept

    def _holds(self, kept: Kept, *, now: datetime) -> bool:
        if kept.until is None or kept.since is None or not kept.since <= now <= kept.until:
            return False
        seen = self._store.changes_seen()
        if kept.seen != seen:
            if not self._revalidate:
                return False
            if self._store.standing(kept.ca_id, kept.serial) != kept.standing:
                return False
            kept.seen = seen
        return True


def _is_authoritative(answer: Answer) -> bool:
    return answer.status is ResponseStatus.SUCCESSFUL and not answer.nonce
