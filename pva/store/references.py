"""Recognised suppliers in the PVA's store, with the manifests that `pva.store.manifests` keeps.

Rule: a name has one root and a root has one name, for good; what changes is what the supplier may certify.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from cryptography import x509

from edge.database import transaction
from edge.ledger import SALT_BYTES
from edge.process import logger
from edge.serialization import repeated
from pva.manifests.recognition import RecognisedSupplier
from pva.refusals import RefusalCode, RefusalError
from pva.store import tables
from pva.store.manifests import ManifestStore
from standards.pki.errors import PkiError
from standards.pki.fingerprints import certificate_der, certificate_sha256
from standards.rats.corim import Manifest
from standards.rats.errors import RatsError

KNOWN_MANIFESTS_READ_MAX = 1_000
"""Rows of one supplier that are looked through for manifests of a model, the newest first."""


class ReferenceStore(ManifestStore):
    """Satisfies `pva.manifests.recognition.RecognitionStore` and `pva.validation.References`."""

    def suppliers(self) -> Sequence[RecognisedSupplier]:
        """Every recognised supplier, by name."""
        query = sa.select(tables.suppliers).order_by(tables.suppliers.c.name)
        with transaction(self._engine, write=False) as connection:
            return tuple(_supplier_of(row) for row in connection.execute(query).mappings())

    @repeated
    def save_supplier(self, supplier: RecognisedSupplier) -> None:
        """See `pva.manifests.recognition.RecognitionStore`."""
        table = tables.suppliers
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
            tables.ledger.append(
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

    def known_manifests(
        self, *, supplier: str, hw_type: str, first: bytes | None, count_max: int
    ) -> Sequence[Manifest]:
        """See `pva.results.explanation.KnownManifests`; a row that was altered is left out, with a line in the log."""
        table, suppliers = tables.manifests, tables.suppliers
        query = (
            sa.select(table.c.digest, table.c.models, suppliers.c.models.label("permitted"))
            .join(suppliers, suppliers.c.name == table.c.supplier)
            .where(table.c.supplier == supplier)
            .order_by(table.c.digest != (first or b""), table.c.svn.desc(), table.c.imported_at.desc())
            .limit(KNOWN_MANIFESTS_READ_MAX)
        )
        with transaction(self._engine, write=False) as connection:
            rows = connection.execute(query).mappings().all()
        of_model = [
            row["digest"]
            for row in rows
            if hw_type in {row["permitted"].get(model) for model in row["models"]}
        ]
        held = (self._explaining(digest) for digest in of_model[:count_max])
        return tuple(each for each in held if each is not None)

    def _explaining(self, digest: bytes) -> Manifest | None:
        """A manifest, unless its row was altered: then it explains nothing, and hides nothing else."""
        try:
            chain = self.manifest_chain(digest)
        except (PkiError, RatsError, RefusalError) as error:
            logger("references").error("manifest-altered", digest=digest.hex(), reason=str(error))
            return None
        return None if chain is None else chain.named.manifest


def _supplier_of(row: sa.RowMapping) -> RecognisedSupplier:
    return RecognisedSupplier(
        name=row["name"],
        root=x509.load_der_x509_certificate(row["root"]),
        models=dict(row["models"]),
        ocsp_url=row["ocsp_url"],
        recognised_by=row["recognised_by"],
        recognised_at=row["recognised_at"],
    )
