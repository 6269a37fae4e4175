"""Dual control (D7): an act counts once enough administrators have approved the very same thing within a day.

The one rule: approvals are of different principals with different keys, and nobody stands behind two of them. What was
approved is known by a digest, so whoever approves later approves what the first one saw.

Who had an approver's certificate issued, and who had that one's, stands in the certificate
(`standards.pki.extensions.Requesters`), or in the table of principals where the certificate does not say. Two approvers
whose lines share a person, by name or by key, are one: he may hold both keys. A line that nobody knows counts for nothing.

NOT known here: who is whom under two names and two keys that were certified at a ceremony.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from standards.pki.extensions import Requester

APPROVAL_LIFE = timedelta(hours=24)
"""How long an approval waits for the others."""
APPROVERS_MAX = 5
ADMINISTRATORS: Final = 2
"""How many decide together, where nothing asks for more (D7)."""

Line = tuple[Requester, ...]
"""Requesters of a certificate, nearest first; empty where it was made at a ceremony."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Who approved, with the SHA-256 of the key of his certificate (DER SPKI) in hex, and when.

    `issued_at_request_of` is the line behind that certificate, None where nothing says it.
    """

    approver: str
    key_sha256: str
    approved_at: datetime
    issued_at_request_of: Line | None

    def is_young(self, at: datetime) -> bool:
        """Whether it still waits for the others at a time."""
        return at - self.approved_at <= APPROVAL_LIFE

    def people(self) -> Line:
        """Everybody who may hold his key, himself first."""
        himself = Requester(name=self.approver, key_sha256=self.key_sha256)
        return (himself, *(self.issued_at_request_of or ()))


class ApproverError(Exception):
    """An approval does not count beside the others; `code` and `remedy` are the refusal's."""

    code: ClassVar[str]
    remedy: ClassVar[str]


class SameApproverError(ApproverError):
    """The approver, or his key, is one of those who approved already; `before` is that approval."""

    code = "approver-not-another"
    remedy = "have another administrator, with a certificate and key of his own, approve the same digest"

    def __init__(self, before: Approval) -> None:
        """Name the approval that is there."""
        super().__init__(f"{before.approver!r} approved it at {before.approved_at:%Y-%m-%dT%H:%M:%SZ}")
        self.before = before


class DependentApproverError(ApproverError):
    """One person had the certificates of both issued, or is one of them and had the other's issued."""

    code = "approver-not-independent"
    remedy = (
        "have somebody approve whose certificate neither the first approver nor whoever stands behind him had "
        "issued; for a new one: a ceremony at the CA's machine, or a third administrator"
    )

    def __init__(self, before: Approval, approver: str, *, by: Requester) -> None:
        """Name both approvers, and who stands behind them."""
        whose = " and ".join(repr(each) for each in (before.approver, approver) if each != by.name)
        super().__init__(f"{by.name!r} had the certificate of {whose} issued, so the two are not independent")
        self.before = before


class UnknownOriginError(ApproverError):
    """Nothing says who had the approver's certificate issued."""

    code = "approver-origin-unknown"
    remedy = (
        "have the administrator certified anew, at a ceremony or by another administrator; for a certificate of "
        "another CA, issued_at_request_of in the table of principals says it"
    )

    def __init__(self, approver: str) -> None:
        """Name the approver."""
        super().__init__(f"the certificate of {approver!r} does not say who had it issued")


def with_approval(
    given: Iterable[Approval], approval: Approval, *, removed: Container[str] = ()
) -> tuple[Approval, ...]:
    """The approvals that count together with the new one, which is the last.

    Those that waited too long are gone, and so are those whose origin is not known, and those by a key of an administrator
    who was `removed` since (SHA-256, hexadecimal).

    Raises SameApproverError, DependentApproverError, UnknownOriginError.
    """
    if approval.issued_at_request_of is None:
        raise UnknownOriginError(approval.approver)
    counting = tuple(
        each
        for each in given
        if each.is_young(approval.approved_at)
        and each.issued_at_request_of is not None
        and each.key_sha256 not in removed
    )
    for each in counting:
        if approval.approver == each.approver or approval.key_sha256 == each.key_sha256:
            raise SameApproverError(each)
        shared = _behind_both(each.people(), approval.people())
        if shared is not None:
            raise DependentApproverError(each, approval.approver, by=shared)
    return (*counting, approval)


def line_record(line: Line | None) -> list[dict[str, str]] | None:
    """A line as JSON; `read_line` reads it."""
    return None if line is None else [asdict(each) for each in line]


def read_line(value: Iterable[Mapping[str, str]] | None) -> Line | None:
    """The line of a JSON value that `line_record` made."""
    return None if value is None else tuple(Requester(**each) for each in value)


def approval_record(approval: Approval) -> dict[str, Any]:
    """An approval as the columns of a table of approvals, or members of a record."""
    return {
        "approver": approval.approver,
        "key_sha256": approval.key_sha256,
        "approved_at": approval.approved_at,
        "issued_at_request_of": line_record(approval.issued_at_request_of),
    }


def read_approval(record: Mapping[Any, Any]) -> Approval:
    """The approval of such a row or record; one of an earlier version does not say the line."""
    return Approval(
        approver=record["approver"],
        key_sha256=record["key_sha256"],
        approved_at=record["approved_at"],
        issued_at_request_of=read_line(record.get("issued_at_request_of")),
    )


def approvals_record(approvals: Iterable[Approval]) -> list[dict[str, Any]]:
    """Approvals as JSON; `read_approvals` reads them."""
    return [{**approval_record(each), "approved_at": each.approved_at.isoformat()} for each in approvals]


def read_approvals(value: Iterable[Mapping[str, Any]]) -> tuple[Approval, ...]:
    """The approvals of a JSON value that `approvals_record` made."""
    return tuple(
        read_approval({**each, "approved_at": datetime.fromisoformat(each["approved_at"])}) for each in value
    )


def _behind_both(some: Line, others: Line) -> Requester | None:
    names = {each.name for each in others}
    keys = {each.key_sha256 for each in others}
    return next((each for each in some if each.name in names or each.key_sha256 in keys), None)
