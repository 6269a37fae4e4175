"""The responder's own status store: what the CA's feed has told, and how far it has told.

The one rule: changes and the place in the feed are written in one transaction, so a process that is killed
between two pages continues exactly after the last one. Applying a page twice changes nothing. Nothing is loaded
at the start: a status is found by the store's own index when it is asked for.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography import x509

from clients.ca_status import NOTHING_SUSPENDED, StatusChange, SuspendedScope, Suspensions
from edge.database import NAMING, UtcTime, row_reader, transaction
from edge.serialization import repeated
from ocsp.standings import Standing
from ocsp.suspensions import SuspendedPlaces
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.fingerprints import certificate_der, decode_certificate

MIGRATIONS = Path(__file__).parent / "migrations"
METADATA = sa.MetaData(naming_convention=NAMING)
# Being level with the feed is confirmed several times a second; the disk hears of it less often.
PERSIST_EVERY = timedelta(seconds=5)
_FEED_ROW = 1
_SERIAL_DIGITS = 40

_STATUSES = sa.Table(
    "statuses",
    METADATA,
    sa.Column("issuer", sa.String(32), primary_key=True),
    sa.Column("serial", sa.String(_SERIAL_DIGITS), primary_key=True),
    sa.Column("reason", sa.Integer),
    sa.Column("revoked_at", UtcTime),
    sa.Column("not_after", UtcTime, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    # of the device, by which a suspension finds the certificate
    sa.Column("model", sa.String(64)),
    sa.Column("batch", sa.String(64)),
    sa.CheckConstraint("(reason IS NULL) = (revoked_at IS NULL)", name="revocation"),
)
_FEED = sa.Table(
    "feed",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("next_seq", sa.BigInteger, nullable=False),
    # digest of the change with that number, None at the beginning
    sa.Column("last_change", sa.String(64)),
    sa.Column("as_of", UtcTime),
    sa.Column("suspensions_version", sa.BigInteger, nullable=False, server_default="0"),
)
_SUSPENSIONS = sa.Table(
    "suspensions",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("issuers", sa.JSON, nullable=False),
    sa.Column("model", sa.String(64)),
    sa.Column("batch", sa.String(64)),
    sa.Column("since", UtcTime, nullable=False),
)
_DELEGATES = sa.Table(
    "delegates",
    METADATA,
    sa.Column("issuer", sa.String(32), primary_key=True),
    sa.Column("issuer_certificate", sa.LargeBinary, nullable=False),
    sa.Column("key_sha256", sa.String(64)),
    sa.Column("certificate", sa.LargeBinary),
)

PLATFORM_STATES = sa.Table(
    "platform_states",
    METADATA,
    # of the certificate: SHA-256 of its issuer's certificate, and its serial number
    sa.Column("issuer_sha256", sa.String(64), primary_key=True),
    sa.Column("serial", sa.String(_SERIAL_DIGITS), primary_key=True),
    # a member of the result's audience
    sa.Column("reader", sa.String(255), primary_key=True),
    sa.Column("result_id", sa.String(64), nullable=False),
    sa.Column("state_digest", sa.String(128), nullable=False),
    sa.Column("tier", sa.String(32), nullable=False),
    sa.Column("result_time", UtcTime, nullable=False),
)
"""The last result for each reader (`ocsp.state_store`)."""

_TOGETHER = 16
"""For so many certificates of a CA one question is enough."""
_PLACES = tuple(f"serial_{number}" for number in range(_TOGETHER))
_COLUMNS = (
    _STATUSES.c.serial,
    _STATUSES.c.reason,
    _STATUSES.c.revoked_at,
    _STATUSES.c.version,
    _STATUSES.c.model,
    _STATUSES.c.batch,
)
_OF_ISSUER = sa.select(*_COLUMNS).where(_STATUSES.c.issuer == sa.bindparam("issuer"))
_ONE = _OF_ISSUER.where(_STATUSES.c.serial == sa.bindparam("serial"))
_SEVERAL = _OF_ISSUER.where(_STATUSES.c.serial.in_([sa.bindparam(name) for name in _PLACES]))


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDelegate:
    """An issuing CA as it was last listed, with the delegate certificate that it gave for the key of that digest."""

    issuer: str
    issuer_certificate: x509.Certificate
    key_sha256: str | None = None
    certificate: x509.Certificate | None = field(default=None, repr=False)


class SqlStatusStore:
    """Satisfies `responder.StatusStore`, `feed.ChangeStore` and `delegation.DelegateStore`; migrate first."""

    def __init__(self, engine: sa.Engine) -> None:
        """Continue where the store ended; `local` says whether a question stays on this machine."""
        self._engine = engine
        with transaction(engine, write=False) as connection:
            row = connection.execute(sa.select(_FEED)).one()
            suspended = _suspended(connection)
        self._next_seq = int(row.next_seq)
        self._last_change: str | None = row.last_change
        self._as_of: datetime | None = row.as_of
        self._persisted_as_of = self._as_of
        self._changes_seen = 0
        self._suspended = SuspendedPlaces(suspended)
        self._suspensions_version = int(row.suspensions_version)
        self.local = engine.dialect.name == "sqlite"
        self._ask_one, self._ask_several = row_reader(engine, _ONE), row_reader(engine, _SEVERAL)

    # what the responder asks

    def changes_seen(self) -> int:
        """A number that grows whenever statuses may have changed: while it stands still, none has."""
        return self._changes_seen

    def standings(self, issuer: str, serials: Sequence[int]) -> Mapping[int, Standing]:
        """How those of the asked certificates of the CA `issuer` stand that were issued."""
        texts = {text: each for each in serials if (text := serial_text(each)) is not None}
        wanted = list(texts)
        rows: list[Sequence[Any]] = []
        if len(wanted) == 1:
            rows += self._ask_one({"issuer": issuer, "serial": wanted[0]})
        else:
            for first in range(0, len(wanted), _TOGETHER):
                some = wanted[first : first + _TOGETHER]
                # a place that is left over asks for the first again
                places = dict(zip_longest(_PLACES, some, fillvalue=some[0]), issuer=issuer)
                rows += self._ask_several(places)
        return {
            texts[serial]: Standing(
                _revocation(reason, at) or self._suspended.hold((issuer, model, batch)), version
            )
            for serial, reason, at, version, model, batch in rows
        }

    def as_of(self) -> datetime | None:
        """When the store was last level with the CA's feed, None if never."""
        return self._as_of

    def statuses(self, issuer: str, serials: Sequence[int]) -> Mapping[int, Revocation | None]:
        """Of the asked serials of the CA `issuer` those that were issued, with their revocation."""
        return {serial: each.revocation for serial, each in self.standings(issuer, serials).items()}

    # what the reader of the feed reads and writes

    def next_seq(self) -> int:
        """After which change to ask on."""
        return self._next_seq

    def follows(self, previous: StatusChange | None) -> bool:
        """Whether `previous` is the change that was applied last; at the beginning nothing is compared."""
        if self._last_change is None:
            return True
        return previous is not None and _digest(previous) == self._last_change

    @repeated
    def start_over(self) -> None:
        """Go back to the beginning of the feed; what is known stays known."""
        with transaction(self._engine) as connection:
            values = {"next_seq": 0, "last_change": None}
            connection.execute(sa.update(_FEED).where(_FEED.c.id == _FEED_ROW).values(values))
        self._next_seq, self._last_change = 0, None

    @repeated
    def apply(
        self,
        changes: Iterable[StatusChange],
        *,
        next_seq: int,
        as_of: datetime | None,
        suspensions: Suspensions = NOTHING_SUSPENDED,
    ) -> list[StatusChange]:
        """Apply a page and remember the place; `as_of` when the store is level with the feed by it.

        Returns the changes that were refused: what is revoked for good stays revoked, whatever the feed says. What is
        suspended is as `suspensions` says, see `SuspendedPlaces.after`.
        """
        pending = list(changes)
        refused: list[StatusChange] = []
        last_change = _digest(pending[-1]) if pending else self._last_change
        due = as_of is not None and (
            self._persisted_as_of is None or as_of - self._persisted_as_of >= PERSIST_EVERY
        )
        suspended = self._suspended.after(suspensions, version=self._suspensions_version)
        version = max(suspensions.version, self._suspensions_version)
        other = suspended is not self._suspended or version != self._suspensions_version
        if pending or due or other or next_seq != self._next_seq:
            with transaction(self._engine) as connection:
                refused = [each for each in pending if not _apply(connection, each)]
                values: dict[str, Any] = {"next_seq": next_seq, "last_change": last_change}
                values |= {} if as_of is None else {"as_of": as_of}
                if other:
                    _suspend(connection, suspended.scopes)
                    values["suspensions_version"] = version
                connection.execute(sa.update(_FEED).where(_FEED.c.id == _FEED_ROW).values(values))
            self._persisted_as_of = as_of or self._persisted_as_of
        self._suspended, self._suspensions_version = suspended, version
        # after the commit: what was read before it is asked for again
        self._changes_seen += len(pending) + other
        self._next_seq, self._last_change = next_seq, last_change
        self._as_of = as_of or self._as_of
        return refused

    # what delegation keeps

    def delegates(self) -> Sequence[StoredDelegate]:
        """Every issuing CA that was listed so far."""
        with transaction(self._engine, write=False) as connection:
            rows = connection.execute(sa.select(_DELEGATES)).all()
        return tuple(
            StoredDelegate(
                issuer=row.issuer,
                issuer_certificate=decode_certificate(row.issuer_certificate),
                key_sha256=row.key_sha256,
                certificate=None if row.certificate is None else decode_certificate(row.certificate),
            )
            for row in rows
        )

    @repeated
    def save_delegate(self, delegate: StoredDelegate) -> None:
        """Insert or replace the row of one issuing CA."""
        values = {
            "issuer": delegate.issuer,
            "issuer_certificate": certificate_der(delegate.issuer_certificate),
            "key_sha256": delegate.key_sha256,
            "certificate": None if delegate.certificate is None else certificate_der(delegate.certificate),
        }
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(_DELEGATES).where(_DELEGATES.c.issuer == delegate.issuer))
            connection.execute(sa.insert(_DELEGATES).values(values))


def _apply(connection: sa.Connection, change: StatusChange) -> bool:
    serial = serial_text(change.serial)
    if serial is None:
        return False
    here = sa.and_(_STATUSES.c.issuer == change.issuer, _STATUSES.c.serial == serial)
    stored = connection.execute(sa.select(_STATUSES).where(here)).one_or_none()
    values = {
        "reason": None if change.revocation is None else change.revocation.reason.value,
        "revoked_at": None if change.revocation is None else change.revocation.at,
        "not_after": change.not_after,
        "version": change.version,
        "model": change.model,
        "batch": change.batch,
    }
    if stored is None:
        connection.execute(sa.insert(_STATUSES).values(issuer=change.issuer, serial=serial, **values))
    elif change.version > stored.version or _is_stricter(change, stored):
        if _is_final(stored) and change.revocation is None:
            return False
        connection.execute(sa.update(_STATUSES).where(here).values(values))
    elif (change.model, change.batch) != (stored.model, stored.batch):
        place = {"model": change.model, "batch": change.batch}
        connection.execute(sa.update(_STATUSES).where(here).values(place))
    return True


def _suspend(connection: sa.Connection, scopes: Sequence[SuspendedScope]) -> None:
    """Replace what is suspended."""
    connection.execute(sa.delete(_SUSPENSIONS))
    rows = [
        {
            "id": each.id,
            "issuers": list(each.issuers),
            "model": each.model,
            "batch": each.batch,
            "since": each.since,
        }
        for each in scopes
    ]
    if rows:
        connection.execute(sa.insert(_SUSPENSIONS), rows)


def _suspended(connection: sa.Connection) -> list[SuspendedScope]:
    rows = connection.execute(sa.select(_SUSPENSIONS).order_by(_SUSPENSIONS.c.id)).all()
    return [
        SuspendedScope(
            id=row.id, issuers=tuple(row.issuers), model=row.model, batch=row.batch, since=row.since
        )
        for row in rows
    ]


def _is_final(stored: sa.Row[Any]) -> bool:
    return stored.reason is not None and stored.reason != RevocationReason.CERTIFICATE_HOLD.value


def _is_stricter(change: StatusChange, stored: sa.Row[Any]) -> bool:
    """Whether a CA that counts anew after a backup takes more back than is known, under the same version."""
    return change.version == stored.version and change.revocation is not None and not _is_final(stored)


def _digest(change: StatusChange) -> str:
    """What tells a change from another one of the same number."""
    revocation = change.revocation
    told = (
        change.seq,
        change.issuer,
        f"{change.serial:x}",
        change.version,
        None if revocation is None else (revocation.reason.value, int(revocation.at.timestamp())),
        int(change.not_after.timestamp()),
    )
    return sha256(repr(told).encode("ascii")).hexdigest()


def _revocation(reason: int | None, revoked_at: datetime | str | None) -> Revocation | None:
    """As a reader of rows gives them: a time may be text."""
    if reason is None or revoked_at is None:
        return None
    at = datetime.fromisoformat(revoked_at) if isinstance(revoked_at, str) else revoked_at
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return Revocation(reason=RevocationReason(reason), at=at)


def serial_text(serial: int) -> str | None:
    """Key of a serial number; None for one that no certificate can have (P1)."""
    return f"{serial:0{_SERIAL_DIGITS}x}" if 0 < serial < 1 << (4 * _SERIAL_DIGITS) else None
