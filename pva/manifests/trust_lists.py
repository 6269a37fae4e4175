"""Use case: signed trust lists of ES roots, from overseers, operators, or this PVA's administrators (D7, R26, R29).

Rule: who may vouch at all stands in the settings, with the anchors of each issuer; a list from anybody else is refused. An
issuer's sequence number never falls. What an issuer's newer list leaves out is recognised no more, and counts for the
next validation.

    role in the signer's certificate   what its list does
    overseer                           recognises suppliers for everybody, at once
    pva                                the same, once enough administrators have approved the very list
    sho, dpf                           narrows: suppliers that it does not name are refused for this operator's requests
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from cryptography import x509

from messages.errors import MessageError
from messages.operator_token import LIFE_SKEW_S
from messages.trust_list import TrustedSupplier, TrustList, VerifiedTrustList, verify_trust_list
from pva.manifests.approvals import Administrator
from pva.manifests.proposals import Proposal, ProposalDesk, ProposalKind
from pva.refusals import RefusalCode, RefusalError

ADMINISTRATORS: Final = "pva"
RECOGNISING: Final = frozenset({"overseer", ADMINISTRATORS})
"""Roles whose lists recognise suppliers for everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustListSource:
    """An issuer of the settings: as what it may sign, and under which roots."""

    role: str
    anchors: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedTrustList:
    """A list on record: the newest of its issuer; `digest` is the SHA-256 of `token`."""

    content: TrustList
    role: str
    token: str
    imported_by: str
    imported_at: datetime

    @property
    def digest(self) -> bytes:
        """What administrators approve."""
        return hashlib.sha256(self.token.encode()).digest()


class TrustListRecords(Protocol):
    """What this use case needs of a store; each call is one transaction with its audit leaf."""

    def trust_lists(self) -> Sequence[ImportedTrustList]:
        """The newest list of each issuer, by issuer."""

    def save_trust_list(self, imported: ImportedTrustList) -> None:
        """Put a list in the place of its issuer's last one, and suppliers as it says; the same bytes change nothing.

        Raises RefusalError: what `check_sequence` refuses, or a supplier conflicts with one of another source.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustListDesk:
    """The use case; `sources` by issuer, as the settings name them."""

    records: TrustListRecords
    proposals: ProposalDesk
    sources: Mapping[str, TrustListSource]

    def import_list(
        self, token: str, *, only_of: tuple[str, str] | None, by: Administrator, at: datetime
    ) -> tuple[ImportedTrustList, Proposal | None]:
        """Import a list, or propose it where its administrators must agree; `only_of` is role and id of the sender.

        None is an administrator, who may bring anybody's list. Raises RefusalError.
        """
        imported = self.check(token, by=by.name, at=at)
        if only_of not in (None, (imported.role, imported.content.issuer)):
            raise RefusalError(
                RefusalCode.TRUST_LIST_UNTRUSTED,
                subject=f"trust list of {imported.content.issuer!r}",
                reason="it was sent by somebody else, who is no administrator",
            )
        if imported.role != ADMINISTRATORS:
            self.records.save_trust_list(imported)
            return imported, None
        subject = f"{imported.content.issuer} {imported.content.sequence}"
        return imported, self.proposals.propose(
            ProposalKind.TRUST_LIST, subject=subject, content=token, by=by, at=at
        )

    def check(self, token: str, *, by: str, at: datetime) -> ImportedTrustList:
        """All that an import checks, and nothing is stored. Raises RefusalError."""
        imported = read_trust_list(token, sources=self.sources, by=by, at=at)
        held = (each for each in self.records.trust_lists() if each.content.issuer == imported.content.issuer)
        check_sequence(imported, held=next(held, None))
        return imported

    def lists(self) -> Sequence[ImportedTrustList]:
        """The newest list of each issuer, by issuer."""
        return self.records.trust_lists()


def read_trust_list(
    token: str, *, sources: Mapping[str, TrustListSource], by: str, at: datetime
) -> ImportedTrustList:
    """A list that is signed by an issuer of the settings, as what it is there, and in time. Raises RefusalError."""
    try:
        verified = _verified(token, sources=sources, at=at)
    except MessageError as error:
        raise RefusalError(
            RefusalCode.TRUST_LIST_UNTRUSTED, subject="trust list", reason=str(error)
        ) from None
    content = verified.content
    early = (content.issued_at - at).total_seconds() > LIFE_SKEW_S
    if early or at >= content.expires_at:
        raise RefusalError(
            RefusalCode.TRUST_LIST_OUT_OF_TIME,
            subject=f"trust list {content.sequence} of {content.issuer!r}",
            reason=f"it is for {content.issued_at:%Y-%m-%dT%H:%M:%SZ} to {content.expires_at:%Y-%m-%dT%H:%M:%SZ}, "
            f"judged at {at:%Y-%m-%dT%H:%M:%SZ}",
        )
    return ImportedTrustList(content=content, role=verified.role, token=token, imported_by=by, imported_at=at)


def _verified(token: str, *, sources: Mapping[str, TrustListSource], at: datetime) -> VerifiedTrustList:
    """Under the roots of its own issuer, not under those of another one. Raises MessageError."""
    anchors = [anchor for source in sources.values() for anchor in source.anchors]
    read = verify_trust_list(token, anchors=anchors, at=at)
    source = sources.get(read.content.issuer)
    if source is None or source.role != read.role:
        raise MessageError(
            what="iss",
            expected="an issuer of trust lists in the PVA's settings, with its role",
            got=f"{read.content.issuer!r} as {read.role}",
        )
    return verify_trust_list(token, anchors=source.anchors, at=at)


def check_sequence(imported: ImportedTrustList, *, held: ImportedTrustList | None) -> bool:
    """Whether a list is newer than the one on record; False where that says the very same.

    Raises RefusalError: its sequence number is not above that of the list on record.
    """
    if held is None or imported.content.sequence > held.content.sequence:
        return True
    if imported.content == held.content:
        return False
    raise RefusalError(
        RefusalCode.TRUST_LIST_ROLLED_BACK,
        subject=f"trust list {imported.content.sequence} of {imported.content.issuer!r}",
        reason=f"list {held.content.sequence} is on record: expected a higher number",
    )


def listed_supplier(held: ImportedTrustList, *, name: str, at: datetime) -> TrustedSupplier | None:
    """What an operator's list says of a supplier; None where it does not name it, or is over itself."""
    if at >= held.content.expires_at:
        return None
    return next((each for each in held.content.suppliers if each.name == name), None)
