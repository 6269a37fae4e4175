"""Authentication vectors for visited networks (R85, R87, R89).

Rule: a network gets vectors for itself only: its tenant is the serving network. Sequence numbers are taken in one
statement of the store, so no two vectors of a subscriber share one, whoever asks at the same time. A RAND is
remembered, not what was derived from it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from edge.process import RandomBytes
from operators.icf.refusals import RefusalCode, refuse
from operators.icf.subscribers import BearerTerms, Subscriber
from standards.aka.errors import AkaError
from standards.aka.functions import RAND_SIZE
from standards.aka.sequence import HomeSequence
from standards.aka.vectors import AuthenticationVector, make_vector, verify_auts


@dataclass(frozen=True, slots=True, kw_only=True)
class Resynchronisation:
    """The RAND that a USIM refused (16 bytes), and its AUTS (14 bytes)."""

    rand: bytes
    auts: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorBatch:
    """Vectors to be used in this order, and the terms of the bearer that they open."""

    vectors: tuple[AuthenticationVector, ...]
    terms: BearerTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedVector:
    """A RAND that was given to a network; `attached_until` once it has opened a bearer."""

    rand: bytes
    pcid: str
    serving_network: str
    issued_at: datetime
    expires_at: datetime
    attached_until: datetime | None = None


class VectorStore(Protocol):
    """What issuing vectors needs of the store."""

    def subscriber(self, pcid: str) -> Subscriber | None:
        """The subscriber of a PCID."""

    def issued(self, rand: bytes) -> IssuedVector | None:
        """The issued vector with this RAND."""

    def take_numbers(
        self, issued: tuple[IssuedVector, ...], *, sqn_ms: int | None, by: str, at: datetime
    ) -> HomeSequence | None:
        """Advance the subscriber's sequence by as many as there are RANDs, past `sqn_ms` if given; where it stood.

        Numbers, RANDs and audit leaf in one transaction. None when the numbers are used up.
        """


class VectorDesk:
    """Issues vectors."""

    def __init__(
        self, store: VectorStore, *, random_bytes: RandomBytes, batch: int, vector_life: timedelta
    ) -> None:
        """Make `batch` vectors at a time; each opens a bearer within `vector_life` or never."""
        self._store = store
        self._random_bytes = random_bytes
        self._batch = batch
        self._vector_life = vector_life

    def issue(
        self,
        pcid: str,
        *,
        network: str,
        resynchronisation: Resynchronisation | None,
        caller: str,
        at: datetime,
    ) -> VectorBatch:
        """Fresh vectors of a PCID for the caller's own `network`. Raises RefusedError."""
        # 1 the subscriber
        subscriber = self._store.subscriber(pcid)
        if subscriber is None:
            raise refuse(RefusalCode.UNKNOWN_SUBSCRIBER, subject="PCID", reason="no subscriber has this PCID")
        # 2 where its USIM stands, if it said so
        sqn_ms = None
        if resynchronisation is not None:
            sqn_ms = self._verified_sqn(subscriber, resynchronisation, network=network, at=at)
        # 3 numbers, in one statement
        rands = tuple(self._random_bytes(RAND_SIZE) for _ in range(self._batch))
        issued = tuple(
            IssuedVector(
                rand=rand, pcid=pcid, serving_network=network, issued_at=at, expires_at=at + self._vector_life
            )
            for rand in rands
        )
        stood = self._store.take_numbers(issued, sqn_ms=sqn_ms, by=caller, at=at)
        if stood is None:
            raise refuse(
                RefusalCode.SEQUENCE_USED_UP, subject="PCID", reason="its sequence numbers are used up"
            )
        # 4 vectors
        vectors = tuple(
            make_vector(subscriber.key, rand=rand, sqn=sqn, amf=subscriber.amf)
            for rand, sqn in zip(rands, stood.batch(self._batch), strict=True)
        )
        return VectorBatch(vectors=vectors, terms=subscriber.terms)

    def _verified_sqn(
        self, subscriber: Subscriber, told: Resynchronisation, *, network: str, at: datetime
    ) -> int:
        issued = self._store.issued(told.rand)
        if not is_good(issued, pcid=subscriber.pcid, network=network, at=at):
            raise refuse(
                RefusalCode.RAND_NOT_ISSUED,
                subject="resynchronisation",
                reason="no vector with this RAND was given to this network for this PCID lately",
            )
        try:
            return verify_auts(subscriber.key, rand=told.rand, auts=told.auts)
        except AkaError:
            raise refuse(
                RefusalCode.AUTS_INVALID, subject="AUTS", reason="the subscriber's USIM did not make it"
            ) from None


def is_good(issued: IssuedVector | None, *, pcid: str, network: str, at: datetime) -> bool:
    """Whether a RAND was given to this network for this PCID, and is in time."""
    return (
        issued is not None
        and (issued.pcid, issued.serving_network) == (pcid, network)
        and at < issued.expires_at
    )


def check_network(serving_network: str, *, tenant: str) -> str:
    """The serving network, if it is the caller's own. Raises RefusedError (R87)."""
    if serving_network != tenant:
        raise refuse(
            RefusalCode.FOREIGN_NETWORK,
            subject="serving_network",
            reason="vectors are given to a network for itself only",
        )
    return serving_network
