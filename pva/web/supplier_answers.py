"""What the routes about suppliers answer, as documented and as sent.

Rule: a member that may be missing has a default here; one that is always there has none, also where it may be null.
"""

from typing import Annotated, Any

from pydantic import Field

from edge.operations import AnswerModel, Moment, Sha256
from edge.pages import PageAnswer


class SelfCertificationAnswer(AnswerModel):
    """A supplier's own word that it keeps the robustness rules: digest of that document, and its date (NumericDate)."""

    sha256: Sha256
    at: int


class AccreditationAnswer(AnswerModel):
    """What an audit found, from when until when."""

    scheme: str
    certificate: str
    valid_from: Moment
    valid_to: Moment
    robustness: SelfCertificationAnswer | None = None


class SuspendedPartAnswer(AnswerModel):
    """What of a supplier is suspended at this PVA: a model, or all of it."""

    model: str | None
    since: Moment
    reason: str


class CrlAnswer(AnswerModel):
    """How a CRL stands that the status of credentials is read in."""

    url: str
    issuer: str
    state: Annotated[str, Field(pattern="^(current|stale|missing)$")]
    number: str | None
    next_update: Moment | None
    fault: str | None


class SupplierAnswer(AnswerModel):
    """A recognised supplier; `listed` is what it may vouch for, as a trust list would name it."""

    supplier: str
    root_sha256: Sha256
    models: Annotated[dict[str, str], Field(description="name of a model -> hwType (OID) of its credentials")]
    ocsp_url: Annotated[str, Field(description="where its status is asked; empty where it is read in CRLs")]
    crls: list[CrlAnswer]
    tre_level_min: int | None
    accreditation: AccreditationAnswer | None
    source: Annotated[str, Field(description="issuer of the trust list that names it, or empty")]
    listed_until: Moment | None
    recognised_by: str
    recognised_at: Moment
    suspensions: list[SuspendedPartAnswer]
    listed: Annotated[dict[str, Any], Field(description="docs/PROTOCOL.md, section 5.2a")]


class SuppliersAnswer(PageAnswer):
    """The recognised suppliers."""

    suppliers: list[SupplierAnswer]


class ApprovalAnswer(AnswerModel):
    """One administrator's approval."""

    by: str
    at: Moment


class ProposalAnswer(AnswerModel):
    """What administrators agree on; `done_at` is null while it waits."""

    digest: Sha256
    kind: str
    subject: str
    proposed_at: Moment
    approvals: list[ApprovalAnswer]
    done_at: Moment | None


class ProposalsAnswer(PageAnswer):
    """Proposals, newest first."""

    proposals: list[ProposalAnswer]


class SupplierSuspensionAnswer(AnswerModel):
    """A suspension at this PVA (`model` null: all of the supplier)."""

    id: Sha256
    supplier: str
    model: str | None
    batch: None
    reason: str
    suspended_by: str
    suspended_at: Moment
    approvals: list[ApprovalAnswer]
    lifted_at: Moment | None


class SupplierSuspensionsAnswer(PageAnswer):
    """Suspensions, oldest first."""

    suspensions: list[SupplierSuspensionAnswer]


class TrustListAnswer(AnswerModel):
    """A trust list; `proposal` is there where its import takes several administrators."""

    issuer: str
    role: str
    sequence: int
    issued_at: Moment
    expires_at: Moment
    suppliers: list[str]
    digest: Sha256
    imported_by: str
    imported_at: Moment
    proposal: ProposalAnswer | None = None


class TrustListsAnswer(PageAnswer):
    """The newest trust list of each issuer."""

    trust_lists: list[TrustListAnswer]
