"""What a validation looks up in the PVA's store: suppliers and manifests, and what explains a device's state.

Rule: a row that was altered explains nothing, and hides nothing else.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from edge.database import transaction
from edge.process import logger
from pva.refusals import RefusalError
from pva.store import tables
from pva.store.suppliers import SupplierStore
from standards.pki.errors import PkiError
from standards.rats.corim import Manifest
from standards.rats.errors import RatsError

KNOWN_MANIFESTS_READ_MAX = 1_000
"""Rows of one supplier that are looked through for manifests of a model, the newest first."""


class ReferenceStore(SupplierStore):
    """Satisfies `pva.manifests.recognition.RecognitionStore`, and what `pva.validation.ReferencesNow` asks of suppliers and manifests."""

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
