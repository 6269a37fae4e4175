"""CRLs of suppliers without a responder, in the PVA's store: the newest of each issuing CA, and how the last try went."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from edge.database import transaction
from edge.serialization import repeated
from pva.manifests.supplier_crls import HeldCrl
from pva.store import tables
from standards.pki.crl import VerifiedCrl

FELL = "its CRLNumber is below that of the list on record"


class CrlStore:
    """Satisfies `pva.manifests.supplier_crls.CrlRecords`."""

    def __init__(self, engine: sa.Engine) -> None:
        """Work on an engine whose schema is migrated."""
        self._engine = engine

    def held_crls(self) -> Sequence[HeldCrl]:
        """How every list stands."""
        with transaction(self._engine, write=False) as connection:
            return _held(connection)

    def held_crl(self, issuer_sha256: bytes) -> HeldCrl | None:
        """How the list of one issuing CA stands."""
        with transaction(self._engine, write=False) as connection:
            return next(iter(_held(connection, issuer_sha256)), None)

    def crl_octets(self, issuer_sha256: bytes) -> bytes:
        """The newest list of an issuing CA (DER); empty before the first."""
        table = tables.supplier_crls
        query = sa.select(table.c.der).where(table.c.issuer_sha256 == issuer_sha256)
        with transaction(self._engine, write=False) as connection:
            return bytes(connection.execute(query).scalar_one_or_none() or b"")

    @repeated
    def save_crl(self, issuer_sha256: bytes, found: VerifiedCrl, *, url: str, at: datetime) -> bool:
        """See `pva.manifests.supplier_crls.CrlRecords`."""
        with transaction(self._engine) as connection:
            before = next(iter(_held(connection, issuer_sha256)), None)
            fell = before is not None and before.number is not None and found.number < before.number
            tried = {"url": url, "tried_at": at, "fault": FELL if fell else None}
            read = {
                "number": str(found.number),
                "der": found.der,
                "digest": hashlib.sha256(found.der).digest(),
                "this_update": found.this_update,
                "next_update": found.next_update,
            }
            values = tried if fell else {**tried, **read}
            _save(connection, issuer_sha256, values, is_new=before is None)
        return not fell

    @repeated
    def note_crl_fault(self, issuer_sha256: bytes, *, url: str, fault: str, at: datetime) -> None:
        """See `pva.manifests.supplier_crls.CrlRecords`."""
        with transaction(self._engine) as connection:
            is_new = not _held(connection, issuer_sha256)
            values: dict[str, object] = {"url": url, "tried_at": at, "fault": fault}
            _save(connection, issuer_sha256, values, is_new=is_new)


def _save(
    connection: sa.Connection, issuer_sha256: bytes, values: dict[str, object], *, is_new: bool
) -> None:
    table = tables.supplier_crls
    if is_new:
        connection.execute(sa.insert(table).values(issuer_sha256=issuer_sha256, **values))
    else:
        here = table.c.issuer_sha256 == issuer_sha256
        connection.execute(sa.update(table).where(here).values(**values))


def _held(connection: sa.Connection, issuer_sha256: bytes | None = None) -> tuple[HeldCrl, ...]:
    table = tables.supplier_crls
    columns = [column for column in table.c if column.name != "der"]
    query = sa.select(*columns).order_by(table.c.issuer_sha256)
    if issuer_sha256 is not None:
        query = query.where(table.c.issuer_sha256 == issuer_sha256)
    return tuple(
        HeldCrl(
            issuer_sha256=row["issuer_sha256"],
            url=row["url"],
            number=None if row["number"] is None else int(row["number"]),
            this_update=row["this_update"],
            next_update=row["next_update"],
            digest=row["digest"] or b"",
            tried_at=row["tried_at"],
            fault=row["fault"],
        )
        for row in connection.execute(query).mappings()
    )
