"""Use case: what one administrator proposes and others must approve, before it changes whom this PVA trusts (D7).

Rule: a proposal is known by the digest of what it is and says; who proposes the same again approves it. Its effect
comes in the transaction of the approval that makes it enough, and what it says is checked again then.

    recognition   an ES root with its models          content: JSON, see `recognition`
    trust-list    a list of this PVA's administrators  content: the token, see `trust_lists`
    lifting       the end of a suspension              content: its id, see `suspensions`
"""

import hashlib
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum, unique
from typing import Final, Protocol

from edge.dual_control import Approval, ApproverError, with_approval
from pva.manifests.approvals import Administrator
from pva.refusals import RefusalCode, RefusalError

SHOWN_MAX: Final = 200
"""How many proposals are looked at unless told otherwise, the newest first."""
ProposalPlace = tuple[datetime, bytes]
"""Where a proposal is among all: when it was proposed, and its digest."""


@unique
class ProposalKind(StrEnum):
    """What takes more than one administrator."""

    RECOGNITION = "recognition"
    TRUST_LIST = "trust-list"
    LIFTING = "lifting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What is proposed; `done_at` is when enough administrators had approved it, None before."""

    kind: ProposalKind
    subject: str
    content: str
    proposed_at: datetime
    approvals: tuple[Approval, ...] = ()
    done_at: datetime | None = None
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        said = b"\x00".join((self.kind.value.encode(), self.content.encode()))
        object.__setattr__(self, "digest", hashlib.sha256(said).digest())


class ProposalRecords(Protocol):
    """What this use case needs of a store; each call is one transaction with its audit leaf."""

    def proposals(
        self, *, after: ProposalPlace | None = None, count_max: int = SHOWN_MAX
    ) -> Sequence[Proposal]:
        """Proposals behind a place, newest first, at most `count_max`."""

    def propose(self, proposal: Proposal, approval: Approval, *, needed: int) -> Proposal:
        """Apply `agreed` to the proposal on record, or to this one; carry it out where it is enough.

        Raises RefusalError: what `agreed` refuses, or what keeps it from being carried out.
        """

    def proposal(self, digest: bytes) -> Proposal | None:
        """A proposal by its digest."""

    def withdraw(self, digest: bytes, *, by: Administrator, at: datetime) -> None:
        """Forget a proposal that waits, with its approvals. Raises RefusalError: none waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalDesk:
    """The use case; `needed` administrators carry a proposal out."""

    records: ProposalRecords
    needed: int

    def propose(
        self, kind: ProposalKind, *, subject: str, content: str, by: Administrator, at: datetime
    ) -> Proposal:
        """Propose something, or approve what was proposed in the same words. Raises RefusalError."""
        proposal = Proposal(kind=kind, subject=subject, content=content, proposed_at=at)
        return self.records.propose(proposal, by.approval(at), needed=self.needed)

    def approve(self, digest: bytes, *, by: Administrator, at: datetime) -> Proposal:
        """Approve what another administrator proposed. Raises RefusalError: none such, or the same administrator."""
        found = self.records.proposal(digest)
        if found is None:
            raise _not_on_record(digest)
        if found.done_at is not None:
            return found
        return self.propose(found.kind, subject=found.subject, content=found.content, by=by, at=at)

    def withdraw(self, digest: bytes, *, by: Administrator, at: datetime) -> None:
        """Take back what waits, one's own proposal or another's; whoever wants it proposes it anew. Raises RefusalError."""
        self.records.withdraw(digest, by=by, at=at)

    def proposals(
        self, *, after: ProposalPlace | None = None, count_max: int = SHOWN_MAX
    ) -> Sequence[Proposal]:
        """Proposals behind a place, newest first, at most `count_max`."""
        return self.records.proposals(after=after, count_max=count_max)


def _not_on_record(digest: bytes) -> RefusalError:
    """The refusal where no proposal has this digest."""
    return RefusalError(
        RefusalCode.NOT_FOUND,
        subject=f"proposal {digest.hex()}",
        reason="no proposal of this digest is on record",
    )


def waiting(held: Proposal | None, *, digest: bytes) -> Proposal:
    """The proposal on record, where it can still be taken back. Raises RefusalError: there is none, or it was carried out."""
    if held is None:
        raise _not_on_record(digest)
    if held.done_at is not None:
        raise RefusalError(
            RefusalCode.PROPOSAL_DONE,
            subject=f"{held.kind.value} of {held.subject}",
            reason=f"it was carried out at {held.done_at:%Y-%m-%dT%H:%M:%SZ}",
        )
    return held


def agreed(
    held: Proposal | None,
    proposal: Proposal,
    approval: Approval,
    *,
    needed: int,
    removed: Container[str] = (),
) -> Proposal:
    """The proposal with one more approval; `held` is the one of the same digest on record, None where there is none.

    What keys of `removed` administrators have approved does not count. One that was carried out begins anew. Raises RefusalError: the same administrator or key, or one who is not independent
    of him, approved it already.
    """
    before = proposal if held is None or held.done_at is not None else held
    try:
        approvals = with_approval(before.approvals, approval, removed=removed)
    except ApproverError as error:
        raise RefusalError(
            RefusalCode(error.code),
            subject=f"{before.kind.value} of {before.subject}",
            reason=str(error),
        ) from None
    enough = len(approvals) >= needed
    return replace(before, approvals=approvals, done_at=approval.approved_at if enough else None)
