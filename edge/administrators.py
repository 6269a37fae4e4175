"""Who administers a service beside its file of principals: added by two administrators, removed by one (D7).

The one rule: two administrators of the same tenant, neither of whom stands behind the other (`edge.dual_control`), approve
one digest within a day, over everything that is registered. Removing makes the service trust less, so one does it, at once;
and never so that fewer than two are left, of whom nobody could add a third.

    nobody --propose (admin)--> waits --approve (another)--> in force --remove (one)--> removed
                                waits --withdraw (one)-----> nobody           removed --propose ...

The file of principals is the word of whoever runs the service: it makes the first ones, and can always make more. What is
removed here stays removed, though the file names it. NOT known here: who is behind a certificate that was not shown yet.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Final, Protocol

from edge.dual_control import ADMINISTRATORS, Approval
from edge.principals import ADMIN, Principal, RowKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Administrator:
    """Whom a key makes an administrator: `issuer_sha256` of the CA's certificate and `spki_sha256` of the key, in hex."""

    issuer_sha256: str
    spki_sha256: str
    tenant: str
    name: str

    @property
    def key(self) -> RowKey:
        """Under what a certificate of his is looked up."""
        return self.issuer_sha256, self.spki_sha256

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of all that is registered: what administrators approve."""
        said = ["administrator", ADMIN, self.tenant, self.name, self.issuer_sha256, self.spki_sha256]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Who removed an administrator, when and why."""

    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How somebody stands: waiting for approvals, in force or removed.

    `since` is when he was proposed, and then when he was added; None of one whom the file names.
    """

    administrator: Administrator
    since: datetime | None
    approvals: tuple[Approval, ...] = ()
    added_by: str = ""
    removal: Removal | None = None

    @property
    def state(self) -> str:
        """One word for it."""
        if self.removal is not None:
            return "removed"
        return "in-force" if self.added_by else "waiting"

    def is_over(self, at: datetime) -> bool:
        """Whether it waits no more: every approval is too old."""
        return not any(each.is_young(at) for each in self.approvals)


Listed = Callable[[], Mapping[RowKey, Principal]]
"""The rows of the file of principals, as they are now."""
FROM_THE_FILE: Final = "the file of principals"


class AdministratorError(Exception):
    """An act on administrators is refused; `code`, `status` (HTTP) and `remedy` are the refusal's."""

    code: ClassVar[str]
    status: ClassVar[int] = 409
    remedy: ClassVar[str]

    def __init__(self, subject: str, reason: str) -> None:
        """Say whom or what it is about, and why it is refused."""
        super().__init__(reason)
        self.subject = subject


class KeyRegisteredError(AdministratorError):
    """The key has a role at this service already."""

    code = "key-registered-already"
    remedy = "make another key; where its role is to change, remove it first"


class UnknownIssuerError(AdministratorError):
    """No certificate of this CA is let in here, so the row could never be used."""

    code = "issuer-not-a-client-anchor"
    remedy = "give the SHA-256 of the certificate of a CA in the listener's client_anchors"


class NoSuchAdministratorError(AdministratorError):
    """Nobody of this key or digest."""

    code = "no-such-administrator"
    status = 404
    remedy = "list those who are there and those who wait: pva administrator list"


class TooFewAdministratorsError(AdministratorError):
    """Without him nobody could be added, and nothing be approved."""

    code = "administrators-too-few"
    remedy = (
        "add another one first; where his key was taken, revoke his certificate (pva certificate revoke), which ends "
        "it everywhere at once, and have whoever runs the service put another one into its file of principals"
    )


class AdministratorStore(Protocol):
    """What this use case needs of a store; each call is one transaction with its audit leaf."""

    def beside(self, key: RowKey, listed: Principal | None) -> Principal | None:
        """Who has a key, from the file's row for it (`edge.principals.Beside`). Raises ProblemError of one removed."""

    def standings(self) -> Sequence[Standing]:
        """Everybody on record: those who wait, are in force, or were removed."""

    def agree(
        self, digest: str, approval: Approval, *, tenant: str, wanted: Administrator | None, listed: Listed
    ) -> Standing:
        """Approve what waits under this digest, or `wanted`, which has it; enough of them add him.

        Raises ApproverError, KeyRegisteredError, NoSuchAdministratorError.
        """

    def withdraw(self, digest: str, *, tenant: str, by: Approval) -> None:
        """Forget what waits. Raises NoSuchAdministratorError."""

    def remove(self, spki_sha256: str, removal: Removal, *, tenant: str, listed: Listed) -> Standing:
        """Remove whoever has this key. Raises NoSuchAdministratorError, TooFewAdministratorsError."""


class PrincipalFile(Protocol):
    """Port to the file of principals and to the CAs whose certificates are let in."""

    def listed(self) -> Mapping[RowKey, Principal]:
        """The rows of the file."""

    def issuer_digests(self) -> frozenset[str]:
        """SHA-256 of the certificates of those CAs, in hexadecimal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministratorDesk:
    """The use cases; an administrator acts for his own tenant alone."""

    store: AdministratorStore
    file: PrincipalFile

    def propose(self, wanted: Administrator, approval: Approval) -> Standing:
        """Propose an administrator, or approve one who was proposed in the same words.

        Raises ApproverError, KeyRegisteredError, UnknownIssuerError.
        """
        if wanted.issuer_sha256 not in self.file.issuer_digests():
            reason = f"no CA whose certificates are let in here has the digest {wanted.issuer_sha256}"
            raise UnknownIssuerError(subject_of(wanted), reason)
        return self.store.agree(
            wanted.digest, approval, tenant=wanted.tenant, wanted=wanted, listed=self.file.listed
        )

    def approve(self, digest: str, approval: Approval, *, tenant: str) -> Standing:
        """Approve what another one proposed. Raises ApproverError, KeyRegisteredError, NoSuchAdministratorError."""
        return self.store.agree(digest, approval, tenant=tenant, wanted=None, listed=self.file.listed)

    def withdraw(self, digest: str, *, tenant: str, by: Approval) -> None:
        """Take back what waits, one's own or another's. Raises NoSuchAdministratorError."""
        self.store.withdraw(digest, tenant=tenant, by=by)

    def remove(self, spki_sha256: str, removal: Removal, *, tenant: str) -> Standing:
        """Remove an administrator at once. Raises NoSuchAdministratorError, TooFewAdministratorsError."""
        return self.store.remove(spki_sha256, removal, tenant=tenant, listed=self.file.listed)

    def standings(self, *, only_of: str | None, at: datetime) -> Sequence[Standing]:
        """All who are, were or are to be administrators, of one tenant or of all; what waited too long is left out."""
        stored = self.store.standings()
        named = from_file(self.file.listed(), {each.administrator.key for each in stored if is_decided(each)})
        return tuple(
            each
            for each in (*stored, *named)
            if only_of in (None, each.administrator.tenant)
            and not (each.state == "waiting" and each.is_over(at))
        )


def is_decided(standing: Standing) -> bool:
    """Whether it says more about a key than the file does."""
    return standing.state != "waiting"


def from_file(listed: Mapping[RowKey, Principal], decided: set[RowKey]) -> list[Standing]:
    """The administrators whom the file names, where nothing else was decided about their keys."""
    return [
        Standing(
            administrator=Administrator(
                issuer_sha256=key[0], spki_sha256=key[1], tenant=row.tenant, name=row.name
            ),
            since=None,
            added_by=FROM_THE_FILE,
        )
        for key, row in listed.items()
        if row.role == ADMIN and key not in decided
    ]


def leaving(present: Sequence[Standing], spki_sha256: str) -> list[Standing]:
    """Those of an administration who have this key. Raises NoSuchAdministratorError, TooFewAdministratorsError.

    One name with two keys is one administrator: the older key of somebody who has a next one may always go.
    """
    found = [each for each in present if each.administrator.spki_sha256 == spki_sha256]
    if not found:
        raise NoSuchAdministratorError(f"key {spki_sha256[:64]}", "no administrator here has this key")
    before = {each.administrator.name for each in present}
    after = {each.administrator.name for each in present if each not in found}
    if len(after) < min(len(before), ADMINISTRATORS):
        left = ", ".join(sorted(after)) or "nobody"
        raise TooFewAdministratorsError(
            subject_of(found[0].administrator),
            f"expected {ADMINISTRATORS} administrators to be left, got {left}",
        )
    return found


def without_approvals_of(waiting: Standing, spki_sha256: str) -> Standing:
    """What waits, without what this key has approved."""
    left = tuple(each for each in waiting.approvals if each.key_sha256 != spki_sha256)
    return replace(waiting, approvals=left)


def subject_of(administrator: Administrator) -> str:
    """How refusals and audit leaves name him."""
    return f"administrator {administrator.name}"
