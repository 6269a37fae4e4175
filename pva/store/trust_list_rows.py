"""Rows of trust lists: the newest of each issuer, as it was signed.

Rule: a list was verified when it was imported; what it says is read from its token.
"""

import sqlalchemy as sa

from messages.errors import MessageError
from messages.trust_list import read_unverified
from pva.manifests.trust_lists import ImportedTrustList
from pva.refusals import RefusalCode, RefusalError
from pva.store import tables


def held_lists(connection: sa.Connection) -> tuple[ImportedTrustList, ...]:
    """The newest list of each issuer, by issuer."""
    table = tables.trust_lists
    rows = connection.execute(sa.select(table).order_by(table.c.issuer)).mappings()
    return tuple(_list_of(row) for row in rows)


def held_list(connection: sa.Connection, issuer: str) -> ImportedTrustList | None:
    """The newest list of one issuer."""
    table = tables.trust_lists
    row = connection.execute(sa.select(table).where(table.c.issuer == issuer)).mappings().one_or_none()
    return None if row is None else _list_of(row)


def save_list(connection: sa.Connection, imported: ImportedTrustList, *, is_new: bool) -> None:
    """Put a list in the place of its issuer's last one."""
    table = tables.trust_lists
    values = {
        "role": imported.role,
        "sequence": imported.content.sequence,
        "token": imported.token,
        "imported_by": imported.imported_by,
        "imported_at": imported.imported_at,
    }
    if is_new:
        connection.execute(sa.insert(table).values(issuer=imported.content.issuer, **values))
    else:
        here = table.c.issuer == imported.content.issuer
        connection.execute(sa.update(table).where(here).values(**values))


def _list_of(row: sa.RowMapping) -> ImportedTrustList:
    try:
        content = read_unverified(row["token"])
    except MessageError as error:
        raise RefusalError(
            RefusalCode.RECORD_ALTERED, subject=f"trust list of {row['issuer']!r}", reason=str(error)
        ) from None
    return ImportedTrustList(
        content=content,
        role=row["role"],
        token=row["token"],
        imported_by=row["imported_by"],
        imported_at=row["imported_at"],
    )
