"""Reads over many requests, results and devices: satisfies the ports of `pva.fleet`.

Rule: nothing is written here, and every query of requests carries the condition of its reader (`_readable`; numbers
`_countable`): a relying party's own, everything for an auditor, and none of a role that asks for no validations.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from edge.database import transaction
from pva.fleet.fleet import (
    SUPPLIER,
    DeviceLine,
    Filter,
    Outcome,
    SuppliedDevice,
    ValidationLine,
)
from pva.fleet.journey import JourneyRecord, Push, Related
from pva.results.explanation import SEES_ALL, Reader
from pva.results.grounds import STATUS
from pva.store import tables
from pva.store.rows import state_of_request

_REQUESTS, _RESULTS, _DEVICES = tables.validation_requests, tables.results, tables.devices
_REFUSALS, _WATCHES = tables.refusals, tables.watches
_RELATED_MAX = 20
_HEX_LAST = "g"
"""Above every continuation of some hexadecimal digits."""


class FleetStore:
    """Satisfies `pva.fleet.fleet.FleetRecords` and `pva.fleet.journey.JourneyRecords`."""

    def __init__(self, engine: sa.Engine) -> None:
        """Work on an engine whose schema is migrated."""
        self._engine = engine

    def counts(self, reader: Reader, *, edges: Sequence[datetime]) -> Sequence[Mapping[Outcome, int]]:
        """See `pva.fleet.fleet.FleetRecords`."""
        results = (
            sa.select(_part(_RESULTS.c.issued_at, edges), _RESULTS.c.status, sa.func.count())
            .join(_REQUESTS, _REQUESTS.c.id == _RESULTS.c.request_id)
            .where(_within(_RESULTS.c.issued_at, edges), _countable(reader))
            .group_by(sa.text("1"), _RESULTS.c.status)
        )
        refused = (
            sa.select(
                _part(_REFUSALS.c.at, edges),
                sa.literal(Outcome.REFUSED.value).label("status"),
                sa.func.count(),
            )
            .join(_REQUESTS, _REQUESTS.c.id == _REFUSALS.c.request_id)
            .where(_within(_REFUSALS.c.at, edges), _countable(reader))
            .group_by(sa.text("1"))
        )
        counted: list[dict[Outcome, int]] = [{} for _ in edges[1:]]
        with transaction(self._engine, write=False) as connection:
            for part, status, count in (*connection.execute(results), *connection.execute(refused)):
                counted[part][Outcome(status)] = count
        return counted

    def standing(self, reader: Reader, *, at: datetime) -> Mapping[Outcome, int]:
        """See `pva.fleet.fleet.FleetRecords`."""
        last = _last_of_each(reader, at=at)
        query = sa.select(last.c.outcome, sa.func.count()).where(last.c.place == 1).group_by(last.c.outcome)
        with transaction(self._engine, write=False) as connection:
            return {Outcome(outcome): count for outcome, count in connection.execute(query)}

    def devices(
        self, reader: Reader, wanted: Filter, *, skip: int, count_max: int, at: datetime
    ) -> Sequence[DeviceLine]:
        """See `pva.fleet.fleet.FleetRecords`."""
        last = _last_of_each(reader, at=at)
        own_watch = sa.and_(
            _WATCHES.c.device_id == last.c.device_id,
            _WATCHES.c.operator == (reader.tenant if reader.role == "sho" else None),
        )
        query = (
            sa.select(last, _DEVICES.c.supplier, _DEVICES.c.hw_type, _WATCHES.c.state.label("watched"))
            .outerjoin(_DEVICES, _DEVICES.c.device_id == last.c.device_id)
            .outerjoin(_WATCHES, own_watch)
            .where(last.c.place == 1)
            .order_by(last.c.created_at.desc(), last.c.device_id)
            .offset(skip)
            .limit(count_max)
        )
        if wanted.outcome is not None:
            query = query.where(last.c.outcome == wanted.outcome.value)
        if wanted.device_id:
            query = query.where(_begins(last.c.device_id, wanted.device_id))
        if wanted.supplier:
            query = query.where(_DEVICES.c.supplier == wanted.supplier)
        with transaction(self._engine, write=False) as connection:
            return tuple(
                DeviceLine(
                    device_id=row["device_id"],
                    supplier=row["supplier"],
                    hw_type=row["hw_type"],
                    outcome=Outcome(row["outcome"]),
                    asked_at=row["created_at"],
                    request_id=row["id"],
                    watched=row["watched"],
                )
                for row in connection.execute(query).mappings()
            )

    def supplied(
        self, supplier: str, *, device_id: str, skip: int, count_max: int
    ) -> Sequence[SuppliedDevice]:
        """See `pva.fleet.fleet.FleetRecords`."""
        query = (
            sa.select(_DEVICES)
            .where(_DEVICES.c.supplier == supplier)
            .order_by(_DEVICES.c.device_id)
            .offset(skip)
            .limit(count_max)
        )
        if device_id:
            query = query.where(_begins(_DEVICES.c.device_id, device_id))
        with transaction(self._engine, write=False) as connection:
            return tuple(
                SuppliedDevice(
                    device_id=row["device_id"],
                    hw_type=row["hw_type"],
                    svn_highest=row["svn_highest"],
                    credential_not_before=row["credential_not_before"],
                    seen_on=row["seen_at"].replace(hour=0, minute=0, second=0, microsecond=0),
                )
                for row in connection.execute(query).mappings()
            )

    def validations(
        self, device_id: str, reader: Reader, *, skip: int, count_max: int, at: datetime
    ) -> Sequence[ValidationLine]:
        """See `pva.fleet.fleet.FleetRecords`."""
        query = (
            sa.select(
                _REQUESTS,
                _RESULTS.c.id.label("result_id"),
                _outcome(at).label("outcome"),
            )
            .outerjoin(_RESULTS, _RESULTS.c.request_id == _REQUESTS.c.id)
            .where(_REQUESTS.c.device_id == device_id, _readable(reader))
            .order_by(_REQUESTS.c.created_at.desc(), _REQUESTS.c.id)
            .offset(skip)
            .limit(count_max)
        )
        with transaction(self._engine, write=False) as connection:
            return tuple(
                ValidationLine(
                    request_id=row["id"],
                    role=row["role"],
                    tenant=row["tenant"],
                    purpose=row["purpose"],
                    outcome=Outcome(row["outcome"]),
                    state=state_of_request(row["expires_at"], answered=row["result_id"] is not None, at=at),
                    asked_at=row["created_at"],
                    result_id=row["result_id"],
                )
                for row in connection.execute(query).mappings()
            )

    def journey_record(self, request_id: str, *, reader: Reader) -> JourneyRecord | None:
        """See `pva.fleet.journey.JourneyRecords`."""
        grounds, evidence, given = tables.result_grounds, tables.evidence, tables.given_approvals
        query = (
            sa.select(
                _REQUESTS,
                _RESULTS.c.id.label("result_id"),
                _RESULTS.c.issued_at,
                _RESULTS.c.status,
                _RESULTS.c.pfc_serial,
                evidence.c.body,
                grounds.c.parts,
                grounds.c.leaf_hash,
                given.c.given_at,
            )
            .outerjoin(_RESULTS, _RESULTS.c.request_id == _REQUESTS.c.id)
            .outerjoin(evidence, evidence.c.result_id == _RESULTS.c.id)
            .outerjoin(grounds, grounds.c.result_id == _RESULTS.c.id)
            .outerjoin(given, given.c.result_id == _RESULTS.c.id)
            .where(_REQUESTS.c.id == request_id, _readable(reader))
        )
        with transaction(self._engine, write=False) as connection:
            row = connection.execute(query).mappings().first()
            return None if row is None else _journey_record(connection, row, reader=reader)


def _journey_record(connection: sa.Connection, row: sa.RowMapping, *, reader: Reader) -> JourneyRecord:
    status = (row["parts"] or {}).get(STATUS)
    serial = row["pfc_serial"]
    return JourneyRecord(
        request_id=row["id"],
        device_id=row["device_id"],
        role=row["role"],
        tenant=row["tenant"],
        requester=row["requester"],
        purpose=row["purpose"],
        signed=row["jti"] is not None,
        relays=_relays(connection, row["id"]),
        audience=tuple(row["audience"]),
        asked_at=row["created_at"],
        expires_at=row["expires_at"],
        order_digest=row["order_digest"],
        result_id=row["result_id"],
        issued_at=row["issued_at"],
        result_status=row["status"],
        serial=None if serial is None else serial.lstrip("0"),
        evidence=row["body"],
        status=None if status is None else base64.b64decode(status),
        leaf_hash=row["leaf_hash"],
        pushes=_pushes(connection, row["result_id"]),
        approved_at=row["given_at"],
        next_states=_next_states(connection, row["result_id"]),
        related=_related(connection, row, reader=reader),
    )


def _relays(connection: sa.Connection, request_id: str) -> tuple[str, ...]:
    table = tables.request_relays
    query = sa.select(table.c.relay).where(table.c.request_id == request_id).order_by(table.c.relay)
    return tuple(connection.execute(query).scalars())


def _pushes(connection: sa.Connection, result_id: str | None) -> tuple[Push, ...]:
    table = tables.result_deliveries
    query = sa.select(table).where(table.c.result_id == result_id).order_by(table.c.audience)
    return tuple(
        Push(audience=row.audience, tries=row.tries, next_at=row.next_at) for row in connection.execute(query)
    )


def _next_states(connection: sa.Connection, result_id: str | None) -> tuple[tuple[bytes, datetime], ...]:
    table = tables.next_approvals
    query = (
        sa.select(table.c.manifest_digest, table.c.given_at)
        .where(table.c.result_id == result_id)
        .order_by(table.c.given_at)
    )
    return tuple((row.manifest_digest, row.given_at) for row in connection.execute(query))


def _related(connection: sa.Connection, row: sa.RowMapping, *, reader: Reader) -> tuple[Related, ...]:
    if row["order_digest"] is None:
        return ()
    query = (
        sa.select(
            _REQUESTS.c.id,
            _REQUESTS.c.role,
            _REQUESTS.c.tenant,
            _REQUESTS.c.created_at,
            _RESULTS.c.status,
        )
        .outerjoin(_RESULTS, _RESULTS.c.request_id == _REQUESTS.c.id)
        .where(
            _REQUESTS.c.device_id == row["device_id"],
            _REQUESTS.c.order_digest == row["order_digest"],
            _REQUESTS.c.id != row["id"],
            _readable(reader),
        )
        .order_by(_REQUESTS.c.created_at)
        .limit(_RELATED_MAX)
    )
    return tuple(
        Related(
            request_id=each.id,
            role=each.role,
            tenant=each.tenant,
            asked_at=each.created_at,
            status=each.status,
        )
        for each in connection.execute(query)
    )


def _readable(reader: Reader) -> sa.ColumnElement[bool]:
    """Which requests a reader may see."""
    if reader.role == SEES_ALL:
        return sa.true()
    return sa.and_(_REQUESTS.c.role == reader.role, _REQUESTS.c.tenant == reader.tenant)


def _countable(reader: Reader) -> sa.ColumnElement[bool]:
    """Which requests count in a reader's numbers: a supplier is told how many of its devices', and not which."""
    if reader.role != SUPPLIER:
        return _readable(reader)
    own = sa.select(_DEVICES.c.device_id).where(_DEVICES.c.supplier == reader.tenant)
    return _REQUESTS.c.device_id.in_(own)


def _outcome(at: datetime) -> sa.ColumnElement[str]:
    """What came of a request, beside its result's row where it has one."""
    refused = sa.exists().where(_REFUSALS.c.request_id == _REQUESTS.c.id)
    return sa.case(
        (_RESULTS.c.status.is_not(None), _RESULTS.c.status),
        (refused, Outcome.REFUSED.value),
        (_REQUESTS.c.expires_at > at, Outcome.PENDING.value),
        else_=Outcome.SILENT.value,
    )


def _last_of_each(reader: Reader, *, at: datetime) -> sa.Subquery:
    """Requests with their outcome; `place` 1 is the last of its device that something came of."""
    outcome = _outcome(at)
    waits = sa.case((outcome == Outcome.PENDING.value, 1), else_=0)
    place = sa.func.row_number().over(
        partition_by=_REQUESTS.c.device_id,
        order_by=(waits, _REQUESTS.c.created_at.desc(), _REQUESTS.c.id),
    )
    return (
        sa.select(
            _REQUESTS.c.id,
            _REQUESTS.c.device_id,
            _REQUESTS.c.created_at,
            outcome.label("outcome"),
            place.label("place"),
        )
        .select_from(_REQUESTS)
        .outerjoin(_RESULTS, _RESULTS.c.request_id == _REQUESTS.c.id)
        .where(_readable(reader))
        .subquery("requested")
    )


def _part(column: sa.ColumnElement[datetime], edges: Sequence[datetime]) -> sa.ColumnElement[int]:
    """Between which edges a time lies, as a number from 0 on; one look at the rows counts all parts."""
    return sa.case(*((column < edge, number) for number, edge in enumerate(edges[1:])), else_=len(edges) - 2)


def _within(column: sa.ColumnElement[datetime], edges: Sequence[datetime]) -> sa.ColumnElement[bool]:
    return sa.and_(column >= edges[0], column < edges[-1])


def _begins(column: sa.ColumnElement[str], digits: str) -> sa.ColumnElement[bool]:
    """Whether hexadecimal digits begin with these; an index serves it, whatever the collation says of LIKE."""
    return sa.and_(column >= digits, column < digits + _HEX_LAST)
