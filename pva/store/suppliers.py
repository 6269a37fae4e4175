"""Recognised suppliers, trust lists and suspensions in the PVA's store.

Rule: a name has one root and a root has one name, for good; what changes is what the supplier may certify, and who says
so. A trust list and what it says of suppliers are one transaction.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

import sqlalchemy as sa
from cryptography import x509

from edge.database import transaction
from edge.process import RandomBytes
from edge.serialization import repeated
from messages.errors import MessageError
from messages.trust_list import TrustedSupplier, read_supplier, supplier_claims
from pva.appraisal.credential import SuspendedPart
from pva.manifests.proposals import Proposal, ProposalKind
from pva.manifests.recognised import (
    BY_ADMINISTRATORS,
    RecognisedSupplier,
    listed,
    read_recognition,
    recognised,
)
from pva.manifests.suspensions import SupplierSuspension
from pva.manifests.trust_lists import (
    RECOGNISING,
    ImportedTrustList,
    TrustListSource,
    check_sequence,
    listed_supplier,
    read_trust_list,
)
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RelyingParty
from pva.store import tables
from pva.store.proposals import ProposalStore
from pva.store.trust_list_rows import held_list, held_lists, save_list
from standards.pki.fingerprints import certificate_der, certificate_sha256

_NO_SOURCES: Final[Mapping[str, TrustListSource]] = MappingProxyType({})


class SupplierStore(ProposalStore):
    """Satisfies `TrustListRecords`, `SuspensionRecords` and, for suppliers, `RecognitionStore` and `References`."""

    def __init__(
        self,
        engine: sa.Engine,
        *,
        random_bytes: RandomBytes,
        sources: Mapping[str, TrustListSource] = _NO_SOURCES,
    ) -> None:
        """As its parents; `sources` may issue trust lists: a list that was proposed is verified again under them."""
        super().__init__(engine, random_bytes=random_bytes)
        self.sources = sources

    def suppliers(self) -> Sequence[RecognisedSupplier]:
        """Every supplier that is recognised now, by name, with what of it is suspended."""
        table = tables.suppliers
        query = sa.select(table).where(table.c.withdrawn_at.is_(None)).order_by(table.c.name)
        with transaction(self._engine, write=False) as connection:
            suspended = _suspended(connection)
            rows = connection.execute(query).mappings().all()
        return tuple(_supplier_of(row, suspensions=suspended.get(row["name"], ())) for row in rows)

    @repeated
    def save_supplier(self, supplier: RecognisedSupplier) -> None:
        """Add or change a supplier. Raises RefusalError (SUPPLIER_CONFLICT)."""
        with transaction(self._engine) as connection:
            self._recognise(connection, supplier)

    def operator_trust(
        self, party: RelyingParty, *, supplier: str, at: datetime
    ) -> tuple[bool, TrustedSupplier | None]:
        """Whether this operator has a trust list of its own, and what that says of a supplier."""
        return trust_of(self.trust_list(party.tenant), party=party, supplier=supplier, at=at)

    def trust_list(self, issuer: str) -> ImportedTrustList | None:
        """The newest list of an issuer."""
        with transaction(self._engine, write=False) as connection:
            return held_list(connection, issuer)

    def trust_lists(self) -> Sequence[ImportedTrustList]:
        """See `pva.manifests.trust_lists.TrustListRecords`."""
        with transaction(self._engine, write=False) as connection:
            return held_lists(connection)

    @repeated
    def save_trust_list(self, imported: ImportedTrustList) -> None:
        """See `pva.manifests.trust_lists.TrustListRecords`."""
        with transaction(self._engine) as connection:
            self._take(connection, imported)

    @repeated
    def suspend(self, suspension: SupplierSuspension) -> SupplierSuspension:
        """See `pva.manifests.suspensions.SuspensionRecords`."""
        suppliers, table = tables.suppliers, tables.supplier_suspensions
        with transaction(self._engine) as connection:
            query = sa.select(suppliers.c.models).where(suppliers.c.name == suspension.supplier)
            models = connection.execute(query).scalar_one_or_none()
            if models is None or suspension.model not in (None, *models):
                raise RefusalError(
                    RefusalCode.NOT_FOUND, subject=suspension.subject, reason="this PVA does not recognise it"
                )
            for each in _suspensions(connection):
                if (each.supplier, each.model) == (suspension.supplier, suspension.model):
                    return each
            connection.execute(
                sa.insert(table).values(
                    id=suspension.id,
                    supplier=suspension.supplier,
                    model=suspension.model,
                    reason=suspension.reason,
                    suspended_by=suspension.suspended_by,
                    suspended_at=suspension.suspended_at,
                )
            )
            self.audit(
                connection,
                "supplier-suspended",
                subject=suspension.subject,
                record={
                    "suspension": suspension.id,
                    "reason": suspension.reason,
                    "by": suspension.suspended_by,
                },
                at=suspension.suspended_at,
            )
        return suspension

    def suspensions(self) -> Sequence[SupplierSuspension]:
        """See `pva.manifests.suspensions.SuspensionRecords`."""
        with transaction(self._engine, write=False) as connection:
            return _suspensions(connection, lifted=True)

    def carry_out(self, connection: sa.Connection, proposal: Proposal, *, by: str, at: datetime) -> None:
        """See `pva.store.proposals.ProposalStore`."""
        match proposal.kind:
            case ProposalKind.RECOGNITION:
                wished = read_recognition(proposal.content)
                made = recognised(wished, by=by, at=at, source=BY_ADMINISTRATORS, listed_until=None)
                self._recognise(connection, made)
            case ProposalKind.TRUST_LIST:
                self._take(connection, read_trust_list(proposal.content, sources=self.sources, by=by, at=at))
            case ProposalKind.LIFTING:
                table = tables.supplier_suspensions
                here = sa.and_(table.c.id == proposal.content, table.c.lifted_at.is_(None))
                connection.execute(sa.update(table).where(here).values(lifted_at=at))

    def _take(self, connection: sa.Connection, imported: ImportedTrustList) -> None:
        content = imported.content
        held = held_list(connection, content.issuer)
        if not check_sequence(imported, held=held):
            return
        save_list(connection, imported, is_new=held is None)
        self.audit(
            connection,
            "trust-list-imported",
            subject=content.issuer,
            record={
                "sequence": content.sequence,
                "digest": imported.digest.hex(),
                "suppliers": [each.name for each in content.suppliers],
                "by": imported.imported_by,
            },
            at=imported.imported_at,
        )
        if imported.role not in RECOGNISING:
            return
        table = tables.suppliers
        left_out = sa.and_(
            table.c.source == content.issuer,
            table.c.name.not_in([each.name for each in content.suppliers]),
            table.c.withdrawn_at.is_(None),
        )
        connection.execute(sa.update(table).where(left_out).values(withdrawn_at=imported.imported_at))
        for each in content.suppliers:
            made = recognised(
                each,
                by=imported.imported_by,
                at=imported.imported_at,
                source=content.issuer,
                listed_until=content.expires_at,
            )
            self._recognise(connection, made)

    def _recognise(self, connection: sa.Connection, supplier: RecognisedSupplier) -> None:
        table = tables.suppliers
        root_sha256 = bytes.fromhex(certificate_sha256(supplier.root))
        same = sa.or_(table.c.name == supplier.name, table.c.root_sha256 == root_sha256)
        known = connection.execute(sa.select(table).where(same)).mappings().all()
        for other in known:
            _check_same(supplier, other, root_sha256=root_sha256)
        row = _row_of(supplier, root_sha256=root_sha256)
        if known:
            connection.execute(sa.update(table).where(table.c.name == supplier.name).values(**row))
        else:
            connection.execute(sa.insert(table).values(**row))
        self.audit(
            connection,
            "supplier-recognised",
            subject=supplier.name,
            record={
                "root_sha256": root_sha256.hex(),
                "models": dict(supplier.models),
                "ocsp_url": supplier.ocsp_url,
                "terms": row["terms"],
                "source": supplier.source,
                "by": supplier.recognised_by,
            },
            at=supplier.recognised_at,
        )


def trust_of(
    held: ImportedTrustList | None, *, party: RelyingParty, supplier: str, at: datetime
) -> tuple[bool, TrustedSupplier | None]:
    """Whether a list that is held under an operator's name is its own, and what it says of a supplier."""
    if held is None or held.role != party.role:
        return False, None
    return True, listed_supplier(held, name=supplier, at=at)


def _check_same(supplier: RecognisedSupplier, other: sa.RowMapping, *, root_sha256: bytes) -> None:
    """One name, one root; and of two lists that name a supplier, the one that named it first has it."""
    conflict = None
    if (other["name"], other["root_sha256"]) != (supplier.name, root_sha256):
        conflict = f"{other['name']!r} is recognised with root {other['root_sha256'].hex()}"
    elif other["withdrawn_at"] is None and other["source"] not in (BY_ADMINISTRATORS, supplier.source):
        conflict = f"the trust list of {other['source']!r} names it already"
    if conflict is not None:
        raise RefusalError(
            RefusalCode.SUPPLIER_CONFLICT, subject=f"supplier {supplier.name!r}", reason=conflict
        )


def _row_of(supplier: RecognisedSupplier, *, root_sha256: bytes) -> dict[str, object]:
    more = supplier.crls or supplier.accreditation or supplier.tre_level_min
    return {
        "name": supplier.name,
        "root": certificate_der(supplier.root),
        "root_sha256": root_sha256,
        "models": dict(supplier.models),
        "ocsp_url": supplier.ocsp_url,
        "terms": supplier_claims(listed(supplier)) if more else None,
        "source": supplier.source,
        "listed_until": supplier.listed_until,
        "withdrawn_at": None,
        "recognised_by": supplier.recognised_by,
        "recognised_at": supplier.recognised_at,
    }


def _supplier_of(row: sa.RowMapping, *, suspensions: tuple[SuspendedPart, ...]) -> RecognisedSupplier:
    terms = None
    if row["terms"] is not None:
        try:
            terms = read_supplier(row["terms"], what=f"terms of {row['name']}")
        except MessageError as error:
            raise RefusalError(
                RefusalCode.RECORD_ALTERED, subject=f"supplier {row['name']!r}", reason=str(error)
            ) from None
    return RecognisedSupplier(
        name=row["name"],
        root=x509.load_der_x509_certificate(row["root"]),
        models=dict(row["models"]),
        ocsp_url=row["ocsp_url"],
        crls=() if terms is None else terms.crls,
        tre_level_min=None if terms is None else terms.tre_level_min,
        accreditation=None if terms is None else terms.accreditation,
        listed_until=row["listed_until"],
        suspensions=suspensions,
        recognised_by=row["recognised_by"],
        recognised_at=row["recognised_at"],
        source=row["source"],
    )


def _suspended(connection: sa.Connection) -> dict[str, tuple[SuspendedPart, ...]]:
    """What is suspended now, by supplier."""
    by_name: dict[str, tuple[SuspendedPart, ...]] = {}
    for each in _suspensions(connection):
        part = SuspendedPart(model=each.model, since=each.suspended_at, reason=each.reason)
        by_name[each.supplier] = (*by_name.get(each.supplier, ()), part)
    return by_name


def _suspensions(connection: sa.Connection, *, lifted: bool = False) -> tuple[SupplierSuspension, ...]:
    table = tables.supplier_suspensions
    query = sa.select(table).order_by(table.c.suspended_at, table.c.id)
    if not lifted:
        query = query.where(table.c.lifted_at.is_(None))
    return tuple(SupplierSuspension(**row) for row in connection.execute(query).mappings())
