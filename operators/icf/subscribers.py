"""Subscribers of the ICF: what a CCIF hands over for one PCID, and what it opens (R89, R105, R107).

Rule: a subscriber's key is set once. The same hand-over again changes nothing but the terms of its bearers, so that a
CCIF may repeat it after any failure; another key under a known PCID is refused.
"""

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from operators.icf.refusals import RefusalCode, refuse
from standards.aka.milenage import MilenageKey
from standards.aka.sequence import HomeSequence


@dataclass(frozen=True, slots=True, kw_only=True)
class BearerTerms:
    """What a PCID may reach, for how long: `destinations` are host:port, `quota_bytes` both directions together."""

    apn: str
    destinations: tuple[str, ...]
    quota_bytes: int
    life_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriber:
    """One PCID with its key, its place in the sequence numbers and the terms of its bearers."""

    pcid: str
    key: MilenageKey = field(repr=False)
    amf: bytes
    terms: BearerTerms
    sequence: HomeSequence = field(default_factory=HomeSequence)


class SubscriberStore(Protocol):
    """What handing over needs of the store."""

    def subscriber(self, pcid: str) -> Subscriber | None:
        """The subscriber of a PCID."""

    def add_subscriber(self, subscriber: Subscriber, *, by: str, at: datetime) -> bool:
        """Store a new one with its audit leaf; False where the PCID is taken by now."""

    def change_terms(self, subscriber: Subscriber, *, by: str, at: datetime) -> None:
        """Replace AMF and terms of a stored one, with an audit leaf; its key and sequence stay."""


class SubscriberDesk:
    """Takes subscribers over."""

    def __init__(self, store: SubscriberStore) -> None:
        """Keep them in `store`."""
        self._store = store

    def take_over(self, subscriber: Subscriber, *, by: str, at: datetime) -> bool:
        """Store or confirm a subscriber; True when it is new. Raises RefusedError for another key."""
        if self._store.add_subscriber(subscriber, by=by, at=at):
            return True
        known = self._store.subscriber(subscriber.pcid)
        if known is None or not _same_key(known.key, subscriber.key):
            raise refuse(
                RefusalCode.SUBSCRIBER_CONFLICT,
                subject="PCID",
                reason="this PCID was handed over with another key",
            )
        if (known.amf, known.terms) != (subscriber.amf, subscriber.terms):
            self._store.change_terms(subscriber, by=by, at=at)
        return False


def _same_key(left: MilenageKey, right: MilenageKey) -> bool:
    return hmac.compare_digest(left.k + left.opc, right.k + right.opc)
