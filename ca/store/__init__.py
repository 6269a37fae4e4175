"""The CA's store: everything that outlives a request, behind the ports that the use cases declare.

The one rule: a use case works inside one `Records`, that is one transaction; it is committed whole or not at
all. What two processes could do at once is decided by single statements (`redeem_session`, `consume_ek`) and
unique keys, never by a read before a write.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from ca.errors import ConcurrentChangeError
from ca.store.accreditations import AccreditationRows
from ca.store.authorities import AuthorityRows, SupplyRows
from ca.store.certificates import CertificateRows, RevocationListRows
from ca.store.devices import DeviceRows, SessionRows
from ca.store.est import EstRows
from ca.store.feeds import FeedRows
from ca.store.holds import HoldRows
from ca.store.lines import LineRows
from ca.store.suspensions import SuspensionRows
from ca.store.tables import administrators, ledger
from edge.administrator_store import SqlAdministrators
from edge.audit_log import AuditLog, AuditLogSettings, open_log
from edge.database import migrate, transaction
from edge.process import Clock, RandomBytes
from edge.written import Written

SERIALIZATION_FAILURES = frozenset({"40001", "40P01"})
"""SQLSTATE of PostgreSQL: serialization failure, deadlock."""

WAITING_MAX = 4
"""How many readers of the feed of changes may wait at once."""

MIGRATIONS = Path(__file__).parent.parent / "migrations"


class Records(
    AuthorityRows,
    SupplyRows,
    FeedRows,
    DeviceRows,
    SessionRows,
    CertificateRows,
    HoldRows,
    SuspensionRows,
    AccreditationRows,
    LineRows,
    RevocationListRows,
    EstRows,
):
    """All records of the CA, inside one transaction."""


class Store:
    """Transactions over the CA's database."""

    def __init__(self, engine: sa.Engine, *, random_bytes: RandomBytes) -> None:
        """Use `engine` (edge.database.engine_for); `random_bytes` salts the ledger's leaves."""
        self._engine = engine
        self._random_bytes = random_bytes
        self.written = Written(waiting_max=WAITING_MAX)

    def migrate(self) -> None:
        """Bring the schema up to date; a killed process leaves the old one."""
        migrate(self._engine, MIGRATIONS)

    def open_log(self, settings: AuditLogSettings | None, *, clock: Clock) -> AuditLog | None:
        """The audit log over this store, or None where none is kept. Raises KeyFileError."""
        return open_log(settings, self._engine, ledger, clock=clock)

    def administrators(self) -> SqlAdministrators:
        """Who administers the CA beside its file of principals."""
        return SqlAdministrators(self._engine, administrators, ledger, random_bytes=self._random_bytes)

    @contextmanager
    def reading(self) -> Iterator[Records]:
        """A transaction that cannot change anything and waits for nobody."""
        with transaction(self._engine, write=False) as connection:
            yield Records(connection, random_bytes=self._random_bytes)

    @contextmanager
    def writing(self) -> Iterator[Records]:
        """A transaction that is committed when the block ends and rolled back when it raises.

        Raises ConcurrentChangeError when another transaction won a race for the same records.
        """
        try:
            with transaction(self._engine) as connection:
                yield Records(connection, random_bytes=self._random_bytes)
            self.written.note()
        except sa.exc.IntegrityError as error:
            raise _lost_race() from error
        except sa.exc.OperationalError as error:
            if getattr(error.orig, "sqlstate", None) in SERIALIZATION_FAILURES:
                raise _lost_race() from error
            raise


def _lost_race() -> ConcurrentChangeError:
    return ConcurrentChangeError(
        "concurrent-change",
        subject="request",
        detail="the same records were changed by another request at this moment; nothing was recorded",
        remedy="send the same request again",
    )
