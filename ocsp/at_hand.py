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
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from ocsp.delegates import DelegateDirectory, Issuer
from ocsp.judgement import AnswerPolicy, StatusStore
from ocsp.responses import Answer
from ocsp.signed_answers import young_until
from ocsp.standings import Standing, StandingsAhead, StandingStore
from standards.pki.ocsp import OcspRequest, ResponseStatus
from standards.pki.ocsp_plain import read_plain_request

ANSWERS_MAX = 32_768
Headers = list[tuple[str, str]]


class Wanted(NamedTuple):
    """A request that has no answer at hand, and the path or body that it came as."""

    request: bytes
    wire: str | bytes


class AnswerAll(Protocol):
    """The responder with its delegates and policy at hand."""

    def __call__(
        self, requests: Sequence[bytes | OcspRequest], *, now: datetime, statuses: StatusStore
    ) -> list[Answer]:
        """Answer anything, in its order; never raises."""


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
        self.standing: Standing | None = None
        self.seen = -1
        self.since: datetime | None = None
        self.until: datetime | None = None
        self.headers: Headers = []
        self.headers_second = -1


class AnswersAtHand:
    """The first tier; for one thread at a time to `find`, `make` may run in others."""

    def __init__(
        self,
        answer_all: AnswerAll,
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
        self._answer_all = answer_all
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

    def make_all(self, wanted: Sequence[Wanted], *, now: datetime) -> list[Kept]:
        """Answer every request, in their order, after one question to the store for all of them.

        An answer that can be given again is kept for whoever asks by the same octets.
        """
        directory = self._directory()
        asked = [read_plain_request(each.request) for each in wanted]
        issuers = [None if each is None else directory.find(each.cert_ids[0]) for each in asked]
        ahead = StandingsAhead(
            self._store,
            [
                (issuer.ca_id, each.cert_ids[0].serial)
                for issuer, each in zip(issuers, asked, strict=True)
                if issuer is not None and each is not None
            ],
        )
        requests = [plain or each.request for plain, each in zip(asked, wanted, strict=True)]
        made = [Kept(each) for each in self._answer_all(requests, now=now, statuses=ahead)]
        for kept, each, plain, issuer in zip(made, wanted, asked, issuers, strict=True):
            if plain is None or plain.nonce is not None or issuer is None:
                continue
            if self._rest(kept, issuer, plain.cert_ids[0].serial, ahead):
                self._keep(kept, each.wire, directory)
        return made

    def _rest(self, kept: Kept, issuer: Issuer, serial: int, ahead: StandingsAhead) -> bool:
        """Note what an answer rests on; False where it cannot be given again."""
        standing, as_of, fresh = ahead.standing(issuer.ca_id, serial), ahead.as_of(), young_until(kept.answer)
        if standing is None or as_of is None or fresh is None or not _is_authoritative(kept.answer):
            return False
        if issuer.delegate is None:
            return False
        kept.ca_id, kept.serial = issuer.ca_id, serial
        kept.seen, kept.standing = ahead.seen, standing
        kept.until = min(fresh, as_of + self._policy.feed_age_max, issuer.delegate.signs_until)
        kept.since = kept.answer.this_update
        return True

    def _keep(self, kept: Kept, wire: str | bytes, directory: DelegateDirectory) -> None:
        """Have it at hand for who asks by the same `wire`, as long as the delegates of `directory` sign."""
        with self._changing:
            if directory is self._known:
                self._kept.pop(wire, None)
                self._kept[wire] = kept
                if len(self._kept) > self._max:
                    del self._kept[next(iter(self._kept))]

    def _holds(self, kept: Kept, *, now: datetime) -> bool:
        if kept.until is None or kept.since is None or not kept.since <= now <= kept.until:
            return False
        seen = self._store.changes_seen()
        if kept.seen != seen:
            if not self._revalidate:
                return False
            now_standing = self._store.standings(kept.ca_id, (kept.serial,))
            if now_standing.get(kept.serial) != kept.standing:
                return False
            kept.seen = seen
        return True


def _is_authoritative(answer: Answer) -> bool:
    return answer.status is ResponseStatus.SUCCESSFUL and not answer.nonce
