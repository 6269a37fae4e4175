"""What this PVA has on record about a manifest: the signed bytes, who brought them, who approved or retired them.

Rule: plain values. What the signed bytes say is read from them when they are imported; a record adds what people
of this PVA did with it, and changes nothing of it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique

from edge.dual_control import Approval
from standards.rats.manifest import Predecessor


@unique
class Standing(StrEnum):
    """Where a manifest stands with the administrators."""

    WAITING = "waiting"
    APPROVED = "approved"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """Who withdrew a manifest, when and why."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedManifest:
    """A manifest on record; `digest` is the SHA-256 of `signed`, the bytes as the supplier signed them.

    `approved_at` is when enough administrators had approved it, None before; `release` is what people call it.
    """

    digest: bytes
    id: str
    supplier: str
    svn: int
    models: tuple[str, ...]
    release: str
    line: str
    predecessor: Predecessor | None
    valid_from: datetime | None
    valid_to: datetime | None
    signed: bytes
    imported_by: str
    imported_at: datetime
    approvals: tuple[Approval, ...] = ()
    approved_at: datetime | None = None
    retirement: Retirement | None = None

    @property
    def predecessor_digest(self) -> bytes | None:
        """The digest of the manifest that it follows."""
        return None if self.predecessor is None else self.predecessor.digest

    @property
    def standing(self) -> Standing:
        """Waiting for approval, approved, or retired."""
        if self.retirement is not None:
            return Standing.RETIRED
        return Standing.WAITING if self.approved_at is None else Standing.APPROVED

    @property
    def rejected(self) -> bool:
        """Whether it was retired before it was approved: it never counted, and holds no place in its line."""
        return self.retirement is not None and self.approved_at is None
