"""What the network's roles have on record of a journey: their audit leaves, each checked against its commitment.

Rule: each role keeps its own ledger and knows its own part; the lab, which has all their machines, puts them in order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from edge.database import engine_for, transaction
from edge.ledger import LedgerTable
from edge.ledger_leaf import verify_entry
from lab.identities import CCIF, DPF, DRF, ICF, SHO, VNO
from lab.scene import Scene

ROLES = (CCIF, VNO, ICF, DRF, SHO, "pva", DPF)
SUBJECT_CHARACTERS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedEvent:
    """One leaf of a role's ledger: when (RFC 3339), who, what, and about whom."""

    at: str
    role: str
    kind: str
    subject: str


class AuditTrail:
    """Reads what is added to the ledgers from now on."""

    def __init__(self, scene: Scene) -> None:
        self._narrator = scene.narrator
        self._engines = {
            role: engine_for(f"sqlite:///{scene.services.site.role(role) / f'{role}.sqlite'}")
            for role in ROLES
        }
        self._table = LedgerTable(sa.MetaData())
        self._seen = {role: self._last(role) for role in ROLES}

    def events(self) -> list[AuditedEvent]:
        """Every leaf since the beginning, in time. Raises LedgerError for one that is not what was committed to."""
        found = [event for role in ROLES for event in self._of(role)]
        return sorted(found, key=lambda event: event.at)

    def tell(self) -> None:
        """Print them."""
        self._narrator.remark(
            "       what the roles have on record of it, each leaf checked against its hash:"
        )
        for event in self.events():
            moment, subject = event.at.partition("T")[2], event.subject[:SUBJECT_CHARACTERS]
            self._narrator.remark(f"         {moment}  {event.role:<7} {event.kind:<24} {subject}")

    def _of(self, role: str) -> list[AuditedEvent]:
        with transaction(self._engines[role], write=False) as connection:
            entries = self._table.entries(connection, after=self._seen[role])
        records: list[Mapping[str, Any]] = [verify_entry(entry) for entry in entries]
        return [
            AuditedEvent(at=each["at"], role=role, kind=each["kind"], subject=each["subject"])
            for each in records
        ]

    def _last(self, role: str) -> int:
        with transaction(self._engines[role], write=False) as connection:
            number = connection.execute(sa.select(sa.func.max(self._table.table.c.number))).scalar()
        return int(number or 0)
