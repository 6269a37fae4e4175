"""Accepting a reference manifest: what the PfCs of its models will name as their expected state (D1, D7, R79).

The one rule: the manifest is signed under the supplier's own ES root for this purpose, and a model's security
version never falls. The values in it are the PVA's matter; the CA keeps the signed bytes and their digest.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ca.callers import Caller
from ca.errors import ConflictError, InvalidInputError
from ca.races import repeated
from ca.records import Authority, ManifestRecord, Model
from ca.supplier_signers import SignerRecords, check_signer, es_roots_of
from edge.process import Clock
from standards.pki.errors import PkiError
from standards.rats.corim import Manifest, VerifiedManifest, verify_manifest
from standards.rats.errors import RatsError


class ManifestRecords(SignerRecords, Protocol):
    """Port to models and manifests."""

    def models_of(self, *, supplier: str | None = None, ca_id: str | None = None) -> list[Model]:
        """Models of a supplier or of an issuing CA."""

    def manifest(self, supplier: str, manifest_id: str) -> ManifestRecord | None:
        """The manifest with this id."""

    def current_manifest(self, supplier: str, model: str) -> ManifestRecord | None:
        """The manifest that new PfCs of this model name."""

    def add_manifest(self, manifest: ManifestRecord) -> None:
        """Record a manifest and make it the current one of each of its models."""

    def audit(self, *, kind: str, subject: str, record: dict[str, Any], at: datetime) -> None:
        """Add one leaf to the ledger."""


class ManifestStore(Protocol):
    """Port to transactions over them."""

    def reading(self) -> AbstractContextManager[ManifestRecords]:
        """A transaction that cannot change anything."""

    def writing(self) -> AbstractContextManager[ManifestRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """The use case that accepts reference manifests."""

    store: ManifestStore
    clock: Clock

    @repeated
    def accept(self, signed: bytes, *, caller: Caller) -> ManifestRecord:
        """Accept a signed manifest of the supplier that `caller` speaks for; the same one twice is one."""
        at = self.clock()
        supplier = caller.tenant
        # 1 the supplier's ES root is the only anchor
        with self.store.reading() as records:
            roots = es_roots_of(records, supplier)
        # 2 signed for this purpose under that root, and of this supplier
        verified = _verify(signed, roots=roots, at=at)
        with self.store.writing() as records:
            # 3 by a signer that is not revoked
            check_signer(records, roots, verified.path)
            # 4 the same manifest again changes nothing, another one of the same id is refused
            known = records.manifest(supplier, verified.manifest.id)
            if known is not None:
                return _same(known, verified)
            # 5 known models, no step back, a window that is not over
            _check_models(records, verified.manifest)
            _check_version(records, verified.manifest)
            _check_window(verified.manifest, at=at)
            # 6 record, audit leaf
            return _record(records, verified, signed=signed, caller=caller, at=at)


def _verify(signed: bytes, *, roots: Sequence[Authority], at: datetime) -> VerifiedManifest:
    supplier = roots[0].supplier
    subject = f"reference manifest of {supplier}"
    try:
        verified = verify_manifest(signed, anchors=[each.x509() for each in roots], at=at)
    except (RatsError, PkiError) as error:
        raise InvalidInputError(
            "manifest-signature",
            subject=subject,
            detail=f"the manifest is not signed under the ES root of {supplier!r}: {error}",
            remedy="sign it with a manifest-signing certificate of this supplier and send its chain in x5chain",
        ) from error
    if verified.manifest.supplier != supplier:
        raise InvalidInputError(
            "manifest-of-another-supplier",
            subject=subject,
            detail=f"the manifest is of the vendor {verified.manifest.supplier!r}, expected {supplier!r}",
            remedy="send each supplier's manifest with that supplier's own certificate",
        )
    return verified


def _same(known: ManifestRecord, verified: VerifiedManifest) -> ManifestRecord:
    if known.digest == verified.digest:
        return known
    raise ConflictError(
        "manifest-exists-already",
        subject=f"manifest {known.manifest_id}",
        detail=f"another manifest of this id is on record, with the digest {known.digest.hex()}",
        remedy="give the manifest an id of its own",
    )


def _check_models(records: ManifestRecords, manifest: Manifest) -> None:
    known = {each.model for each in records.models_of(supplier=manifest.supplier)}
    unknown = sorted(set(manifest.models) - known)
    if unknown or not manifest.models:
        raise InvalidInputError(
            "model-unknown",
            subject=f"manifest {manifest.id}",
            detail=f"expected models out of {', '.join(sorted(known)) or 'none'}, "
            f"got {', '.join(unknown) or 'none'}",
            remedy="have the model added with its issuing CA, or correct the manifest",
        )


def _check_version(records: ManifestRecords, manifest: Manifest) -> None:
    for model in manifest.models:
        current = records.current_manifest(manifest.supplier, model)
        if current is not None and manifest.svn < current.svn:
            raise ConflictError(
                "manifest-rollback",
                subject=f"manifest {manifest.id}",
                detail=f"the model {model!r} is at the security version {current.svn}, got {manifest.svn}",
                remedy="publish the state under a security version that is not lower",
            )


def _check_window(manifest: Manifest, *, at: datetime) -> None:
    if manifest.valid_to is not None and manifest.valid_to <= at:
        raise InvalidInputError(
            "manifest-not-valid",
            subject=f"manifest {manifest.id}",
            detail=f"its window closed at {manifest.valid_to:%Y-%m-%dT%H:%M:%SZ}",
            remedy="publish a manifest whose window is open",
        )


def _record(
    records: ManifestRecords, verified: VerifiedManifest, *, signed: bytes, caller: Caller, at: datetime
) -> ManifestRecord:
    manifest, before = verified.manifest, verified.manifest.predecessor
    made = ManifestRecord(
        supplier=manifest.supplier,
        manifest_id=manifest.id,
        digest=verified.digest,
        svn=manifest.svn,
        models=tuple(manifest.models),
        signed=signed,
        not_before=manifest.valid_from,
        not_after=manifest.valid_to,
        imported_at=at,
        predecessor_digest=None if before is None else before.digest,
        predecessor_until=None if before is None else before.until,
    )
    records.add_manifest(made)
    record = {
        "supplier": made.supplier,
        "digest": made.digest.hex(),
        "svn": made.svn,
        "models": sorted(made.models),
        "by": caller.name,
    }
    records.audit(kind="manifest-accepted", subject=made.manifest_id, record=record, at=at)
    return made
