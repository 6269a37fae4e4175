"""Recognised suppliers and manifests in memory, as the PVA's store keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from edge.dual_control import Approval
from messages.trust_list import TrustedSupplier
from pva.appraisal.credential import Supplier
from pva.appraisal.known import KnownManifests
from pva.appraisal.manifest_chain import LINE_MAX, ChainedManifest, ManifestChain
from pva.appraisal.manifest_records import ImportedManifest, Retirement
from pva.manifests.approvals import Administrator, approved
from pva.manifests.proposals import SHOWN_MAX, Proposal, ProposalKind, ProposalPlace, agreed, waiting
from pva.manifests.recognised import BY_ADMINISTRATORS, RecognisedSupplier, read_recognition, recognised
from pva.manifests.recognition import check_record, no_such_manifest
from pva.manifests.trust_lists import ImportedTrustList, listed_supplier
from pva.policies.narrowing import PolicyInForce
from pva.refusals import RefusalCode, RefusalError
from pva.requests import RelyingParty
from standards.pki.fingerprints import certificate_der
from standards.rats.corim import Manifest


@dataclass
class MemoryReferences:
    """Suppliers and manifests."""

    by_name: dict[str, RecognisedSupplier] = field(default_factory=dict)
    by_digest: dict[bytes, ImportedManifest] = field(default_factory=dict)
    proposed: dict[bytes, Proposal] = field(default_factory=dict)
    operator_lists: dict[tuple[str, str], ImportedTrustList] = field(default_factory=dict)
    known: KnownManifests = field(default_factory=KnownManifests)

    def suppliers(self) -> Sequence[RecognisedSupplier]:
        """See `pva.manifests.recognition.RecognitionStore`."""
        return tuple(self.by_name[name] for name in sorted(self.by_name))

    def proposals(
        self, *, after: ProposalPlace | None = None, count_max: int = SHOWN_MAX
    ) -> Sequence[Proposal]:
        """See `pva.manifests.proposals.ProposalRecords`."""
        found = sorted(self.proposed.values(), key=lambda each: (each.proposed_at, each.digest), reverse=True)
        behind = [each for each in found if after is None or (each.proposed_at, each.digest) < after]
        return tuple(behind[:count_max])

    def proposal(self, digest: bytes) -> Proposal | None:
        """See `pva.manifests.proposals.ProposalRecords`."""
        return self.proposed.get(digest)

    def withdraw(self, digest: bytes, *, by: Administrator, at: datetime) -> None:
        """See `pva.manifests.proposals.ProposalRecords`; nobody hears who it was."""
        del by, at
        waiting(self.proposed.get(digest), digest=digest)
        del self.proposed[digest]

    def propose(self, proposal: Proposal, approval: Approval, *, needed: int) -> Proposal:
        """See `pva.manifests.proposals.ProposalRecords`; recognitions alone are carried out here."""
        made = agreed(self.proposed.get(proposal.digest), proposal, approval, needed=needed)
        if made.done_at is not None:
            assert made.kind is ProposalKind.RECOGNITION
            self._save(
                recognised(
                    read_recognition(made.content),
                    by=approval.approver,
                    at=made.done_at,
                    source=BY_ADMINISTRATORS,
                    listed_until=None,
                )
            )
        self.proposed[made.digest] = made
        return made

    def operator_trust(
        self, party: RelyingParty, *, supplier: str, at: datetime
    ) -> tuple[bool, TrustedSupplier | None]:
        """See `pva.validation.ReferencesNow`."""
        held = self.operator_lists.get((party.role, party.tenant))
        return held is not None, None if held is None else listed_supplier(held, name=supplier, at=at)

    def _save(self, supplier: RecognisedSupplier) -> None:
        for other in self.by_name.values():
            same = (other.name == supplier.name, other.root == supplier.root)
            if any(same) and not all(same):
                raise RefusalError(RefusalCode.SUPPLIER_CONFLICT, subject=supplier.name, reason="other root")
        self.by_name[supplier.name] = supplier

    def add_manifest(self, manifest: ImportedManifest) -> None:
        """See `pva.manifests.recognition.RecognitionStore`."""
        if check_record(manifest, held=self.manifests()):
            self.by_digest[manifest.digest] = manifest

    def manifests(self) -> Sequence[ImportedManifest]:
        """See `pva.manifests.recognition.RecognitionStore`."""
        return tuple(sorted(self.by_digest.values(), key=lambda each: (each.imported_at, each.digest)))

    def approve_manifest(self, digest: bytes, approval: Approval, *, needed: int) -> ImportedManifest:
        """See `pva.manifests.approvals.ManifestRecords`."""
        self.by_digest[digest] = approved(self._held(digest), approval, needed=needed)
        return self.by_digest[digest]

    def retire_manifest(self, digest: bytes, retirement: Retirement) -> ImportedManifest:
        """See `pva.manifests.approvals.ManifestRecords`."""
        held = self._held(digest)
        if held.retirement is None:
            self.by_digest[digest] = replace(held, retirement=retirement)
        return self.by_digest[digest]

    def _held(self, digest: bytes) -> ImportedManifest:
        if digest not in self.by_digest:
            raise no_such_manifest(digest)
        return self.by_digest[digest]

    def signed_manifest(self, digest: bytes) -> bytes | None:
        """The signed form of a manifest."""
        return self.by_digest[digest].signed if digest in self.by_digest else None

    def manifest_chain(self, digest: bytes) -> ManifestChain | None:
        """See `pva.validation.ReferencesNow`."""
        links: list[ImportedManifest] = []
        held = self.by_digest.get(digest)
        while held is not None and len(links) < LINE_MAX:
            links.append(held)
            following = (
                each
                for each in self.by_digest.values()
                if each.predecessor_digest == links[-1].digest and not each.rejected
            )
            held = next(following, None)
        if not links:
            return None
        supplier = self.by_name[links[0].supplier]
        return ManifestChain(
            links=tuple(self._link(each, supplier) for each in links), permitted_models=supplier.models
        )

    def _link(self, held: ImportedManifest, supplier: RecognisedSupplier) -> ChainedManifest:
        verified = self.known.verified(held.signed, root=certificate_der(supplier.root), at=held.imported_at)
        return ChainedManifest(
            manifest=verified.manifest,
            digest=held.digest,
            imported_at=held.imported_at,
            approvals=held.approvals,
            approved_at=held.approved_at,
            retirement=held.retirement,
        )

    def known_manifests(
        self, *, supplier: str, hw_type: str, first: bytes | None, count_max: int
    ) -> Sequence[Manifest]:
        """See `pva.results.explanation.KnownManifests`."""
        known = self.by_name[supplier]
        held = [
            each
            for each in self.by_digest.values()
            if each.supplier == supplier and hw_type in {known.models.get(model) for model in each.models}
        ]
        held.sort(key=lambda each: (each.digest != first, -each.svn))
        return tuple(self._link(each, known).manifest for each in held[:count_max])


@dataclass(frozen=True)
class AsTheyAre:
    """Satisfies `pva.validation.References` with stores that are read at each question."""

    references: Any
    policies: Any

    def current(self) -> "AsTheyAre":
        """See `pva.validation.References`."""
        return self

    def suppliers(self) -> Sequence[Supplier]:
        """See `pva.validation.ReferencesNow`."""
        found: Sequence[Supplier] = self.references.suppliers()
        return found

    def manifest_chain(self, digest: bytes) -> ManifestChain | None:
        """See `pva.validation.ReferencesNow`."""
        found: ManifestChain | None = self.references.manifest_chain(digest)
        return found

    def operator_trust(
        self, party: RelyingParty, *, supplier: str, at: datetime
    ) -> tuple[bool, TrustedSupplier | None]:
        """See `pva.validation.ReferencesNow`."""
        found: tuple[bool, TrustedSupplier | None] = self.references.operator_trust(
            party, supplier=supplier, at=at
        )
        return found

    def in_force(self, party: RelyingParty, *, supplier: str) -> Sequence[PolicyInForce]:
        """See `pva.validation.ReferencesNow`."""
        found: Sequence[PolicyInForce] = self.policies.in_force(party, supplier=supplier)
        return found
