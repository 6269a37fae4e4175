"""What validations look up, as it was read before, for as long as the store says that nothing of it has changed.

Rule: whoever looks asks the store for its stamp first, so what an administrator decided counts from the next look on, at
every node. The store changes the stamp itself, with each change of a row (v0014). What is kept was verified when it was
read; what could not be read is not kept, and is refused at each look-up.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import sqlalchemy as sa

from edge.direct_statements import DirectStatement
from messages.trust_list import TrustedSupplier
from pva.appraisal.kept import Kept
from pva.appraisal.manifest_chain import ManifestChain
from pva.manifests.recognised import RecognisedSupplier
from pva.policies.narrowing import PolicyInForce
from pva.requests import RelyingParty
from pva.store import tables
from pva.store.policies import PolicyStore
from pva.store.references import ReferenceStore
from pva.store.suppliers import trust_of

WEIGHT_MAX = 4096
_CHAIN_WEIGHT = 64
"""A chain holds its manifests; lists and policies are small beside it."""

_Value = TypeVar("_Value")
_Kept = Kept[Hashable, tuple[object]]


class KnownReferences:
    """Satisfies `pva.validation.References`; may be asked by many threads."""

    def __init__(self, engine: sa.Engine, *, references: ReferenceStore, policies: PolicyStore) -> None:
        """Know nothing yet."""
        self._references, self._policies = references, policies
        self._stamp = DirectStatement(engine, sa.select(tables.reference_stamps.c.stamp))
        self._kept: tuple[str, _Kept] = ("", Kept(weight_max=WEIGHT_MAX))

    def current(self) -> "CurrentReferences":
        """See `pva.validation.References`."""
        (row,) = self._stamp.rows_alone({})
        stamp, kept = self._kept
        if row["stamp"] != stamp:
            kept = Kept(weight_max=WEIGHT_MAX)
            self._kept = (row["stamp"], kept)
        return CurrentReferences(references=self._references, policies=self._policies, kept=kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentReferences:
    """Satisfies `pva.validation.ReferencesNow` under one stamp, with what is `kept` under it.

    What is read after the stamp may be newer than it, never older: then who asks next finds another stamp.
    """

    references: ReferenceStore
    policies: PolicyStore
    kept: _Kept

    def suppliers(self) -> Sequence[RecognisedSupplier]:
        """See `pva.validation.ReferencesNow`."""
        return self._known("suppliers", self.references.suppliers)

    def manifest_chain(self, digest: bytes) -> ManifestChain | None:
        """See `pva.validation.ReferencesNow`."""
        return self._known(
            ("chain", digest), lambda: self.references.manifest_chain(digest), weight=_CHAIN_WEIGHT
        )

    def operator_trust(
        self, party: RelyingParty, *, supplier: str, at: datetime
    ) -> tuple[bool, TrustedSupplier | None]:
        """See `pva.validation.ReferencesNow`."""
        held = self._known(("trust", party.tenant), lambda: self.references.trust_list(party.tenant))
        return trust_of(held, party=party, supplier=supplier, at=at)

    def in_force(self, party: RelyingParty, *, supplier: str) -> Sequence[PolicyInForce]:
        """See `pva.validation.ReferencesNow`."""
        key = ("policies", party.role, party.tenant, supplier)
        return self._known(key, lambda: self.policies.in_force(party, supplier=supplier))

    def _known(self, key: Hashable, read: Callable[[], _Value], *, weight: int = 1) -> _Value:
        found = self.kept.get(key)
        if found is None:
            found = (read(),)
            self.kept.put(key, found, weight=weight)
        value: _Value = found[0]  # type: ignore[assignment]  # a key has one kind of value
        return value
