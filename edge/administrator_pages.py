"""How a service lets its administrators be added, approved, removed and seen, on its operator listener.

Rule: who acts is known from the TLS handshake and the table of principals; he acts for his own tenant. The paths are the same
at every service whose administrators act through it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

import pydantic
from flask import Flask

from edge.administrators import Administrator, AdministratorDesk, AdministratorError, Removal, Standing
from edge.api_description import PathParameter
from edge.dual_control import Approval, ApproverError
from edge.operations import AnswerModel, Moment, Sha256, Told, answers, answers_nothing, takes, takes_query
from edge.pages import PageAnswer, PageQuery, page_of
from edge.principals import current_key_sha256, current_principal, require
from edge.problem_document import Problem, ProblemError
from edge.process import Clock

_SHA256: Final = r"^[0-9a-f]{64}$"
ADMINISTRATOR_PARAMETERS: Final = {
    "key_digest": PathParameter(description="SHA-256 of the key (DER SPKI)", pattern=_SHA256),
    "administrator_digest": PathParameter(
        description="SHA-256 of what is proposed of an administrator", pattern=_SHA256
    ),
}
_DigestText = Annotated[str, pydantic.StringConstraints(pattern=_SHA256)]
_BODY_BYTES_MAX: Final = 4096


class NewAdministratorBody(pydantic.BaseModel):
    """Whose key is to be an administrator's; the tenant is the proposer's own."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
    issuer_sha256: _DigestText
    spki_sha256: _DigestText


class RemovalBody(pydantic.BaseModel):
    """Why an administrator is removed."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    reason: Annotated[str, pydantic.StringConstraints(min_length=1, max_length=200)]


class AdministratorApprovalAnswer(AnswerModel):
    """One administrator's approval."""

    by: str
    at: Moment


class AdministratorAnswer(AnswerModel):
    """An administrator: `state` is waiting, in-force or removed; `since` null of one whom the file of principals names."""

    state: Annotated[str, pydantic.Field(pattern="^(waiting|in-force|removed)$")]
    name: str
    issuer_sha256: Sha256
    spki_sha256: Sha256
    digest: Annotated[Sha256, pydantic.Field(description="of all that is registered: what is approved")]
    since: Moment | None
    approvals: list[AdministratorApprovalAnswer]
    added_by: str
    removed_by: str | None
    removed_at: Moment | None
    reason: str | None


class AdministratorsAnswer(PageAnswer):
    """Administrators, by state and name."""

    administrators: list[AdministratorAnswer]


def add_administrators(app: Flask, desk: AdministratorDesk, clock: Clock) -> None:
    """Add the routes; their access is declared here."""

    @app.get("/v1/administrators")
    @require("admin", "auditor")
    @takes_query(PageQuery)
    @answers(AdministratorsAnswer)
    def list_administrators(query: PageQuery) -> Told:
        """List the administrators of this service: in force, waiting for a second approval, and removed."""
        caller = current_principal()
        only_of = caller.tenant if caller.role == "admin" else None
        return page_of(
            "administrators",
            desk.standings(only_of=only_of, at=clock()),
            query,
            key=lambda each: (each.state, each.administrator.name, each.administrator.digest),
            shown=_shown,
        )

    @app.post("/v1/administrators")
    @require("admin")
    @takes(NewAdministratorBody, bytes_max=_BODY_BYTES_MAX)
    @answers(AdministratorAnswer, HTTPStatus.ACCEPTED, HTTPStatus.CREATED)
    def propose_administrator(body: NewAdministratorBody) -> Told:
        """Propose an administrator, or approve the same proposal; with the second approval he is one."""
        wanted = Administrator(
            issuer_sha256=body.issuer_sha256,
            spki_sha256=body.spki_sha256,
            tenant=current_principal().tenant,
            name=body.name,
        )
        with refusals_as_problems():
            return _agreed(desk.propose(wanted, own_approval(clock())))

    @app.post("/v1/administrators/<administrator_digest>/approvals")
    @require("admin")
    @answers(AdministratorAnswer, HTTPStatus.ACCEPTED, HTTPStatus.CREATED)
    def approve_administrator(administrator_digest: str) -> Told:
        """Approve an administrator whom another one proposed, by the digest of the proposal."""
        return _agreed(approve_proposed(desk, administrator_digest, at=clock()))

    @app.post("/v1/administrators/<administrator_digest>/withdrawal")
    @require("admin")
    @answers_nothing
    def withdraw_administrator(administrator_digest: str) -> None:
        """Take back a proposal that waits."""
        withdraw_proposed(desk, administrator_digest, at=clock())

    @app.post("/v1/administrators/<key_digest>/removal")
    @require("admin")
    @takes(RemovalBody, bytes_max=_BODY_BYTES_MAX)
    @answers(AdministratorAnswer)
    def remove_administrator(body: RemovalBody, key_digest: str) -> Told:
        """Remove an administrator by his key, at once; fewer than two are never left."""
        caller = current_principal()
        removal = Removal(by=caller.name, at=clock(), reason=body.reason)
        with refusals_as_problems():
            return _shown(desk.remove(key_digest, removal, tenant=caller.tenant))


def withdraw_proposed(desk: AdministratorDesk, digest: str, *, at: datetime) -> None:
    """The present caller takes back what waits under a digest. Raises ProblemError."""
    with refusals_as_problems():
        desk.withdraw(digest, tenant=current_principal().tenant, by=own_approval(at))


def approve_proposed(desk: AdministratorDesk, digest: str, *, at: datetime) -> Standing:
    """The present caller approves what waits under a digest. Raises ProblemError."""
    with refusals_as_problems():
        return desk.approve(digest, own_approval(at), tenant=current_principal().tenant)


def own_approval(at: datetime) -> Approval:
    """The approval of the present caller."""
    principal = current_principal()
    return Approval(
        approver=principal.name,
        key_sha256=current_key_sha256(),
        approved_at=at,
        issued_at_request_of=principal.issued_at_request_of,
    )


@contextmanager
def refusals_as_problems() -> Iterator[None]:
    """What is refused, as the problem document that every service has for it."""
    try:
        yield
    except AdministratorError as error:
        raise ProblemError(
            _problem(error.status, error.code, subject=error.subject, detail=str(error), remedy=error.remedy)
        ) from None
    except ApproverError as error:
        raise ProblemError(
            _problem(409, error.code, subject="administrator", detail=str(error), remedy=error.remedy)
        ) from None


def _problem(status: int, code: str, *, subject: str, detail: str, remedy: str) -> Problem:
    title = HTTPStatus(status).phrase
    return Problem(
        status=status, type=code, title=title, detail=detail, subject=subject, reason=code, remedy=remedy
    )


def _agreed(standing: Standing) -> Told:
    waits = standing.state == "waiting"
    return _shown(standing), HTTPStatus.ACCEPTED if waits else HTTPStatus.CREATED


def _shown(standing: Standing) -> dict[str, Any]:
    held, removal = standing.administrator, standing.removal
    return {
        "state": standing.state,
        "name": held.name,
        "issuer_sha256": held.issuer_sha256,
        "spki_sha256": held.spki_sha256,
        "digest": held.digest,
        "since": _moment(standing.since),
        "approvals": [{"by": each.approver, "at": _moment(each.approved_at)} for each in standing.approvals],
        "added_by": standing.added_by,
        "removed_by": None if removal is None else removal.by,
        "removed_at": None if removal is None else _moment(removal.at),
        "reason": None if removal is None else removal.reason,
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%dT%H:%M:%SZ}"
