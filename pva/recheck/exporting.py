"""Use case: who may read a result takes away all that is needed to compute it again (D15).

Rule: a bundle holds what is on record of one verdict, as it was recorded, and nothing that is worked out now; whether it shows
what the result says is for whoever re-checks it. Once the evidence is deleted there is no bundle.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pva.recheck.bundles import (
    AUDIT_LEAF,
    AUDIT_RECORD,
    AUDIT_SALT,
    EVIDENCE,
    POLICY_TEXTS,
    RESULT,
    RUNTIME_POLICY,
    Inclusion,
    encode_bundle,
    manifest_part,
)
from pva.refusals import RefusalCode, RefusalError
from pva.results.explanation import Reader
from pva.results.grounds import CHAIN, POLICIES, read_chain, read_policies
from standards.merkle.proof import LeafProof


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportableResult:
    """What is on record of a result; None of what was deleted or erased, or is older than this table."""

    token: str
    evidence: bytes | None
    parts: Mapping[str, bytes] | None
    runtime_policy: bytes | None
    leaf_hash: bytes | None
    record: bytes | None
    salt: bytes | None


class ExportRecords(Protocol):
    """What this use case needs of the store."""

    def exportable(self, some_id: str, *, reader: Reader) -> ExportableResult | None:
        """The result of this id, or of the validation of this id, if `reader` may see it."""

    def signed_manifests(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The signed forms of manifests by their digests."""

    def policy_texts(self, digests: Sequence[bytes]) -> Sequence[str]:
        """The texts of policies by their digests, each once."""


class LeafProver(Protocol):
    """What this use case needs of the audit log."""

    def prove(self, leaf_hash: bytes) -> LeafProof | None:
        """That a leaf is in the tree that was signed last; None while it has no place in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportDesk:
    """The use case and what it works with; `log` is None where no audit log is kept."""

    records: ExportRecords
    log: LeafProver | None

    def bundle(self, some_id: str, *, reader: Reader, at: datetime) -> bytes:
        """The bundle of a result. Raises RefusalError."""
        del at
        found = self.records.exportable(some_id, reader=reader)
        if found is None:
            raise RefusalError(
                RefusalCode.NOT_FOUND,
                subject="result",
                reason="no result and no validation with this id belongs to the caller, or it has no result",
            )
        gone = {
            "evidence": found.evidence,
            "grounds": found.parts,
            "audit record": found.record,
            "audit salt": found.salt,
            "audit leaf": found.leaf_hash,
        }
        missing = sorted(name for name, value in gone.items() if value is None)
        if missing or found.parts is None or found.leaf_hash is None:
            raise RefusalError(
                RefusalCode.NOT_EXPORTABLE,
                subject="result",
                reason=f"no longer on record, or older than exports: {', '.join(missing)}",
            )
        parts = {
            **found.parts,
            **self._manifests(found.parts[CHAIN]),
            **self._inclusion(found.leaf_hash),
            RESULT: found.token.encode("ascii"),
            EVIDENCE: found.evidence,
            POLICY_TEXTS: self._policy_texts(found.parts[POLICIES]),
            AUDIT_RECORD: found.record,
            AUDIT_SALT: found.salt,
            AUDIT_LEAF: found.leaf_hash,
            RUNTIME_POLICY: found.runtime_policy,
        }
        return encode_bundle({name: part for name, part in parts.items() if part is not None})

    def _policy_texts(self, policies: bytes) -> bytes:
        digests = [digest for _, _, digest in read_policies(policies)]
        return json.dumps(sorted(self.records.policy_texts(digests)) if digests else []).encode()

    def _manifests(self, chain: bytes) -> dict[str, bytes]:
        """The signed form of each link; one that is gone is missing in the bundle, and a re-check says so."""
        digests = [link.digest for link in read_chain(chain).links]
        signed = self.records.signed_manifests(digests) if digests else {}
        return {
            manifest_part(place): signed[digest] for place, digest in enumerate(digests) if digest in signed
        }

    def _inclusion(self, leaf_hash: bytes) -> dict[str, bytes]:
        proven = None if self.log is None else self.log.prove(leaf_hash)
        if proven is None:
            return {}
        return Inclusion(index=proven.index, proof=proven.proof, note=proven.note.encode()).parts()
