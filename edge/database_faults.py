"""What can be wrong with a store: how it is named in the settings, and that it is away for the moment.

The one rule: a store that is away is nobody's mistake and no defect. Whoever asked is told to send the same again
later (503 with Retry-After), and the next request finds the store again without a restart of the service. A
transaction whose commit was cut off may have been recorded: what is sent again must be safe to send again.
"""

from types import TracebackType
from typing import Annotated

import sqlalchemy as sa
from pydantic import AfterValidator

RETRY_AFTER_S = 2
"""A PostgreSQL that is restarted is back within seconds."""

_AWAY_CLASSES = ("08", "53", "57P")
"""SQLSTATE: connection exceptions, insufficient resources, operator intervention (shutdown, starting up)."""
_SQLITE_BUSY = frozenset({5, 6})
"""SQLITE_BUSY, SQLITE_LOCKED: another writer held the file for longer than the busy timeout."""
_SECRETS = frozenset({"password", "sslpassword"})
_DRIVER = "postgresql+psycopg"


class DatabaseError(Exception):
    """The store cannot be opened as configured; a sentence with the remedy, never a secret."""


class DatabaseUnavailableError(Exception):
    """The store is away at this moment; whether the last change was recorded is not known."""

    subject = "store"
    reason = "store-unavailable"
    remedy = "wait as Retry-After says, then send the same request again"

    def __init__(self) -> None:
        super().__init__("the service cannot reach its store at this moment")


def _checked(url: str) -> str:
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        # the sentence of the parser would repeat the URL
        raise ValueError(f"expected sqlite:///FILE or {_DRIVER}://USER@HOST/NAME") from None
    if parsed.password is not None or _SECRETS & {name.lower() for name in parsed.query}:
        raise ValueError(
            "holds a password, and settings are shown and copied: put it into a file of mode 0600 in the form "
            "HOST:PORT:NAME:USER:PASSWORD and add ?passfile=FILE to the URL, or add ?service=NAME"
        )
    if parsed.get_backend_name() == "sqlite":
        return url
    if parsed.drivername != _DRIVER:
        raise ValueError(f"expected sqlite:///FILE or {_DRIVER}://USER@HOST/NAME, got {parsed.drivername}")
    return url


DatabaseUrl = Annotated[str, AfterValidator(_checked)]
"""The setting `database`: a SQLAlchemy URL without a password, for SQLite or for PostgreSQL by psycopg."""


def is_away(error: sa.exc.DBAPIError) -> bool:
    """Whether `error` says that the store is away for now, and not that the statement is wrong."""
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return str(state).startswith(_AWAY_CLASSES)
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _SQLITE_BUSY
    # psycopg gives no SQLSTATE where no server has answered
    return isinstance(error, sa.exc.OperationalError) and type(error.orig).__module__.startswith("psycopg")


class _AwayIsNamed:
    """Has no state, and costs a third of what a generator would at each statement."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # of a pool whose every connection is at work, or of a driver
        if isinstance(error, sa.exc.TimeoutError) or (
            isinstance(error, sa.exc.DBAPIError) and is_away(error)
        ):
            raise DatabaseUnavailableError from error


_AWAY_IS_NAMED = _AwayIsNamed()


def away_is_named() -> _AwayIsNamed:
    """Turns every form in which a driver says that the store is away into DatabaseUnavailableError."""
    return _AWAY_IS_NAMED
