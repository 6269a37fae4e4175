"""Recognised suppliers and imported manifests in the PVA's store.

Rule: a manifest leaves the store only after its signature has been verified again, under the root that its
supplier has now and at the time of its import: a row that somebody changed in the database affirms nobody.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from cryptography import x509

from edge.database import transaction
from edge.ledger import SALT_BYTES
from edge.process import RandomBytes, logger
from edge.serialization import repeated
from pva import schema
from pva.appraisal import ReferenceManifest
from pva.recognition import ImportedManifest, RecognisedSupplier
from pva.refusals import RefusalCode, RefusalError
from standards.pki.errors import PkiError
from standards.pki.fingerprints import certificate_der, certificate_sha256
from standards.rats.corim import Manifest, verify_manifest
from standards.rats.errors import RatsError

KNOWN_MANIFESTS_READ_MAX = 1_000
"""Rows of one supplier that are looked through for manifests of a model, the newest first."""


class ReferenceStore:
    """Satisfies `pva.recognition.RecognitionStore` and `pva.validation.References`."""

    def __init__(self, engine: sa.Engine, *, random_bytes: RandomBytes) -> None:
        """Work on an engine whose schema is migrated; `random_bytes` salts audit leaves."""
        self._engine = engine
        self._random_bytes = random_bytes

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
            self._audit(
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
            )

    @repeated
    def add_manifest(self, manifest: ImportedManifest) -> None:
        """See `pva.recognition.RecognitionStore`."""
        table = schema.manifests
        same_version = sa.and_(
            table.c.supplier == manifest.supplier,
            table.c.manifest_id == manifest.id,
            table.c.svn == manifest.svn,
        )
        with transaction(self._engine) as connection:
            known = connection.execute(
                sa.select(table.c.digest).where(sa.or_(table.c.digest == manifest.digest, same_version))
            ).scalars()
            digests = set(known)
            if manifest.digest in digests:
                return
            if digests:
                raise RefusalError(
                    RefusalCode.MANIFEST_CONFLICT,
                    subject=f"manifest {manifest.id!r} with security version {manifest.svn}",
                    reason="another manifest of this supplier has this id and version on record",
                )
            connection.execute(
                sa.insert(table).values(
                    digest=manifest.digest,
                    supplier=manifest.supplier,
                    manifest_id=manifest.id,
                    svn=manifest.svn,
                    models=list(manifest.models),
                    signed=manifest.signed,
                    imported_by=manifest.imported_by,
                    imported_at=manifest.imported_at,
                )
            )
            self._audit(
                connection,
                kind="manifest-imported",
                subject=manifest.supplier,
                record={
                    "id": manifest.id,
                    "digest": manifest.digest.hex(),
                    "svn": manifest.svn,
                    "models": list(manifest.models),
                    "by": manifest.imported_by,
                },
                at=manifest.imported_at,
            )

    def manifests(self) -> Sequence[ImportedManifest]:
        """Every imported manifest, oldest first."""
        query = sa.select(schema.manifests).order_by(
            schema.manifests.c.imported_at, schema.manifests.c.digest
        )
        with transaction(self._engine, write=False) as connection:
            return tuple(_manifest_of(row) for row in connection.execute(query).mappings())

    def reference_manifest(self, digest: bytes) -> ReferenceManifest | None:
        """See `pva.validation.References`. Raises an error of the formats where the row was altered."""
        query = (
            sa.select(schema.manifests, schema.suppliers.c.root, schema.suppliers.c.models.label("permitted"))
            .join(schema.suppliers, schema.suppliers.c.name == schema.manifests.c.supplier)
            .where(schema.manifests.c.digest == digest)
        )
        with transaction(self._engine, write=False) as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            return None
        root = x509.load_der_x509_certificate(row["root"])
        verified = verify_manifest(row["signed"], anchors=[root], at=row["imported_at"])
        if verified.digest != digest:
            raise RefusalError(
                RefusalCode.MANIFEST_MISMATCH,
                subject=f"manifest {row['manifest_id']!r}",
                reason="the stored bytes are not those that its digest names",
            )
        return ReferenceManifest(
            manifest=verified.manifest,
            digest=digest,
            permitted_models=dict(row["permitted"]),
            imported_at=row["imported_at"],
        )

    def known_manifests(
        self, *, supplier: str, hw_type: str, first: bytes | None, count_max: int
    ) -> Sequence[Manifest]:
        """See `pva.explanation.KnownManifests`; a row that was altered is left out, with a line in the log."""
        table, suppliers = schema.manifests, schema.suppliers
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
            held = self.reference_manifest(digest)
        except (PkiError, RatsError, RefusalError) as error:
            logger("references").error("manifest-altered", digest=digest.hex(), reason=str(error))
            return None
        return None if held is None else held.manifest

    def _audit(
        self, connection: sa.Connection, *, kind: str, subject: str, record: Mapping[str, Any], at: datetime
    ) -> None:
        schema.ledger.append(
            connection,
            kind=kind,
            subject=subject,
            record=record,
            at=at,
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


def _manifest_of(row: sa.RowMapping) -> ImportedManifest:
    return ImportedManifest(
        digest=row["digest"],
        id=row["manifest_id"],
        supplier=row["supplier"],
        svn=row["svn"],
        models=tuple(row["models"]),
        signed=row["signed"],
        imported_by=row["imported_by"],
        imported_at=row["imported_at"],
    )
