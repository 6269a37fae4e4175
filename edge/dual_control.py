"""Dual control (D7): an act counts once enough administrators have approved the very same thing within a day.

The one rule: approvals are of different principals with different keys. What was approved is known by a digest, so
whoever approves later approves what the first one saw.

NOT known here: who pressed the button when an administrator's certificate was issued. The table of principals knows
issuer and key of each; whether one of two approvers operated that issuer stands in the CA's audit log.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

APPROVAL_LIFE = timedelta(hours=24)
"""How long an approval waits for the others."""
APPROVERS_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Who approved, with the SHA-256 of the key of his certificate (DER SPKI) in hex, and when."""

    approver: str
    key_sha256: str
    approved_at: datetime


class SameApproverError(Exception):
    """The approver, or his key, is one of those who approved already; `before` is that approval."""

    def __init__(self, before: Approval) -> None:
        """Name the approval that is there."""
        super().__init__(f"{before.approver!r} approved it at {before.approved_at:%Y-%m-%dT%H:%M:%SZ}")
        self.before = before


def with_approval(given: Iterable[Approval], approval: Approval) -> tuple[Approval, ...]:
    """The approvals that count together with the new one, which is the last; those that waited too long are gone.

    Raises SameApproverError.
    """
    young = tuple(each for each in given if approval.approved_at - each.approved_at <= APPROVAL_LIFE)
    for each in young:
        if approval.approver == each.approver or approval.key_sha256 == each.key_sha256:
            raise SameApproverError(each)
    return (*young, approval)
