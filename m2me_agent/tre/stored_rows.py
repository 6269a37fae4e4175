"""Records of the TRE that are lists, and the one answer to a record that is whole and cannot be understood.

The one rule: what this version cannot read is named and refused, never skipped: it may say what must not be forgotten.
"""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from m2me_agent.tre.errors import StateError
from messages.encoding import decode_fields
from messages.errors import MessageError

OLDER_VERSION = "install the version of the TRE that wrote it"

_T = TypeVar("_T")


class Files(Protocol):
    """What is read here of the TRE's files."""

    def read(self, name: str) -> bytes | None:
        """The content, None where there is none. Raises StateError."""


def not_understood(record: str, error: Exception, *, remedy: str = OLDER_VERSION) -> StateError:
    """What to raise about a record that is whole and says what this version does not know."""
    return StateError(subject=record, reason=f"is whole but cannot be understood: {error}", remedy=remedy)


def read_rows(
    files: Files, record: str, *, bytes_max: int, rows_max: int, read: Callable[[Any], _T]
) -> tuple[_T, ...]:
    """The rows under key 1 of a record, none where there is no such file. Raises StateError."""
    content = files.read(record)
    if content is None:
        return ()
    try:
        fields = decode_fields(content, what=record, bytes_max=bytes_max)
        rows = fields.items(1, size_max=rows_max)
        fields.close()
        return tuple(read(row) for row in rows)
    except MessageError as error:
        raise not_understood(record, error) from error
