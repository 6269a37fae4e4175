"""CRLs: building, signing and publishing them, one full list a CA (RFC 5280 section 5).

The one rule: a list is complete for its CA at one moment. It is made in one transaction from the status rows, its
number is above the last, and it appears again whenever half of its life is over or a status changed.

Whether a status changed is told by the number of its row, never by the time in it: a revocation that waited for
the store carries a time before the list that it just missed. A list is numbered by the second in which it is made
(or one above the last), so a CA that was set back to an older backup does not hand out a number twice.

An entry stays until one list after the certificate's expiry has shown it (P15, RFC 5280 section 3.3).
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ca.errors import NotFoundError, ProfileError
from ca.issuance import Issuer, authority_key_identifier
from ca.lifecycle import AuthorityState
from ca.lint import lint_revocation_list
from ca.profiles import Kind
from ca.races import repeated
from ca.records import Authority, Issued, RevocationList
from ca.signing import Signing
from edge.process import Clock

PUBLISHERS = (Kind.ES_ROOT, Kind.ISSUING_CA, Kind.OPERATORS_ROOT, Kind.TLS_ROOT)


class RevocationListRecords(Protocol):
    """Port to CAs, revoked certificates and published CRLs."""

    def authority(self, ca_id: str) -> Authority | None:
        """The CA with this id."""

    def authorities(self, *kinds: Kind) -> list[Authority]:
        """All CAs of these kinds."""

    def revoked_certificates(self, ca_id: str) -> list[Issued]:
        """Certificates of a CA whose present status is revoked, oldest first."""

    def last_revocation_seq(self, ca_id: str) -> int:
        """Seq of the last change of status (revoked, held, released) of a CA's certificates, 0 before the first."""

    def newest_revocation_list(self, ca_id: str) -> RevocationList | None:
        """The CRL with the highest number."""

    def add_revocation_list(self, published: RevocationList) -> None:
        """Record a CRL; its number must be new."""


class RevocationListStore(Protocol):
    """Port to transactions over them."""

    def reading(self) -> AbstractContextManager[RevocationListRecords]:
        """A transaction that cannot change anything."""

    def writing(self) -> AbstractContextManager[RevocationListRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationLists:
    """The use cases around CRLs; `life` is nextUpdate - thisUpdate."""

    store: RevocationListStore
    signing: Signing
    clock: Clock
    life: timedelta

    def published(self, ca_id: str) -> RevocationList:
        """The newest CRL of a CA whose key is here."""
        with self.store.reading() as records:
            newest = records.newest_revocation_list(ca_id)
        if newest is None:
            raise NotFoundError(
                "no-crl",
                subject=ca_id[:64],
                detail="no CRL is published here under this name",
                remedy="use the URL in the certificate's CRL distribution points",
            )
        return newest

    def certificate_of(self, ca_id: str) -> bytes | None:
        """DER certificate of a CA that is known here, for caIssuers."""
        with self.store.reading() as records:
            authority = records.authority(ca_id)
        return None if authority is None else authority.certificate

    def publish_due(self) -> list[RevocationList]:
        """Make the CRL of every CA that has none, or one past half of its life; safe to repeat."""
        at = self.clock()
        with self.store.reading() as records:
            signers = [each.ca_id for each in records.authorities(*PUBLISHERS) if _signs_lists(each)]
            due = [each for each in signers if self._is_due(records, each, at=at)]
        return [made for each in due if (made := self._publish_if_due(each)) is not None]

    @repeated
    def publish(self, ca_id: str) -> RevocationList:
        """Make the next CRL of one CA now."""
        with self.store.writing() as records:
            authority = records.authority(ca_id)
            if authority is None or not _signs_lists(authority):
                raise NotFoundError(
                    "no-such-ca",
                    subject=ca_id[:64],
                    detail="no CA that signs CRLs here has this id",
                    remedy="an imported root publishes its own",
                )
            return self._next(records, authority, at=self.clock())

    @repeated
    def _publish_if_due(self, ca_id: str) -> RevocationList | None:
        at = self.clock()
        with self.store.writing() as records:
            authority = records.authority(ca_id)
            if authority is None or not self._is_due(records, ca_id, at=at):
                return None
            return self._next(records, authority, at=at)

    def _is_due(self, records: RevocationListRecords, ca_id: str, *, at: datetime) -> bool:
        newest = records.newest_revocation_list(ca_id)
        if newest is None or at >= newest.this_update + self.life / 2:
            return True
        return records.last_revocation_seq(ca_id) > newest.status_seq

    def _next(self, records: RevocationListRecords, authority: Authority, *, at: datetime) -> RevocationList:
        before = records.newest_revocation_list(authority.ca_id)
        issuer = Issuer(
            kind=authority.kind,
            certificate=authority.x509(),
            key=self.signing.keys.load(authority.ca_id),
            places=self.signing.places(authority.ca_id),
        )
        shown_until = None if before is None else before.this_update
        at = at.replace(microsecond=0)
        number = max(int(at.timestamp()), 0 if before is None else before.number + 1)
        entries = still_listed(records.revoked_certificates(authority.ca_id), shown_until=shown_until)
        der = build_revocation_list(entries, issuer=issuer, number=number, at=at, life=self.life)
        made = RevocationList(
            ca_id=authority.ca_id,
            number=number,
            der=der,
            this_update=at,
            next_update=at + self.life,
            status_seq=records.last_revocation_seq(authority.ca_id),
        )
        records.add_revocation_list(made)
        return made


def still_listed(revoked: Iterable[Issued], *, shown_until: datetime | None) -> list[Issued]:
    """Entries of the next list: all but those that a list made after their expiry has shown already."""
    return [each for each in revoked if shown_until is None or shown_until <= each.not_after]


def build_revocation_list(
    entries: Iterable[Issued], *, issuer: Issuer, number: int, at: datetime, life: timedelta
) -> bytes:
    """A signed DER CRL of `issuer` at the aware UTC time `at`; examined before the CA's key signs it."""
    if issuer.certificate is None:
        raise ProfileError("a CRL needs the certificate of its issuer")
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(at)
        .next_update(at + life)
        .add_extension(authority_key_identifier(issuer.certificate), critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for entry in entries:
        builder = builder.add_revoked_certificate(_entry(entry, at=at))
    rehearsal = builder.sign(ec.generate_private_key(issuer.key.curve), hashes.SHA256())
    lint_revocation_list(rehearsal, issuer=issuer.certificate)
    crl = builder.sign(issuer.key, hashes.SHA256())
    if crl.tbs_certlist_bytes != rehearsal.tbs_certlist_bytes:
        raise ProfileError("the CRL that was signed is not the one that was examined")
    return crl.public_bytes(Encoding.DER)


def _entry(issued: Issued, *, at: datetime) -> x509.RevokedCertificate:
    if issued.reason is None:
        raise ProfileError(f"the revoked certificate {issued.serial:x} has no reason")
    return (
        x509.RevokedCertificateBuilder()
        .serial_number(issued.serial)
        # two processes' clocks may differ a little; a list speaks of nothing that comes after it
        .revocation_date(min(issued.changed_at.replace(microsecond=0), at))
        .add_extension(x509.CRLReason(issued.reason.flag), critical=False)
        .build()
    )


def _signs_lists(authority: Authority) -> bool:
    return authority.hosted and authority.state is not AuthorityState.PENDING
