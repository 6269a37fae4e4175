"""What a responder tells of itself: what it answered, what waits to be signed, and whether it can go on.

The one rule: the way of an answer pays nothing for it. What is told is read from what the responder keeps anyway, when
somebody looks.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from edge.process import Clock
from edge.readiness import Check, Reason, validity_reasons
from ocsp.delegates import DelegateDirectory
from ocsp.live_queue import WAITING_MAX
from ocsp.store import SqlStatusStore

BEHIND = timedelta(seconds=10)
"""A reader asks several times a second: past this, something is in its way."""
FULL_SHARE = 0.8
_KINDS: Mapping[str, tuple[str, str]] = {
    "at_hand": ("successful", "at-hand"),
    "shed": ("try_later", "shed"),
    "refused": ("none", "refused"),
}
"""Words of `ocsp.web` that are no status of an answer that was made."""


class ResponderMetrics:
    """Read at each scrape."""

    def __init__(
        self,
        totals: Callable[[], Mapping[str, int]],
        *,
        waiting: Callable[[], int],
        store: SqlStatusStore,
        clock: Clock,
    ) -> None:
        """`totals` by the words of `ocsp.web`, `waiting` the length of the line of answers to be signed."""
        self._totals, self._waiting, self._store, self._clock = totals, waiting, store, clock

    def collect(self) -> Iterable[Metric]:
        """Answers, the line, and the age of what the store knows."""
        answers = CounterMetricFamily(
            "pva_ocsp_answers",
            "Answers by response status and by where they came from.",
            labels=["status", "cache"],
        )
        for kind, number in sorted(self._totals().items()):
            status, cache = _KINDS.get(kind, (kind.lower(), "made"))
            answers.add_metric([status, cache], number)
        yield answers
        yield GaugeMetricFamily("pva_signing_queue", "Answers that wait to be signed.", value=self._waiting())
        yield GaugeMetricFamily("pva_signing_queue_max", "So many may wait.", value=WAITING_MAX)
        as_of = self._store.as_of()
        if as_of is not None:
            yield GaugeMetricFamily(
                "pva_change_feed_age_seconds",
                "Since the store was last level with the CA's change feed.",
                value=(self._clock() - as_of).total_seconds(),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """So long before its end a delegate is named; so old the store may be before answers stop."""

    horizon: timedelta
    feed_age_max: timedelta


def responder_check(
    directory: Callable[[], DelegateDirectory],
    *,
    waiting: Callable[[], int],
    store: SqlStatusStore,
    limits: Limits,
    clock: Clock,
) -> Check:
    """Whether the responder can speak, for whom, and how long its store may still be relied on."""

    def check() -> Iterator[Reason]:
        yield from _delegates(directory(), horizon=limits.horizon, clock=clock)
        yield from _feed(store, clock=clock, age_max=limits.feed_age_max)
        if waiting() >= FULL_SHARE * WAITING_MAX:
            yield Reason(
                code="signing-queue-full",
                subject="answers to be signed",
                detail=f"{waiting()} of {WAITING_MAX} wait",
                remedy="add a responder; requests with nonces cost a signature each",
                bites=waiting() >= WAITING_MAX,
            )

    return check


def _delegates(directory: DelegateDirectory, *, horizon: timedelta, clock: Clock) -> Iterator[Reason]:
    if not directory.issuers:
        yield Reason(
            code="no-issuer",
            subject="delegates",
            detail="no issuing CA is known yet",
            remedy="see whether the CA is reachable, and whether it has an issuing CA: pva issuing-ca list",
        )
    for issuer in directory.issuers:
        subject = f"delegate of CA {issuer.ca_id}"
        if issuer.delegate is None:
            yield Reason(
                code="delegate-missing",
                subject=subject,
                detail="the CA has given none for this responder's key",
                remedy="put the digest of the responder's key into responder_keys of the CA",
                bites=all(each.delegate is None for each in directory.issuers),
            )
            continue
        certificate = issuer.delegate.certificate
        # one that is renewed at two thirds of its life is near its end only where the renewal fails
        life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        yield from validity_reasons(
            subject,
            certificate,
            at=clock(),
            horizon=min(horizon, life / 4),
            remedy="it should have been renewed: look for ca-away and delegation-refused in the log",
        )


def _feed(store: SqlStatusStore, *, clock: Clock, age_max: timedelta) -> Iterator[Reason]:
    as_of = store.as_of()
    if as_of is None:
        yield Reason(
            code="change-feed-unread",
            subject="change feed",
            detail="the CA's change feed was never read to its end",
            remedy="see whether the CA is reachable: feed-lost in the log says why not",
        )
        return
    age = clock() - as_of
    if age > BEHIND:
        yield Reason(
            code="change-feed-behind",
            subject="change feed",
            detail=f"the store was last level {age.total_seconds():.0f} s ago",
            remedy="see whether the CA is reachable: feed-lost in the log says why not",
            bites=age > age_max,
        )
