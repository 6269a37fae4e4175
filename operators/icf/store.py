"""The ICF's store on SQLAlchemy: satisfies the ports that the use cases declare.

Rule: one method, one transaction, with its audit leaf; keys are sealed under a key that is not in the database. The
memory of issued RANDs is bounded for each PCID, because anybody can claim one.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from edge.database import transaction
from edge.ledger_leaf import SALT_BYTES
from edge.process import RandomBytes
from edge.secret_store import SecretStore
from edge.serialization import repeated
from operators.icf import schema
from operators.icf.subscribers import BearerTerms, Subscriber
from operators.icf.vectors import IssuedVector
from standards.aka.milenage import KEY_SIZE, MilenageKey
from standards.aka.sequence import DELTA, IND_COUNT, SEQ_MAX, HomeSequence, parts_of

ISSUED_MAX = 64
"""RANDs remembered for one PCID; the oldest make room."""
_SUBSCRIBERS = schema.subscribers
_ISSUED = schema.issued_vectors


class Store:
    """Subscribers and the vectors issued for them."""

    def __init__(self, engine: sa.Engine, *, secrets: SecretStore, random_bytes: RandomBytes) -> None:
        """Work on an engine whose schema is migrated; `random_bytes` salts audit leaves."""
        self._engine = engine
        self._secrets = secrets
        self._random_bytes = random_bytes

    def subscriber(self, pcid: str) -> Subscriber | None:
        """See `operators.icf.subscribers.SubscriberStore`."""
        with transaction(self._engine, write=False) as connection:
            row = (
                connection.execute(sa.select(_SUBSCRIBERS).where(_SUBSCRIBERS.c.pcid == pcid))
                .mappings()
                .first()
            )
        if row is None:
            return None
        secret = self._secrets.open(row["sealed_key"], bound_to=_place(pcid))
        return Subscriber(
            pcid=pcid,
            key=MilenageKey(k=secret[:KEY_SIZE], opc=secret[KEY_SIZE:]),
            amf=row["amf"],
            terms=BearerTerms(
                apn=row["apn"],
                destinations=tuple(row["destinations"]),
                quota_bytes=row["quota_bytes"],
                life_s=row["life_s"],
            ),
            sequence=HomeSequence(seq=row["seq"], ind=row["ind"]),
        )

    @repeated
    def add_subscriber(self, subscriber: Subscriber, *, by: str, at: datetime) -> bool:
        """See `operators.icf.subscribers.SubscriberStore`."""
        sealed = self._secrets.seal(subscriber.key.k + subscriber.key.opc, bound_to=_place(subscriber.pcid))
        row = {
            "pcid": subscriber.pcid,
            "sealed_key": sealed,
            "seq": subscriber.sequence.seq,
            "ind": subscriber.sequence.ind,
            **_terms(subscriber),
            "handed_over_by": by,
            "handed_over_at": at,
        }
        try:
            with transaction(self._engine) as connection:
                connection.execute(sa.insert(_SUBSCRIBERS).values(**row))
                self._audit_terms(connection, "subscriber-added", subscriber, by=by, at=at)
        except IntegrityError:
            return False
        return True

    @repeated
    def change_terms(self, subscriber: Subscriber, *, by: str, at: datetime) -> None:
        """See `operators.icf.subscribers.SubscriberStore`."""
        with transaction(self._engine) as connection:
            connection.execute(
                sa.update(_SUBSCRIBERS)
                .where(_SUBSCRIBERS.c.pcid == subscriber.pcid)
                .values(**_terms(subscriber), handed_over_by=by, handed_over_at=at)
            )
            self._audit_terms(connection, "subscriber-changed", subscriber, by=by, at=at)

    def issued(self, rand: bytes) -> IssuedVector | None:
        """See `operators.icf.vectors.VectorStore`."""
        with transaction(self._engine, write=False) as connection:
            row = connection.execute(sa.select(_ISSUED).where(_ISSUED.c.rand == rand)).mappings().first()
        return None if row is None else IssuedVector(**row)

    @repeated
    def take_numbers(
        self, issued: tuple[IssuedVector, ...], *, sqn_ms: int | None, by: str, at: datetime
    ) -> HomeSequence | None:
        """See `operators.icf.vectors.VectorStore`."""
        pcid, count = issued[0].pcid, len(issued)
        with transaction(self._engine) as connection:
            moved = connection.execute(_advance(pcid, count=count, sqn_ms=sqn_ms)).first()
            if moved is None:
                return None
            _make_room(connection, pcid, count=count, at=at)
            connection.execute(sa.insert(_ISSUED), [_row_of(each) for each in issued])
            record = {
                "serving_network": issued[0].serving_network,
                "count": count,
                "resynchronised": int(sqn_ms is not None),
                "caller": by,
            }
            self._audit(connection, kind="vectors-issued", subject=pcid, record=record, at=at)
        return HomeSequence(seq=moved.seq - count, ind=(moved.ind - 1) % IND_COUNT)

    @repeated
    def attach(self, rand: bytes, *, until: datetime, by: str, at: datetime) -> bool:
        """See `operators.icf.attachments.AttachmentStore`."""
        with transaction(self._engine) as connection:
            used = connection.execute(
                sa.update(_ISSUED)
                .where(_ISSUED.c.rand == rand, _ISSUED.c.attached_until.is_(None))
                .values(attached_until=until)
                .returning(_ISSUED.c.pcid, _ISSUED.c.serving_network)
            ).first()
            if used is None:
                query = sa.select(_ISSUED.c.attached_until).where(_ISSUED.c.rand == rand)
                return bool(connection.scalar(query) == until)
            record = {
                "serving_network": used.serving_network,
                "until": f"{until:%Y-%m-%dT%H:%M:%SZ}",
                "caller": by,
            }
            self._audit(connection, kind="attached", subject=used.pcid, record=record, at=at)
        return True

    def _audit_terms(
        self, connection: sa.Connection, kind: str, subscriber: Subscriber, *, by: str, at: datetime
    ) -> None:
        terms = subscriber.terms
        record = {
            "apn": terms.apn,
            "destinations": list(terms.destinations),
            "quota_bytes": terms.quota_bytes,
            "life_s": terms.life_s,
            "caller": by,
        }
        self._audit(connection, kind=kind, subject=subscriber.pcid, record=record, at=at)

    def _audit(
        self, connection: sa.Connection, *, kind: str, subject: str, record: Mapping[str, Any], at: datetime
    ) -> None:
        salt = self._random_bytes(SALT_BYTES)
        schema.ledger.append(connection, kind=kind, subject=subject, record=record, at=at, salt=salt)


def _advance(pcid: str, *, count: int, sqn_ms: int | None) -> sa.sql.dml.ReturningUpdate[Any]:
    """The one statement that takes `count` numbers; `standards.aka.sequence.HomeSequence` says what it does."""
    # SEQ has 43 bits: the parameter's type says so, or PostgreSQL takes it for 32 bits
    told = sa.literal(0 if sqn_ms is None else parts_of(sqn_ms)[0], sa.BigInteger)
    stood = _SUBSCRIBERS.c.seq
    left_behind = sa.and_(sa.literal(sqn_ms is not None), stood - told >= sa.literal(DELTA, sa.BigInteger))
    seq = sa.case((stood < told, told), (left_behind, told), else_=stood) + count
    return (
        sa.update(_SUBSCRIBERS)
        .where(_SUBSCRIBERS.c.pcid == pcid, seq <= sa.literal(SEQ_MAX, sa.BigInteger))
        .values(seq=seq, ind=(_SUBSCRIBERS.c.ind + 1) % IND_COUNT)
        .returning(_SUBSCRIBERS.c.seq, _SUBSCRIBERS.c.ind)
    )


def _make_room(connection: sa.Connection, pcid: str, *, count: int, at: datetime) -> None:
    connection.execute(sa.delete(_ISSUED).where(_ISSUED.c.expires_at <= at))
    kept = (
        sa.select(_ISSUED.c.rand)
        .where(_ISSUED.c.pcid == pcid)
        .order_by(_ISSUED.c.issued_at.desc())
        .limit(ISSUED_MAX - count)
    )
    connection.execute(sa.delete(_ISSUED).where(_ISSUED.c.pcid == pcid, _ISSUED.c.rand.not_in(kept)))


def _row_of(issued: IssuedVector) -> dict[str, Any]:
    return {
        "rand": issued.rand,
        "pcid": issued.pcid,
        "serving_network": issued.serving_network,
        "issued_at": issued.issued_at,
        "expires_at": issued.expires_at,
    }


def _terms(subscriber: Subscriber) -> dict[str, Any]:
    terms = subscriber.terms
    return {
        "amf": subscriber.amf,
        "apn": terms.apn,
        "destinations": list(terms.destinations),
        "quota_bytes": terms.quota_bytes,
        "life_s": terms.life_s,
    }


def _place(pcid: str) -> bytes:
    return b"pva/icf/subscriber/1 " + pcid.encode("ascii")
