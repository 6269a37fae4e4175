"""What administrators propose to each other, in the PVA's store.

Rule: the approval that makes a proposal enough, and the effect of the proposal, are one transaction; what keeps the effect
from being carried out keeps the approval from being recorded.
"""

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from edge.database import behind, transaction
from edge.dual_control import Approval, approval_record, line_record, read_approval
from edge.ledger_leaf import SALT_BYTES
from edge.serialization import repeated
from pva.manifests.approvals import Administrator
from pva.manifests.proposals import SHOWN_MAX, Proposal, ProposalKind, ProposalPlace, agreed, waiting
from pva.store import tables
from pva.store.manifests import ManifestStore


class ProposalStore(ManifestStore):
    """Satisfies `pva.manifests.proposals.ProposalRecords`; what a proposal does is for who inherits it."""

    def proposals(
        self, *, after: ProposalPlace | None = None, count_max: int = SHOWN_MAX
    ) -> Sequence[Proposal]:
        """See `pva.manifests.proposals.ProposalRecords`."""
        table = tables.proposals
        order = (table.c.proposed_at, table.c.digest)
        query = sa.select(table).order_by(*(each.desc() for each in order)).limit(count_max)
        if after is not None:
            query = query.where(behind(order, after, is_descending=True))
        with transaction(self._engine, write=False) as connection:
            rows = connection.execute(query).mappings().all()
            return tuple(_proposal(connection, row) for row in rows)

    def proposal(self, digest: bytes) -> Proposal | None:
        """See `pva.manifests.proposals.ProposalRecords`."""
        with transaction(self._engine, write=False) as connection:
            return _held(connection, digest)

    @repeated
    def withdraw(self, digest: bytes, *, by: Administrator, at: datetime) -> None:
        """See `pva.manifests.proposals.ProposalRecords`."""
        with transaction(self._engine) as connection:
            held = waiting(_held(connection, digest), digest=digest)
            _forget_approvals(connection, digest)
            table = tables.proposals
            connection.execute(sa.delete(table).where(table.c.digest == digest))
            self.audit(
                connection,
                "proposal-withdrawn",
                subject=f"{held.kind.value} of {held.subject}",
                record={"digest": digest.hex(), "by": by.name, "key_sha256": by.key_sha256},
                at=at,
            )

    @repeated
    def propose(self, proposal: Proposal, approval: Approval, *, needed: int) -> Proposal:
        """See `pva.manifests.proposals.ProposalRecords`."""
        with transaction(self._engine) as connection:
            held = _held(connection, proposal.digest)
            removed = tables.administrators.removed_keys(connection)
            made = agreed(held, proposal, approval, needed=needed, removed=removed)
            _save(connection, made, is_new=held is None)
            if made.done_at is not None:
                by = ", ".join(each.approver for each in made.approvals)
                self.carry_out(connection, made, by=by, at=made.done_at)
            self.audit(
                connection,
                "proposal-approved",
                subject=f"{made.kind.value} of {made.subject}",
                record={
                    "digest": made.digest.hex(),
                    "by": approval.approver,
                    "key_sha256": approval.key_sha256,
                    "issued_at_request_of": line_record(approval.issued_at_request_of),
                    "approvals": len(made.approvals),
                    "needed": needed,
                },
                at=approval.approved_at,
            )
        return made

    @abstractmethod
    def carry_out(self, connection: sa.Connection, proposal: Proposal, *, by: str, at: datetime) -> None:
        """Do what a proposal says, in this transaction. Raises RefusalError."""

    def audit(
        self, connection: sa.Connection, kind: str, *, subject: str, record: dict[str, object], at: datetime
    ) -> None:
        """Add one leaf to the ledger."""
        salt = self._random_bytes(SALT_BYTES)
        tables.ledger.append(connection, kind=kind, subject=subject, record=record, at=at, salt=salt)


def _save(connection: sa.Connection, made: Proposal, *, is_new: bool) -> None:
    table, given = tables.proposals, tables.proposal_approvals
    values = {
        "kind": made.kind.value,
        "subject": made.subject,
        "content": made.content,
        "proposed_at": made.proposed_at,
        "done_at": made.done_at,
    }
    if is_new:
        connection.execute(sa.insert(table).values(digest=made.digest, **values))
    else:
        connection.execute(sa.update(table).where(table.c.digest == made.digest).values(**values))
        _forget_approvals(connection, made.digest)
    connection.execute(
        sa.insert(given),
        [{"digest": made.digest, **approval_record(each)} for each in made.approvals],
    )


def _held(connection: sa.Connection, digest: bytes) -> Proposal | None:
    table = tables.proposals
    row = connection.execute(sa.select(table).where(table.c.digest == digest)).mappings().one_or_none()
    return None if row is None else _proposal(connection, row)


def _forget_approvals(connection: sa.Connection, digest: bytes) -> None:
    given = tables.proposal_approvals
    connection.execute(sa.delete(given).where(given.c.digest == digest))


def _proposal(connection: sa.Connection, row: sa.RowMapping) -> Proposal:
    given = tables.proposal_approvals
    query = sa.select(given).where(given.c.digest == row["digest"]).order_by(given.c.approved_at)
    return Proposal(
        kind=ProposalKind(row["kind"]),
        subject=row["subject"],
        content=row["content"],
        proposed_at=row["proposed_at"],
        approvals=tuple(read_approval(each) for each in connection.execute(query).mappings()),
        done_at=row["done_at"],
    )
