"""Who asks, as far as the use cases care: for tenant scope and for the record."""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ca.errors import ConflictError, NotPermittedError
from edge.dual_control import Approval, ApproverError, line_record, with_approval
from standards.pki.extensions import REQUESTERS_MAX, Requester, Requesters

ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated principal: `tenant` is the supplier that a caller with the role `es` speaks for.

    `key_sha256` is the digest of his key (DER SPKI) in hex; `issued_at_request_of` is who had his certificate issued,
    nearest first, None where nothing says it.
    """

    name: str
    role: str
    tenant: str
    key_sha256: str = ""
    issued_at_request_of: tuple[Requester, ...] | None = None

    def requesters(self) -> Requesters | None:
        """What a certificate says that this caller has issued: himself, and who stands behind him.

        None where it is not known who stands behind him. Raises NotPermittedError where they are too many.
        """
        behind = self.issued_at_request_of
        if behind is None:
            return None
        if len(behind) >= REQUESTERS_MAX:
            raise NotPermittedError(
                "requesters-too-many",
                subject=self.name,
                detail=f"{len(behind)} requesters stand behind this certificate, one of another's",
                remedy="have it issued by an administrator who was certified at a ceremony",
            )
        return Requesters(line=(Requester(name=self.name, key_sha256=self.key_sha256), *behind))

    def approving(
        self, given: Iterable[Approval], *, subject: str, at: datetime, removed: Container[str]
    ) -> tuple[Approval, ...]:
        """The approvals that count together with this caller's own, for an act under dual control.

        Those by the keys of administrators who were `removed` do not.

        Raises ConflictError: he is one of those who approved, depends on one, or nobody knows who stands behind him.
        """
        own = Approval(
            approver=self.name,
            key_sha256=self.key_sha256,
            approved_at=at,
            issued_at_request_of=self.issued_at_request_of,
        )
        try:
            return with_approval(given, own, removed=removed)
        except ApproverError as error:
            raise ConflictError(error.code, subject=subject, detail=str(error), remedy=error.remedy) from None

    def told(self) -> dict[str, Any]:
        """Who approved, as an audit record says it."""
        return {
            "by": self.name,
            "key_sha256": self.key_sha256,
            "issued_at_request_of": line_record(self.issued_at_request_of),
        }

    def speak_for(self, supplier: str | None, *, subject: str) -> None:
        """Raise NotPermittedError unless the caller is an administrator or the supplier itself.

        None is nobody's but the administrators'.
        """
        if self.role == ADMIN or (self.role == "es" and self.tenant == supplier):
            return
        raise NotPermittedError(
            "another-supplier",
            subject=subject,
            detail=f"it is not a matter of the supplier {self.tenant!r}, for which {self.name} speaks",
            remedy="use the certificate of the supplier that it belongs to, or ask an administrator",
        )
