"""A product line by pages of devices, and what is issued to a page: a few statements, however many devices."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from itertools import groupby

import sqlalchemy as sa

from ca.lifecycle import DeviceState, Reason, Status
from ca.profiles import PROFILES
from ca.records import Intent, LineCredential, LineDevice, Renewal, Signed, serial_text
from ca.store import tables
from ca.store.certificates import FIRST_VERSION, STATUS_SEQUENCE
from ca.store.rows import Rows
from edge.many_rows import insert_all, update_all
from standards.pki.fingerprints import CA_ID_HEX_DIGITS

_INTENT = tuple(each.name for each in fields(Intent))
_RENEWAL = tuple(each.name for each in fields(Renewal))
_CA_KINDS = tuple(str(kind) for kind, profile in PROFILES.items() if profile.is_ca)


def _has_a_ca(spki_sha256: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether a key was certified for a CA here, or is that of a CA that is known here."""
    certified, authorities = tables.certificates.alias("certified"), tables.authorities
    return sa.or_(
        sa.exists().where(certified.c.spki_sha256 == spki_sha256, certified.c.kind.in_(_CA_KINDS)),
        sa.exists().where(authorities.c.ca_id == sa.func.substr(spki_sha256, 1, CA_ID_HEX_DIGITS)),
    )


class LineRows(Rows):
    """Enrolled devices of a model."""

    def line_devices(self, supplier: str, model: str, *, after: str, limit: int) -> list[LineDevice]:
        """Enrolled devices of a model whose id is above `after`, by id, at most `limit`, with their PfCs."""
        devices, issued, history = tables.devices, tables.certificates, tables.certificate_status
        page = (
            sa.select(devices.c.device_id, devices.c.ak_name)
            .where(
                devices.c.supplier == supplier,
                devices.c.model == model,
                devices.c.state == str(DeviceState.ENROLLED),
                devices.c.device_id > after,
            )
            .order_by(devices.c.device_id)
            .limit(limit)
            .subquery()
        )
        later = history.alias("later")
        # by the end of the key's own index; "there is no newer" was planned by CA alone on a store without statistics
        newest = (
            sa.select(sa.func.max(later.c.version))
            .where(later.c.ca_id == history.c.ca_id, later.c.serial == history.c.serial)
            .scalar_subquery()
        )
        query = (
            sa.select(
                page.c.device_id,
                page.c.ak_name,
                issued.c.ca_id,
                issued.c.serial,
                issued.c.ak_name.label("of_ak"),
                issued.c.spki_sha256,
                issued.c.der,
                history.c.status,
                history.c.reason,
                _has_a_ca(issued.c.spki_sha256).label("issuing"),
            )
            .select_from(page.join(issued, issued.c.device_id == page.c.device_id).join(history))
            .where(history.c.version == newest)
            .order_by(page.c.device_id, issued.c.issued_at, issued.c.serial)
        )
        rows = self._connection.execute(query).all()
        return [
            LineDevice(
                device_id=device_id,
                ak_name=ak_name,
                credentials=tuple(
                    LineCredential(
                        ca_id=row.ca_id,
                        serial=int(row.serial, 16),
                        ak_name=row.of_ak,
                        spki_sha256=row.spki_sha256,
                        der=row.der,
                        status=Status(row.status),
                        reason=None if row.reason is None else Reason(row.reason),
                        issuing=bool(row.issuing),
                    )
                    for row in of_device
                ),
            )
            for (device_id, ak_name), of_device in groupby(rows, key=lambda row: (row.device_id, row.ak_name))
        ]

    def add_renewals(self, renewals: Sequence[Renewal]) -> None:
        """Record what takes the place of credentials; a second one for the same is an IntegrityError."""
        rows = [
            {
                **{name: getattr(each, name) for name in _RENEWAL},
                "serial": serial_text(each.serial),
                "new_serial": serial_text(each.new_serial),
            }
            for each in renewals
        ]
        insert_all(self._connection, tables.renewals, rows)

    def status_counted(self) -> int:
        """The last number that a change of some status took: as long as it stands, no status has changed."""
        return self.counted(STATUS_SEQUENCE)

    def record_intents(self, intents: Sequence[Intent]) -> None:
        """Reserve (CA, serial) of each before anything is signed."""
        rows = [
            {
                **{name: getattr(each, name) for name in _INTENT},
                "kind": str(each.kind),
                "serial": serial_text(each.serial),
            }
            for each in intents
        ]
        insert_all(self._connection, tables.certificates, rows)

    def record_certificates(self, signed: Sequence[Signed], *, at: datetime) -> None:
        """Complete the intents with what was signed; the first status of each is good, and in the feed."""
        table = tables.certificates
        texts = [serial_text(each.serial) for each in signed]
        changed = update_all(
            self._connection,
            table,
            [
                {"ca_id": each.ca_id, "serial": text, "der": each.der, "not_after": each.not_after}
                for each, text in zip(signed, texts, strict=True)
            ],
            key=("ca_id", "serial"),
            where=table.c.der.is_(None),
        )
        if changed != len(signed):
            raise ValueError(f"expected {len(signed)} intents to be completed, got {changed}")
        numbers = self.next_numbers(STATUS_SEQUENCE, len(signed))
        first = {"version": FIRST_VERSION, "status": str(Status.GOOD), "reason": None, "changed_at": at}
        insert_all(
            self._connection,
            tables.certificate_status,
            [
                {"seq": seq, "ca_id": each.ca_id, "serial": text, **first}
                for seq, each, text in zip(numbers, signed, texts, strict=True)
            ],
        )

    def note_reissues(self, manifest_digest: bytes, issued: Mapping[str, Signed]) -> None:
        """Note for each device id what it got under a manifest; a second time is an IntegrityError."""
        rows = [
            {
                "manifest_digest": manifest_digest,
                "device_id": device_id,
                "ca_id": each.ca_id,
                "serial": serial_text(each.serial),
            }
            for device_id, each in issued.items()
        ]
        insert_all(self._connection, tables.reissues, rows)
