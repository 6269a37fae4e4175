"""Administrators of a service as they call it to add, approve, remove and see each other: the same at every service.

The one rule: an answer is decoded whole, or refused whole as an AdministratorAnswerError.
"""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from clients.pages import every_page
from edge.http_client import HttpClient
from edge.model_faults import faults_of

ROUTE: Final = "/v1/administrators"


class AdministratorAnswerError(Exception):
    """The service answered something that its API does not say."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"answer to {ROUTE} cannot be used: {reason}")
        self.reason = reason


class AdministratorApproval(BaseModel):
    """Who approved, and when."""

    model_config = ConfigDict(frozen=True)

    by: str
    at: str


class AdministratorEntry(BaseModel):
    """An administrator; `state` is waiting, in-force or removed, `digest` what others approve."""

    model_config = ConfigDict(frozen=True)

    state: str
    name: str
    issuer_sha256: str
    spki_sha256: str
    digest: str
    since: str | None
    approvals: tuple[AdministratorApproval, ...]
    added_by: str
    removed_by: str | None
    removed_at: str | None
    reason: str | None


class _Entries(BaseModel):
    administrators: tuple[AdministratorEntry, ...]


class AdministratorClient:
    """Client of an operator listener; errors of `edge.http_client` pass through."""

    def __init__(self, http: HttpClient) -> None:
        """Use `http`, which holds the URL and the mutual TLS."""
        self._http = http

    def administrators(self) -> tuple[AdministratorEntry, ...]:
        """Those in force, those who wait, and those who were removed (admin, auditor)."""
        try:
            found = _Entries.model_validate(every_page(self._http, ROUTE, "administrators"))
        except ValidationError as error:
            raise AdministratorAnswerError(faults_of(error)) from error
        return found.administrators

    def propose(self, name: str, *, issuer_sha256: str, spki_sha256: str) -> AdministratorEntry:
        """Propose an administrator, or approve the same proposal (admin)."""
        body = {"name": name, "issuer_sha256": issuer_sha256, "spki_sha256": spki_sha256}
        return _read(self._http.post_json(ROUTE, body))

    def approve(self, digest: str) -> AdministratorEntry:
        """Approve whom another administrator proposed (admin)."""
        return _read(self._http.post_json(f"{ROUTE}/{digest}/approvals", {}))

    def withdraw(self, digest: str) -> None:
        """Take back a proposal that waits (admin)."""
        self._http.post_json(f"{ROUTE}/{digest}/withdrawal", {})

    def remove(self, spki_sha256: str, *, reason: str) -> AdministratorEntry:
        """Remove an administrator by his key, at once (admin)."""
        return _read(self._http.post_json(f"{ROUTE}/{spki_sha256}/removal", {"reason": reason}))


def _read(value: Any) -> AdministratorEntry:
    try:
        return AdministratorEntry.model_validate(value)
    except ValidationError as error:
        raise AdministratorAnswerError(faults_of(error)) from error
