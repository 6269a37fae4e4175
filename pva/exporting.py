"""Use case: who may read a result takes away all that is needed to compute it again (D15).

Rule: a bundle holds what is on record of one verdict, as it was recorded, and nothing that is worked out now; whether it shows
what the result says is for whoever re-checks it. Once the evidence is deleted there is no bundle.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pva.explanation import Reader
from pva.grounds import POLICIES, read_policies
from pva.recheck import (
    AUDIT_LEAF,
    AUDIT_RECORD,
    AUDIT_SALT,
    EVIDENCE,
    MANIFEST,
    POLICY_TEXTS,
    RESULT,
    RUNTIME_POLICY,
    encode_bundle,
)
from pva.refusals import RefusalCode, RefusalError


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportableResult:
    """What is on record of a result; None of what was deleted or erased, or is older than this table."""

    token: str
    evidence: bytes | None
    parts: Mapping[str, bytes] | None
    manifest: bytes | None
    runtime_policy: bytes | None
    leaf_hash: bytes | None
    record: bytes | None
    salt: bytes | None


class ExportRecords(Protocol):
    """What this use case needs of the store."""

    def exportable(self, some_id: str, *, reader: Reader) -> ExportableResult | None:
        """The result of this id, or of the validation of this id, if `reader` may see it."""

    def policy_texts(self, digests: Sequence[bytes]) -> Sequence[str]:
        """The texts of policies by their digests, each once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportDesk:
    """The use case and what it works with."""

    records: ExportRecords

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
        }
        missing = sorted(name for name, value in gone.items() if value is None)
        if missing or found.parts is None:
            raise RefusalError(
                RefusalCode.NOT_EXPORTABLE,
                subject="result",
                reason=f"no longer on record, or older than exports: {', '.join(missing)}",
            )
        digests = [digest for _, _, digest in read_policies(found.parts[POLICIES])]
        return encode_bundle(self._parts(found, found.parts, digests=digests))

    def _parts(
        self, found: ExportableResult, recorded: Mapping[str, bytes], *, digests: Sequence[bytes]
    ) -> dict[str, bytes]:
        texts = sorted(self.records.policy_texts(digests)) if digests else []
        parts = {
            **recorded,
            RESULT: found.token.encode("ascii"),
            EVIDENCE: found.evidence,
            POLICY_TEXTS: json.dumps(texts).encode(),
            AUDIT_RECORD: found.record,
            AUDIT_SALT: found.salt,
            AUDIT_LEAF: found.leaf_hash,
            MANIFEST: found.manifest,
            RUNTIME_POLICY: found.runtime_policy,
        }
        return {name: part for name, part in parts.items() if part is not None}
