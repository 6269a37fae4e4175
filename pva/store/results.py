"""What is on record of validations, for whoever may read it, and how long evidence is kept (D21).

Rule: every query is scoped by the reader. Evidence lies in a table of its own and is deleted when its time is over; the
signed result with its findings, and the audit leaf with the digest of the evidence, stay.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from edge.database import transaction
from edge.ledger_leaf import SALT_BYTES
from edge.process import RandomBytes
from edge.serialization import repeated
from pva.recheck.exporting import ExportableResult
from pva.results.explanation import SEES_ALL, Reader, RequestOnRecord, ResultOnRecord
from pva.store import tables
from pva.store.rows import refusal_of, state_of_request

DELETED_AT_ONCE_MAX = 500


class ResultStore:
    """Satisfies `pva.results.explanation.ValidationRecords` and `pva.recheck.exporting.ExportRecords`; deletes evidence."""

    def __init__(self, engine: sa.Engine, *, random_bytes: RandomBytes) -> None:
        """Work on an engine whose schema is migrated; `random_bytes` salts audit leaves."""
        self._engine = engine
        self._random_bytes = random_bytes

    def request_on_record(self, some_id: str, *, reader: Reader, at: datetime) -> RequestOnRecord | None:
        """See `pva.results.explanation.ValidationRecords`."""
        with transaction(self._engine, write=False) as connection:
            row = connection.execute(_readable(some_id, reader=reader)).mappings().first()
            if row is None:
                return None
            refusals = tables.refusals
            refused = connection.execute(
                sa.select(refusals).where(refusals.c.request_id == row["id"]).order_by(refusals.c.number)
            ).mappings()
            return RequestOnRecord(
                request_id=row["id"],
                device_id=row["device_id"],
                purpose=row["purpose"],
                state=state_of_request(row["expires_at"], answered=row["token"] is not None, at=at),
                result=None
                if row["token"] is None
                else ResultOnRecord(token=row["token"], issued_at=row["issued_at"], evidence=row["body"]),
                refusals=tuple(refusal_of(each) for each in refused),
                supplier=row["supplier"],
                hw_type=row["hw_type"],
            )

    def exportable(self, some_id: str, *, reader: Reader) -> ExportableResult | None:
        """See `pva.recheck.exporting.ExportRecords`."""
        grounds, ledger = tables.result_grounds, tables.ledger.table
        query = _readable(some_id, reader=reader).add_columns(
            grounds.c.parts,
            grounds.c.leaf_hash,
            ledger.c.record,
            ledger.c.salt,
            tables.runtime_policies.c.signed,
        )
        query = (
            query.outerjoin(grounds, grounds.c.result_id == tables.results.c.id)
            .outerjoin(ledger, ledger.c.leaf_hash == grounds.c.leaf_hash)
            .outerjoin(tables.runtime_policies, tables.runtime_policies.c.digest == grounds.c.runtime_policy)
        )
        with transaction(self._engine, write=False) as connection:
            row = connection.execute(query).mappings().first()
            if row is None or row["token"] is None:
                return None
            return ExportableResult(
                token=row["token"],
                evidence=row["body"],
                parts=None
                if row["parts"] is None
                else {name: base64.b64decode(part) for name, part in row["parts"].items()},
                runtime_policy=row["signed"],
                leaf_hash=row["leaf_hash"],
                record=row["record"],
                salt=row["salt"],
            )

    def signed_manifests(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """See `pva.recheck.exporting.ExportRecords`."""
        table = tables.manifests
        query = sa.select(table.c.digest, table.c.signed).where(table.c.digest.in_(digests))
        with transaction(self._engine, write=False) as connection:
            return {row.digest: row.signed for row in connection.execute(query)}

    def policy_texts(self, digests: Sequence[bytes]) -> Sequence[str]:
        """See `pva.recheck.exporting.ExportRecords`."""
        table = tables.policies
        query = sa.select(table.c.text).where(table.c.digest.in_(digests)).distinct()
        with transaction(self._engine, write=False) as connection:
            return tuple(connection.execute(query).scalars())

    @repeated
    def delete_evidence(self, *, at: datetime) -> int:
        """Delete evidence whose time is over, oldest first, at most `DELETED_AT_ONCE_MAX`; how much was deleted.

        One audit leaf says how much it was.
        """
        table = tables.evidence
        with transaction(self._engine) as connection:
            due = (
                connection.execute(
                    sa.select(table.c.result_id)
                    .where(table.c.kept_until <= at)
                    .order_by(table.c.kept_until)
                    .limit(DELETED_AT_ONCE_MAX)
                )
                .scalars()
                .all()
            )
            if due:
                connection.execute(sa.delete(table).where(table.c.result_id.in_(due)))
                tables.ledger.append(
                    connection,
                    kind="evidence-deleted",
                    subject="retention",
                    record={"count": len(due)},
                    at=at,
                    salt=self._random_bytes(SALT_BYTES),
                )
        return len(due)


def delete_what_is_due(store: ResultStore, *, at: datetime) -> None:
    """Delete all evidence whose time is over, in short transactions."""
    while store.delete_evidence(at=at) == DELETED_AT_ONCE_MAX:
        continue


def _readable(some_id: str, *, reader: Reader) -> sa.Select[Any]:
    """The request with this id or with the result of this id, with all that is on record of it."""
    requests, results, devices = tables.validation_requests, tables.results, tables.devices
    query = (
        sa.select(
            requests.c.id,
            requests.c.device_id,
            requests.c.purpose,
            requests.c.expires_at,
            results.c.token,
            results.c.issued_at,
            tables.evidence.c.body,
            devices.c.supplier,
            devices.c.hw_type,
        )
        .select_from(requests)
        .outerjoin(results, results.c.request_id == requests.c.id)
        .outerjoin(tables.evidence, tables.evidence.c.result_id == results.c.id)
        .outerjoin(devices, devices.c.device_id == requests.c.device_id)
        .where(sa.or_(requests.c.id == some_id, results.c.id == some_id))
    )
    if reader.role != SEES_ALL:
        query = query.where(requests.c.role == reader.role, requests.c.tenant == reader.tenant)
    return query
