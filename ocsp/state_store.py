"""The states of platforms in the responder's database; satisfies `ocsp.platform_states.StateStore`.

The one rule: a row is replaced by a later result only, in one transaction with all the other readers' rows.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from edge.database import transaction
from edge.serialization import repeated
from ocsp.platform_states import CertificateName, KnownState
from ocsp.store import PLATFORM_STATES, serial_text
from standards.pki.platform_state import PlatformState


class SqlStateStore:
    """May be asked by several threads; migrate first."""

    def __init__(self, engine: sa.Engine) -> None:
        """Work on the responder's engine."""
        self._engine = engine

    @repeated
    def keep(self, certificate: CertificateName, known: KnownState, *, readers: Sequence[str]) -> None:
        """See `StateStore`; nothing is kept of a serial number that no certificate can have."""
        here = _here(certificate)
        if here is None:
            return
        table, values = PLATFORM_STATES, _values(known)
        with transaction(self._engine) as connection:
            rows = connection.execute(sa.select(table).where(here, table.c.reader.in_(readers))).all()
            stored = {row.reader: _known(row) for row in rows}
            for reader in readers:
                if reader not in stored:
                    connection.execute(
                        sa.insert(table).values(
                            issuer_sha256=certificate.issuer_sha256,
                            serial=serial_text(certificate.serial),
                            reader=reader,
                            **values,
                        )
                    )
                elif known.rank > stored[reader].rank:
                    connection.execute(
                        sa.update(table).where(here, table.c.reader == reader).values(**values)
                    )

    def last(self, certificate: CertificateName, *, reader: str | None) -> KnownState | None:
        """See `StateStore`."""
        here = _here(certificate)
        if here is None:
            return None
        query = sa.select(PLATFORM_STATES).where(here)
        if reader is not None:
            query = query.where(PLATFORM_STATES.c.reader == reader)
        with transaction(self._engine, write=False) as connection:
            found = [_known(row) for row in connection.execute(query)]
        return max(found, key=lambda each: each.rank, default=None)


def _here(certificate: CertificateName) -> sa.ColumnElement[bool] | None:
    serial = serial_text(certificate.serial)
    if serial is None:
        return None
    return sa.and_(
        PLATFORM_STATES.c.issuer_sha256 == certificate.issuer_sha256, PLATFORM_STATES.c.serial == serial
    )


def _values(known: KnownState) -> dict[str, Any]:
    return {
        "result_id": known.result_id,
        "state_digest": known.state.state_digest.hex(),
        "tier": known.state.tier,
        "result_time": known.state.result_time,
    }


def _known(row: sa.Row[Any]) -> KnownState:
    state = PlatformState(
        state_digest=bytes.fromhex(row.state_digest), tier=row.tier, result_time=row.result_time
    )
    return KnownState(state=state, result_id=row.result_id)
