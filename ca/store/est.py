"""Keys that asked for a certificate over EST, or were registered for one."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ca.key_registrations import KeyProposal
from ca.profiles import Kind
from ca.records import EstEnrollment, EstState, serial_text
from ca.store import tables
from ca.store.rows import Rows
from edge.dual_control import approvals_record, line_record, read_approvals, read_line


class EstRows(Rows):
    """One row a key and kind; its state moves by single statements."""

    def est_enrollment(self, kind: Kind, *, spki_sha256: str) -> EstEnrollment | None:
        """Where a key stands."""
        row = (
            self._connection.execute(sa.select(_TABLE).where(*_of(kind, spki_sha256)))
            .mappings()
            .one_or_none()
        )
        return None if row is None else _enrollment(row)

    def est_enrollments(self) -> list[EstEnrollment]:
        """All keys that asked or were registered, oldest first."""
        query = sa.select(_TABLE).order_by(_TABLE.c.since, _TABLE.c.kind, _TABLE.c.spki_sha256)
        return [_enrollment(row) for row in self._connection.execute(query).mappings()]

    def add_pending(self, enrollment: EstEnrollment, *, at_most: int, kept_since: datetime) -> bool:
        """Record a key that asked, after forgetting those that asked before `kept_since`; False when full."""
        pending = _TABLE.c.state == str(EstState.PENDING)
        self._connection.execute(sa.delete(_TABLE).where(pending, _TABLE.c.since < kept_since))
        waiting = self._connection.execute(sa.select(sa.func.count()).select_from(_TABLE).where(pending))
        if int(waiting.scalar_one()) >= at_most:
            return False
        self._connection.execute(sa.insert(_TABLE).values(**_values(enrollment)))
        return True

    def register_key(self, enrollment: EstEnrollment) -> bool:
        """Register a key, new or pending; False when it is registered already."""
        values = _values(enrollment)
        approve = (
            sa.update(_TABLE)
            .where(*_of(enrollment.kind, enrollment.spki_sha256), _TABLE.c.state == str(EstState.PENDING))
            .values(**values)
        )
        if self._connection.execute(approve).rowcount == 1:
            return True
        return self._insert_once(_TABLE, values)

    def use_registration(self, kind: Kind, *, spki_sha256: str, ca_id: str, serial: int) -> bool:
        """Use a registration up for this certificate; False when it is not registered (any more)."""
        change = (
            sa.update(_TABLE)
            .where(*_of(kind, spki_sha256), _TABLE.c.state == str(EstState.REGISTERED))
            .values(state=str(EstState.ISSUED), ca_id=ca_id, serial=serial_text(serial))
        )
        return self._connection.execute(change).rowcount == 1

    def key_proposal(self, digest: str) -> KeyProposal | None:
        """What waits under a digest for another administrator."""
        query = sa.select(_PROPOSALS).where(_PROPOSALS.c.digest == digest)
        row = self._connection.execute(query).mappings().one_or_none()
        return None if row is None else _proposal(row)

    def key_proposals(self) -> list[KeyProposal]:
        """All that waits, oldest first."""
        query = sa.select(_PROPOSALS).order_by(_PROPOSALS.c.since, _PROPOSALS.c.digest)
        return [_proposal(row) for row in self._connection.execute(query).mappings()]

    def save_key_proposal(self, proposal: KeyProposal) -> None:
        """Record what waits, with its approvals, in place of what did under this digest."""
        self.drop_key_proposal(proposal.digest)
        held = proposal.enrollment
        self._connection.execute(
            sa.insert(_PROPOSALS).values(
                digest=proposal.digest,
                kind=str(held.kind),
                spki_sha256=held.spki_sha256,
                since=held.since,
                name=held.name,
                role=held.role,
                approvals=approvals_record(proposal.approvals),
            )
        )

    def drop_key_proposal(self, digest: str) -> bool:
        """Forget what waits; whether there was something."""
        gone = self._connection.execute(sa.delete(_PROPOSALS).where(_PROPOSALS.c.digest == digest))
        return gone.rowcount == 1


_TABLE = tables.est_enrollments
_PROPOSALS = tables.key_proposals


def _of(kind: Kind, spki_sha256: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (_TABLE.c.kind == str(kind), _TABLE.c.spki_sha256 == spki_sha256)


def _values(enrollment: EstEnrollment) -> dict[str, Any]:
    return {
        **asdict(enrollment),
        "kind": str(enrollment.kind),
        "state": str(enrollment.state),
        "dns": "\n".join(enrollment.dns),
        "addresses": "\n".join(enrollment.addresses),
        "requesters": line_record(enrollment.requesters),
        "serial": None if enrollment.serial is None else serial_text(enrollment.serial),
    }


def _enrollment(row: Any) -> EstEnrollment:
    return EstEnrollment(
        **{
            **row,
            "kind": Kind(row["kind"]),
            "state": EstState(row["state"]),
            "dns": tuple(row["dns"].split()),
            "addresses": tuple(row["addresses"].split()),
            "requesters": read_line(row["requesters"]),
            "serial": None if row["serial"] is None else int(row["serial"], 16),
        }
    )


def _proposal(row: Any) -> KeyProposal:
    return KeyProposal(
        enrollment=EstEnrollment(
            kind=Kind(row["kind"]),
            spki_sha256=row["spki_sha256"],
            state=EstState.PENDING,
            since=row["since"],
            name=row["name"],
            role=row["role"],
        ),
        approvals=read_approvals(row["approvals"]),
    )
