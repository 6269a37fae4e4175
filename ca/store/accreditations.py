"""What overseers' trust lists said of suppliers' audits, and the newest list of each issuer."""

from dataclasses import asdict
from datetime import datetime

import sqlalchemy as sa

from ca.accreditations import AccreditationRecord
from ca.store import tables
from ca.store.rows import Rows


class AccreditationRows(Rows):
    """Audits by supplier; a newer list replaces what was said."""

    def list_sequence(self, issuer: str) -> int:
        """Sequence number of the newest list of an issuer, 0 before the first."""
        table = tables.overseer_lists
        query = sa.select(table.c.sequence).where(table.c.issuer == issuer)
        return int(self._connection.execute(query).scalar_one_or_none() or 0)

    def save_list_sequence(self, issuer: str, sequence: int) -> None:
        """Record the newest list of an issuer."""
        table = tables.overseer_lists
        self._connection.execute(sa.delete(table).where(table.c.issuer == issuer))
        self._connection.execute(sa.insert(table).values(issuer=issuer, sequence=sequence))

    def accreditations(self) -> list[AccreditationRecord]:
        """All that lists said, by supplier."""
        query = sa.select(tables.accreditations).order_by(tables.accreditations.c.supplier)
        return [AccreditationRecord(**row) for row in self._connection.execute(query).mappings()]

    def save_accreditation(self, accreditation: AccreditationRecord) -> None:
        """Put what a list says in the place of what was said of the supplier before."""
        table = tables.accreditations
        self._connection.execute(sa.delete(table).where(table.c.supplier == accreditation.supplier))
        self._connection.execute(sa.insert(table).values(**asdict(accreditation)))

    def lift_suspension(self, suspension_id: str, *, at: datetime, lifted_seq: int) -> None:
        """Record that a suspension is lifted."""
        table = tables.suspensions
        here = sa.and_(table.c.id == suspension_id, table.c.lifted_at.is_(None))
        self._connection.execute(sa.update(table).where(here).values(lifted_at=at, lifted_seq=lifted_seq))
