"""Recognised suppliers in the PVA's store, with the manifests that `pva.manifest_store` keeps.

Rule: a name has one root and a root has one name, for good; what changes is what the supplier may certify.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from cryptography import x509

from edge.database import transaction
from edge.ledger import SALT_BYTES
from edge.serialization import repeated
from pva import schema
from pva.manifest_store import ManifestStore
from pva.recognition import RecognisedSupplier
from pva.refusals import RefusalCode, RefusalError
from standards.pki.fingerprints import certificate_der, certificate_sha256


class ReferenceStore(ManifestStore):
    """Satisfies `pva.recognition.RecognitionStore` and `pva.validation.References`."""

    def suppliers(self) -> Sequence[RecognisedSupplier]:
        """Every recognised supplier, by name."""
        query = sa.select(schema.suppliers).order_by(schema.suppliers.c.name)
        with transaction(self._engine, write=False) as connection:
            return tuple(_supplier_of(row) for row in connection.execute(query).mappings())

    @repeated
    def save_supplier(self, supplier: RecognisedSupplier) -> None:
        """See `pva.recognition.RecognitionStore`."""
        table = schema.suppliers
        root_sha256 = bytes.fromhex(certificate_sha256(supplier.root))
        row = {
            "name": supplier.name,
            "root": certificate_der(supplier.root),
            "root_sha256": root_sha256,
            "models": dict(supplier.models),
            "ocsp_url": supplier.ocsp_url,
            "recognised_by": supplier.recognised_by,
            "recognised_at": supplier.recognised_at,
        }
        with transaction(self._engine) as connection:
            same = sa.or_(table.c.name == supplier.name, table.c.root_sha256 == root_sha256)
            known = connection.execute(sa.select(table).where(same)).mappings().all()
            for other in known:
                if (other["name"], other["root_sha256"]) != (supplier.name, root_sha256):
                    raise RefusalError(
                        RefusalCode.SUPPLIER_CONFLICT,
                        subject=f"supplier {supplier.name!r}",
                        reason=f"{other['name']!r} is recognised with root {other['root_sha256'].hex()}",
                    )
            if known:
                connection.execute(sa.update(table).where(table.c.name == supplier.name).values(**row))
            else:
                connection.execute(sa.insert(table).values(**row))
            schema.ledger.append(
                connection,
                kind="supplier-recognised",
                subject=supplier.name,
                record={
                    "root_sha256": root_sha256.hex(),
                    "models": dict(supplier.models),
                    "ocsp_url": supplier.ocsp_url,
                    "by": supplier.recognised_by,
                },
                at=supplier.recognised_at,
                salt=self._random_bytes(SALT_BYTES),
            )


def _supplier_of(row: sa.RowMapping) -> RecognisedSupplier:
    return RecognisedSupplier(
        name=row["name"],
        root=x509.load_der_x509_certificate(row["root"]),
        models=dict(row["models"]),
        ocsp_url=row["ocsp_url"],
        recognised_by=row["recognised_by"],
        recognised_at=row["recognised_at"],
    )
