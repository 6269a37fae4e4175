"""Issued certificates, their status history, the change feed and CRLs."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ca.lifecycle import Reason, Status
from ca.profiles import Kind
from ca.records import (
    DueRenewal,
    Intent,
    Issued,
    Renewal,
    RevocationList,
    Revoked,
    StatusChange,
    serial_text,
)
from ca.store import tables
from ca.store.rows import Rows
from standards.pki.fingerprints import CA_ID_HEX_DIGITS

STATUS_SEQUENCE = "status"
FIRST_VERSION = 1
_FIRST = sa.literal(FIRST_VERSION, literal_execute=True)
"""As it stands in the index `ix_certificate_status_changes`, so that it serves."""


def _with_present_status() -> sa.Select[Any]:
    table, history = tables.certificates, tables.certificate_status
    later = history.alias("later")
    newest = (
        sa.select(sa.func.max(later.c.version))
        .where(later.c.ca_id == table.c.ca_id, later.c.serial == table.c.serial)
        .scalar_subquery()
    )
    return (
        sa.select(table, history.c.status, history.c.reason, history.c.changed_at, history.c.version)
        .select_from(table.join(history))
        .where(history.c.version == newest)
        .order_by(table.c.issued_at, table.c.serial)
    )


_WITH_PRESENT_STATUS = _with_present_status()


def _present_revocations() -> sa.Select[Any]:
    table, history = tables.certificates, tables.certificate_status
    later = history.alias("later")
    superseded = sa.exists().where(
        later.c.ca_id == history.c.ca_id,
        later.c.serial == history.c.serial,
        later.c.version > history.c.version,
    )
    return (
        sa.select(history.c.serial, history.c.reason, history.c.changed_at, table.c.not_after)
        .select_from(history.join(table))
        .where(history.c.status == str(Status.REVOKED), ~superseded)
        .order_by(history.c.seq)
    )


_REVOKED = _present_revocations()


class CertificateRows(Rows):
    """Certificates and their status."""

    def record_intent(self, intent: Intent) -> None:
        """Reserve (CA, serial) before anything is signed; a serial number that is taken is an IntegrityError."""
        values = {**asdict(intent), "kind": str(intent.kind), "serial": serial_text(intent.serial)}
        self._connection.execute(sa.insert(tables.certificates).values(**values))

    def record_certificate(
        self, *, ca_id: str, serial: int, der: bytes, not_after: datetime, at: datetime
    ) -> None:
        """Complete an intent with what was signed; its first status is good, version 1."""
        table = tables.certificates
        change = (
            sa.update(table)
            .where(table.c.ca_id == ca_id, table.c.serial == serial_text(serial), table.c.der.is_(None))
            .values(der=der, not_after=not_after)
        )
        if self._connection.execute(change).rowcount != 1:
            raise ValueError(f"no intent for the certificate {serial_text(serial)} of {ca_id}")
        self._add_status(ca_id, serial_text(serial), version=FIRST_VERSION, status=Status.GOOD, at=at)

    def certificate(self, ca_id: str, serial: int) -> Issued | None:
        """The certificate with its present status; (issuer, serial) always go together."""
        table = tables.certificates
        found = self._issued(table.c.ca_id == ca_id, table.c.serial == serial_text(serial))
        return found[0] if found else None

    def certificates_of_device(self, device_id: str) -> list[Issued]:
        """All PfCs of a device, oldest first."""
        return self._issued(tables.certificates.c.device_id == device_id)

    def kinds_of_key(self, spki_sha256: str) -> frozenset[Kind]:
        """Everything that a key was ever certified for here; CAs that are known here count too."""
        table, authorities = tables.certificates, tables.authorities
        certified = sa.select(table.c.kind).where(table.c.spki_sha256 == spki_sha256)
        known = sa.select(authorities.c.kind).where(authorities.c.ca_id == spki_sha256[:CA_ID_HEX_DIGITS])
        found = self._connection.execute(sa.union(certified, known)).scalars()
        return frozenset(Kind(each) for each in found)

    def certificates_of_key(self, kind: Kind, *, spki_sha256: str) -> list[Issued]:
        """Certificates of this kind for a key, oldest first."""
        table = tables.certificates
        return self._issued(table.c.kind == str(kind), table.c.spki_sha256 == spki_sha256)

    def revoked_certificates(self, ca_id: str, *, partition: int = 0) -> list[Revoked]:
        """Certificates of a CA's partition whose present status is revoked, oldest first."""
        words = {str(reason): reason for reason in Reason}
        query = _REVOKED.where(
            tables.certificate_status.c.ca_id == ca_id, tables.certificates.c.crl_partition == partition
        )
        return [
            Revoked(serial=int(serial, 16), reason=words[reason], changed_at=changed_at, not_after=not_after)
            for serial, reason, changed_at, not_after in self._connection.execute(query)
        ]

    def last_revocation_seq(self, ca_id: str, *, partition: int = 0) -> int:
        """Seq of the last change of status (revoked, held, released) in a CA's partition, 0 before the first."""
        table, history = tables.certificates, tables.certificate_status
        query = (
            sa.select(sa.func.max(history.c.seq))
            .select_from(history.join(table))
            .where(
                history.c.ca_id == ca_id,
                history.c.version > _FIRST,
                table.c.crl_partition == partition,
            )
        )
        return int(self._connection.execute(query).scalar_one() or 0)

    def key_compromised(self, ak_name: bytes) -> bool:
        """Whether some PfC of this AK was ever revoked for keyCompromise."""
        table, history = tables.certificates, tables.certificate_status
        query = (
            sa.select(sa.func.count())
            .select_from(table.join(history))
            .where(table.c.ak_name == ak_name, history.c.reason == str(Reason.KEY_COMPROMISE))
        )
        return bool(self._connection.execute(query).scalar_one())

    def change_status(self, issued: Issued, *, status: Status, reason: Reason | None, at: datetime) -> int:
        """Append the next status row; two that start from the same version cannot both succeed."""
        version = issued.version + 1
        serial = serial_text(issued.serial)
        self._add_status(issued.ca_id, serial, version=version, status=status, at=at, reason=reason)
        return version

    def renewal(self, ca_id: str, serial: int) -> Renewal | None:
        """What took the place of a credential."""
        table = tables.renewals
        query = sa.select(table).where(table.c.ca_id == ca_id, table.c.serial == serial_text(serial))
        row = self._connection.execute(query).mappings().one_or_none()
        if row is None:
            return None
        numbers = {name: int(row[name], 16) for name in ("serial", "new_serial")}
        return Renewal(**{**row, **numbers})

    def add_renewal(self, renewal: Renewal) -> None:
        """Record what takes the place of a credential; a second one for the same is an IntegrityError."""
        texts = {name: serial_text(getattr(renewal, name)) for name in ("serial", "new_serial")}
        self._connection.execute(sa.insert(tables.renewals).values(**{**asdict(renewal), **texts}))

    def due_renewals(self, *, at: datetime, count_max: int) -> list[DueRenewal]:
        """Good credentials with a renewal whose window is closed, oldest first."""
        table, issued, history = tables.renewals, tables.certificates, tables.certificate_status
        query = (
            _WITH_PRESENT_STATUS.add_columns(table.c.ends_at)
            .join(table, sa.and_(table.c.ca_id == issued.c.ca_id, table.c.serial == issued.c.serial))
            .where(table.c.ends_at < at, history.c.status == str(Status.GOOD))
            .order_by(None)
            .order_by(table.c.ends_at, issued.c.serial)
            .limit(count_max)
        )
        return [
            DueRenewal(issued=_issued(row, beside="ends_at"), ends_at=row["ends_at"])
            for row in self._connection.execute(query).mappings()
        ]

    def status_changes(self, *, after: int, limit: int) -> list[StatusChange]:
        """Changes of issuing CAs' certificates with a seq above `after`, in order, at most `limit`."""
        history, issued, authorities = tables.certificate_status, tables.certificates, tables.authorities
        devices = tables.devices
        query = (
            sa.select(history, issued.c.not_after, devices.c.model, devices.c.batch)
            .select_from(
                history.join(issued)
                .join(authorities, authorities.c.ca_id == issued.c.ca_id)
                .outerjoin(devices, devices.c.device_id == issued.c.device_id)
            )
            .where(history.c.seq > after, authorities.c.kind == str(Kind.ISSUING_CA))
            .order_by(history.c.seq)
            .limit(limit)
        )
        return [
            StatusChange(
                **{
                    **row,
                    "serial": int(row["serial"], 16),
                    "status": Status(row["status"]),
                    "reason": None if row["reason"] is None else Reason(row["reason"]),
                }
            )
            for row in self._connection.execute(query).mappings()
        ]

    def _add_status(
        self,
        ca_id: str,
        serial: str,
        *,
        version: int,
        status: Status,
        at: datetime,
        reason: Reason | None = None,
    ) -> None:
        self._connection.execute(
            sa.insert(tables.certificate_status).values(
                seq=self.next_number(STATUS_SEQUENCE),
                ca_id=ca_id,
                serial=serial,
                version=version,
                status=str(status),
                reason=None if reason is None else str(reason),
                changed_at=at,
            )
        )

    def _issued(self, *conditions: sa.ColumnElement[bool]) -> list[Issued]:
        query = _WITH_PRESENT_STATUS.where(*conditions)
        return [_issued(row) for row in self._connection.execute(query).mappings()]


class RevocationListRows(Rows):
    """Published CRLs."""

    def newest_revocation_list(self, ca_id: str, *, partition: int = 0) -> RevocationList | None:
        """The CRL of the partition with the highest number."""
        table = tables.revocation_lists
        query = (
            sa.select(table)
            .where(table.c.ca_id == ca_id, table.c.partition == partition)
            .order_by(table.c.number.desc())
            .limit(1)
        )
        row = self._connection.execute(query).mappings().one_or_none()
        return None if row is None else RevocationList(**row)

    def add_revocation_list(self, published: RevocationList) -> None:
        """Record a CRL; its number must be new."""
        self._connection.execute(sa.insert(tables.revocation_lists).values(**asdict(published)))


def _issued(row: Any, *, beside: str = "") -> Issued:
    """A certificate out of its row; `beside` is a column that is not its own."""
    values = {name: row[name] for name in row if name not in ("spki_sha256", beside)}
    return Issued(
        **{
            **values,
            "serial": int(row["serial"], 16),
            "kind": Kind(row["kind"]),
            "status": Status(row["status"]),
            "reason": None if row["reason"] is None else Reason(row["reason"]),
        }
    )
