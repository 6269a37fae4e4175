"""The CCIF's store on SQLAlchemy: satisfies the port that the use case declares.

Rule: one method, one transaction, with its audit leaf. A key stands here only until the ICF has it, sealed under a key
that is not in the database; the statement that stores the token takes it away.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from edge.database import transaction
from edge.ledger_leaf import SALT_BYTES
from edge.process import RandomBytes
from edge.secret_store import SecretStore
from edge.serialization import repeated
from operators.ccif import schema
from operators.ccif.connectivity import Credential
from standards.aka.milenage import KEY_SIZE, MilenageKey

ALLOTTED, ISSUED = "allotted", "issued"
_TABLE = schema.credentials


class Store:
    """Connectivity credentials."""

    def __init__(self, engine: sa.Engine, *, secrets: SecretStore, random_bytes: RandomBytes) -> None:
        """Work on an engine whose schema is migrated; `random_bytes` salts audit leaves."""
        self._engine = engine
        self._secrets = secrets
        self._random_bytes = random_bytes

    def owner(self, device_id: str) -> str | None:
        """See `operators.ccif.connectivity.CredentialStore`."""
        with transaction(self._engine, write=False) as connection:
            return connection.scalar(
                sa.select(_TABLE.c.tenant).where(_TABLE.c.device_id == device_id).limit(1)
            )

    def credential(self, device_id: str, *, storage_key_name: bytes) -> Credential | None:
        """See `operators.ccif.connectivity.CredentialStore`."""
        query = sa.select(_TABLE).where(
            _TABLE.c.device_id == device_id, _TABLE.c.storage_key_name == storage_key_name
        )
        with transaction(self._engine, write=False) as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else self._credential(row)

    @repeated
    def allot(self, credential: Credential, *, by: str, at: datetime) -> bool:
        """See `operators.ccif.connectivity.CredentialStore`."""
        if credential.key is None:
            raise ValueError("an allotted credential has a key")
        secret = credential.key.k + credential.key.opc
        row = {
            "pcid": credential.pcid,
            "tenant": credential.tenant,
            "device_id": credential.device_id,
            "storage_key_name": credential.storage_key_name,
            "state": ALLOTTED,
            "sealed_key": self._secrets.seal(secret, bound_to=_place(credential.pcid)),
            "allotted_at": at,
        }
        try:
            with transaction(self._engine) as connection:
                connection.execute(sa.insert(_TABLE).values(**row))
                record = {"pcid": credential.pcid, "tenant": credential.tenant, "caller": by}
                self._audit(
                    connection, kind="pcid-allotted", subject=credential.device_id, record=record, at=at
                )
        except IntegrityError:
            return False
        return True

    @repeated
    def issue(self, pcid: str, *, token: str, by: str, at: datetime) -> None:
        """See `operators.ccif.connectivity.CredentialStore`."""
        with transaction(self._engine) as connection:
            device_id = connection.scalar(
                sa.update(_TABLE)
                .where(_TABLE.c.pcid == pcid, _TABLE.c.state == ALLOTTED)
                .values(state=ISSUED, token=token, sealed_key=None)
                .returning(_TABLE.c.device_id)
            )
            if device_id is not None:
                record = {"pcid": pcid, "caller": by}
                self._audit(connection, kind="connectivity-issued", subject=device_id, record=record, at=at)

    def _credential(self, row: sa.RowMapping) -> Credential:
        key = None
        if row["sealed_key"] is not None:
            secret = self._secrets.open(row["sealed_key"], bound_to=_place(row["pcid"]))
            key = MilenageKey(k=secret[:KEY_SIZE], opc=secret[KEY_SIZE:])
        return Credential(
            pcid=row["pcid"],
            tenant=row["tenant"],
            device_id=row["device_id"],
            storage_key_name=row["storage_key_name"],
            key=key,
            token=row["token"],
        )

    def _audit(
        self, connection: sa.Connection, *, kind: str, subject: str, record: Mapping[str, Any], at: datetime
    ) -> None:
        salt = self._random_bytes(SALT_BYTES)
        schema.ledger.append(connection, kind=kind, subject=subject, record=record, at=at, salt=salt)


def _place(pcid: str) -> bytes:
    return b"pva/ccif/credential/1 " + pcid.encode("ascii")
