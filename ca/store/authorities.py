"""CAs, the models that they certify, and their reference manifests and batches."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from ca.lifecycle import AuthorityState
from ca.profiles import Kind
from ca.records import Authority, Batch, ManifestRecord, Model
from ca.store import tables
from ca.store.rows import Rows


class AuthorityRows(Rows):
    """CAs and models."""

    def authority(self, ca_id: str) -> Authority | None:
        """The CA with this id."""
        return self._one(tables.authorities.c.ca_id == ca_id)

    def root(self, kind: Kind, *, supplier: str | None = None) -> Authority | None:
        """The root of this kind that has no successor; for an ES root, that of the supplier."""
        table = tables.authorities
        return self._one(
            table.c.kind == str(kind), table.c.supplier == (supplier or ""), table.c.successor.is_(None)
        )

    def roots(self, kind: Kind, *, supplier: str | None = None) -> list[Authority]:
        """All generations of a root, oldest first: each is followed by its successor, whatever their times say."""
        found = {each.ca_id: each for each in self.authorities(kind) if each.supplier == supplier}
        following = {each.successor for each in found.values()}
        generations: list[Authority] = []
        for first in (each for each in found.values() if each.ca_id not in following):
            generation: Authority | None = first
            while generation is not None:
                generations.append(generation)
                generation = found.get(generation.successor or "")
        return generations

    def authority_named(self, kind: Kind, *, supplier: str, name: str) -> Authority | None:
        """The CA of the supplier with this name."""
        table = tables.authorities
        return self._one(table.c.kind == str(kind), table.c.supplier == supplier, table.c.name == name)

    def authorities(self, *kinds: Kind) -> list[Authority]:
        """All CAs of these kinds, oldest first."""
        table = tables.authorities
        query = (
            sa.select(table)
            .where(table.c.kind.in_([str(kind) for kind in kinds]))
            .order_by(table.c.created_at, table.c.ca_id)
        )
        return [_authority(row) for row in self._connection.execute(query).mappings()]

    def add_authority(self, authority: Authority) -> None:
        """Record a new CA."""
        values = {
            **asdict(authority),
            "kind": str(authority.kind),
            "state": str(authority.state),
            "supplier": authority.supplier or "",
        }
        self._connection.execute(sa.insert(tables.authorities).values(**values))

    def activate_authority(self, ca_id: str, *, certificate: bytes) -> bool:
        """Give a pending CA its certificate; False when it was not pending."""
        table = tables.authorities
        change = (
            sa.update(table)
            .where(table.c.ca_id == ca_id, table.c.state == str(AuthorityState.PENDING))
            .values(state=str(AuthorityState.ACTIVE), certificate=certificate)
        )
        return self._connection.execute(change).rowcount == 1

    def retire_authority(self, ca_id: str) -> None:
        """Mark a CA as revoked: it signs no certificate any more."""
        table = tables.authorities
        self._connection.execute(
            sa.update(table).where(table.c.ca_id == ca_id).values(state=str(AuthorityState.REVOKED))
        )

    def supersede_authority(self, ca_id: str, *, successor: str, name: str) -> bool:
        """Let an active CA be followed by another of its name; False when it is not active."""
        table = tables.authorities
        change = (
            sa.update(table)
            .where(table.c.ca_id == ca_id, table.c.state == str(AuthorityState.ACTIVE))
            .values(state=str(AuthorityState.SUPERSEDED), successor=successor, name=name)
        )
        return self._connection.execute(change).rowcount == 1

    def cross_certify(
        self, ca_id: str, *, by_predecessor: bytes | None = None, by_successor: bytes | None = None
    ) -> None:
        """Keep the certificate of this CA's key that a neighbouring generation signed, DER."""
        given = {"by_predecessor": by_predecessor, "by_successor": by_successor}
        table = tables.authorities
        values = {name: der for name, der in given.items() if der is not None}
        self._connection.execute(sa.update(table).where(table.c.ca_id == ca_id).values(**values))

    def move_models(self, *, before: str, after: str) -> None:
        """Let an issuing CA certify the models of the one before it."""
        table = tables.models
        self._connection.execute(sa.update(table).where(table.c.ca_id == before).values(ca_id=after))

    def raise_crl_partitions(self, ca_id: str, *, count: int) -> bool:
        """Give a CA `count` partitions; False when it has as many or more."""
        table = tables.authorities
        change = (
            sa.update(table)
            .where(table.c.ca_id == ca_id, table.c.crl_partitions < count)
            .values(crl_partitions=count)
        )
        return self._connection.execute(change).rowcount == 1

    def model(self, supplier: str, model: str) -> Model | None:
        """The model of this name."""
        table = tables.models
        query = sa.select(table).where(table.c.supplier == supplier, table.c.model == model)
        row = self._connection.execute(query).mappings().one_or_none()
        return None if row is None else Model(**row)

    def models_of(self, *, supplier: str | None = None, ca_id: str | None = None) -> list[Model]:
        """Models of a supplier or of an issuing CA, by name."""
        table = tables.models
        query = sa.select(table).order_by(table.c.supplier, table.c.model)
        if supplier is not None:
            query = query.where(table.c.supplier == supplier)
        if ca_id is not None:
            query = query.where(table.c.ca_id == ca_id)
        return [Model(**row) for row in self._connection.execute(query).mappings()]

    def add_model(self, *, supplier: str, model: str, ca_id: str) -> Model:
        """Record a new model under the next free number."""
        added = Model(supplier=supplier, model=model, ca_id=ca_id, hw_type=self.next_number("hw-type"))
        values = {"supplier": supplier, "model": model, "ca_id": ca_id, "hw_type": added.hw_type}
        self._connection.execute(sa.insert(tables.models).values(**values))
        return added

    def _one(self, *conditions: sa.ColumnElement[bool]) -> Authority | None:
        query = sa.select(tables.authorities).where(*conditions)
        row = self._connection.execute(query).mappings().one_or_none()
        return None if row is None else _authority(row)


class SupplyRows(Rows):
    """Batches and reference manifests."""

    def batch(self, supplier: str, batch: str) -> Batch | None:
        """The batch of this name."""
        table = tables.batches
        query = sa.select(table).where(table.c.supplier == supplier, table.c.batch == batch)
        row = self._connection.execute(query).mappings().one_or_none()
        return None if row is None else Batch(**row)

    def batch_of_digest(self, supplier: str, claims_sha256: str) -> Batch | None:
        """The batch of a supplier that was imported with this content."""
        table = tables.batches
        query = sa.select(table).where(table.c.supplier == supplier, table.c.claims_sha256 == claims_sha256)
        row = self._connection.execute(query).mappings().first()
        return None if row is None else Batch(**row)

    def add_batch(self, batch: Batch) -> None:
        """Record an imported batch."""
        values = {column.name: getattr(batch, column.name) for column in tables.batches.c}
        self._connection.execute(sa.insert(tables.batches).values(**values))

    def manifest(self, supplier: str, manifest_id: str) -> ManifestRecord | None:
        """The manifest with this id."""
        table = tables.manifests
        found = self._manifests(table.c.supplier == supplier, table.c.manifest_id == manifest_id)
        return found[0] if found else None

    def manifest_of_digest(self, digest: bytes) -> ManifestRecord | None:
        """The accepted manifest with this digest of its signed form."""
        found = self._manifests(tables.manifests.c.digest == digest)
        return found[0] if found else None

    def current_manifest(self, supplier: str, model: str) -> ManifestRecord | None:
        """The manifest that new PfCs of this model name."""
        links = tables.manifest_models
        query = sa.select(links.c.manifest_id).where(
            links.c.supplier == supplier, links.c.model == model, links.c.current.is_(True)
        )
        manifest_id = self._connection.execute(query).scalar_one_or_none()
        return None if manifest_id is None else self.manifest(supplier, manifest_id)

    def add_manifest(self, manifest: ManifestRecord) -> None:
        """Record a manifest and make it the current one of each of its models."""
        values = {column.name: getattr(manifest, column.name) for column in tables.manifests.c}
        self._connection.execute(sa.insert(tables.manifests).values(**values))
        links = tables.manifest_models
        for model in manifest.models:
            self._connection.execute(
                sa.update(links)
                .where(links.c.supplier == manifest.supplier, links.c.model == model)
                .values(current=False)
            )
            self._connection.execute(
                sa.insert(links).values(
                    supplier=manifest.supplier, manifest_id=manifest.manifest_id, model=model, current=True
                )
            )

    def _manifests(self, *conditions: sa.ColumnElement[bool]) -> Sequence[ManifestRecord]:
        links = tables.manifest_models
        found = []
        for row in self._connection.execute(sa.select(tables.manifests).where(*conditions)).mappings():
            query = (
                sa.select(links.c.model)
                .where(links.c.supplier == row["supplier"], links.c.manifest_id == row["manifest_id"])
                .order_by(links.c.model)
            )
            named = tuple(self._connection.execute(query).scalars())
            found.append(ManifestRecord(**row, models=named))
        return found


def _authority(row: Any) -> Authority:
    words = {"kind": Kind(row["kind"]), "state": AuthorityState(row["state"])}
    return Authority(**{**row, **words, "supplier": row["supplier"] or None})
