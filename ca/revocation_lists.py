"""CRLs: when they are due, and publishing them (RFC 5280 section 5); `list_building` makes each.

The one rule: a list is complete for its scope at one moment: the CA, or one of its partitions. Each certificate
belongs to one partition from its issuance on, its CRLDP is that partition's URL, and a partition's list names the
same URL in a critical issuingDistributionPoint (P12). Partitions become more, never fewer. A list is
made in one transaction from the status rows, its number is above the last, and it appears again whenever half of
its life is over or a status changed.

Whether a status changed is told by the number of its row, never by the time in it: a revocation that waited for
the store carries a time before the list that it just missed. A list is numbered by the second in which it is made
(or one above the last), so a CA that was set back to an older backup does not hand out a number twice.

An entry stays until one list after the certificate's expiry has shown it (P15, RFC 5280 section 3.3).
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from ca.callers import Caller
from ca.errors import ConflictError, InvalidInputError, NotFoundError
from ca.lifecycle import AuthorityState
from ca.list_building import ListHead, build_revocation_list
from ca.names import crl_name, read_crl_name
from ca.profiles import Kind
from ca.races import repeated
from ca.records import Authority, RevocationList, Revoked
from ca.signing import Signing
from ca.template import Issuer
from edge.process import Clock

PARTITIONS_MIN, PARTITIONS_MAX = 2, 256
PUBLISHERS = (Kind.ES_ROOT, Kind.ISSUING_CA, Kind.OPERATORS_ROOT, Kind.TLS_ROOT)


class _Expires(Protocol):
    @property
    def not_after(self) -> datetime: ...


_Expiring = TypeVar("_Expiring", bound=_Expires)


class RevocationListRecords(Protocol):
    """Port to CAs, revoked certificates and published CRLs."""

    def authority(self, ca_id: str) -> Authority | None:
        """The CA with this id."""

    def authorities(self, *kinds: Kind) -> list[Authority]:
        """All CAs of these kinds."""

    def revoked_certificates(self, ca_id: str, *, partition: int = 0) -> list[Revoked]:
        """Certificates of a CA's partition whose present status is revoked, oldest first."""

    def last_revocation_seq(self, ca_id: str, *, partition: int = 0) -> int:
        """Seq of the last change of status (revoked, held, released) in a CA's partition, 0 before the first."""

    def suspended_certificates(self, ca_id: str, *, partition: int = 0) -> list[Revoked]:
        """Certificates of a CA's partition that are good by themselves and in a suspended scope."""

    def last_suspension_seq(self, ca_id: str) -> int:
        """Place of the last suspension or lifting of the CA's supplier, 0 before the first."""

    def newest_revocation_list(self, ca_id: str, *, partition: int = 0) -> RevocationList | None:
        """The CRL of the partition with the highest number."""

    def raise_crl_partitions(self, ca_id: str, *, count: int) -> bool:
        """Give a CA `count` partitions; False when it has as many or more."""

    def audit(self, *, kind: str, subject: str, record: dict[str, Any], at: datetime) -> None:
        """Add one leaf to the ledger."""

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

    def published(self, name: str) -> RevocationList:
        """The newest CRL with this name (`names.crl_name`) of a CA whose key is here."""
        scope = read_crl_name(name)
        newest = None
        if scope is not None:
            with self.store.reading() as records:
                newest = records.newest_revocation_list(scope[0], partition=scope[1])
        if newest is None:
            raise NotFoundError(
                "no-crl",
                subject=name[:64],
                detail="no CRL is published here under this name",
                remedy="use the URL in the certificate's CRL distribution points",
            )
        return newest

    def certificate_of(self, name: str) -> bytes | None:
        """DER certificate of a CA that is known here, by its id, for caIssuers.

        With `-by-predecessor` or `-by-successor` behind the id: what that key says of this one.
        """
        ca_id, _, by = name.partition("-")
        with self.store.reading() as records:
            authority = records.authority(ca_id)
        if authority is None:
            return None
        said = {
            "": authority.certificate,
            "by-predecessor": authority.by_predecessor,
            "by-successor": authority.by_successor,
        }
        return said.get(by)

    def publish_due(self) -> list[RevocationList]:
        """Make every CRL that is missing, past half of its life or behind a revocation; safe to repeat."""
        at = self.clock()
        with self.store.reading() as records:
            signers = [each for each in records.authorities(*PUBLISHERS) if _signs_lists(each)]
            due = [
                (each.ca_id, partition)
                for each in signers
                for partition in range(each.crl_partitions)
                if self._is_due(records, each.ca_id, partition, at=at)
            ]
        return [made for ca_id, partition in due if (made := self._publish_if_due(ca_id, partition))]

    @repeated
    def publish(self, ca_id: str, partition: int = 0) -> RevocationList:
        """Make the next CRL of one partition of a CA now."""
        with self.store.writing() as records:
            authority = _signer(records, ca_id, partition)
            return self._next(records, authority, partition, at=self.clock())

    @repeated
    def divide(self, issuing_ca: str, *, count: int, caller: Caller) -> Authority:
        """Spread the certificates that an issuing CA signs from now on over `count` CRLs.

        What was issued before stays where its CRLDP says. Fewer than before is refused.
        """
        # 1 a count that serves
        if not PARTITIONS_MIN <= count <= PARTITIONS_MAX:
            raise InvalidInputError(
                "crl-partitions",
                subject=issuing_ca[:64],
                detail=f"expected {PARTITIONS_MIN} to {PARTITIONS_MAX} CRLs, got {count}",
                remedy="choose so many that each list stays below some 100,000 entries",
            )
        at = self.clock()
        with self.store.writing() as records:
            # 2 an issuing CA of this place, which has fewer
            authority = _signer(records, issuing_ca, 0)
            if authority.kind is not Kind.ISSUING_CA:
                raise _no_signer(issuing_ca)
            if not records.raise_crl_partitions(issuing_ca, count=count):
                raise ConflictError(
                    "crl-partitions",
                    subject=issuing_ca,
                    detail=f"it has {authority.crl_partitions} CRLs already, and certificates name each",
                    remedy="choose a larger number, or leave it",
                )
            divided = _signer(records, issuing_ca, 0)
            # 3 every list, with its scope in it, before any certificate names it; audit leaf
            for partition in range(count):
                self._next(records, divided, partition, at=at)
            record = {"crl_partitions": count, "by": caller.name}
            records.audit(kind="crl-divided", subject=issuing_ca, record=record, at=at)
            return divided

    @repeated
    def _publish_if_due(self, ca_id: str, partition: int) -> RevocationList | None:
        at = self.clock()
        with self.store.writing() as records:
            authority = records.authority(ca_id)
            if authority is None or not self._is_due(records, ca_id, partition, at=at):
                return None
            return self._next(records, authority, partition, at=at)

    def _is_due(self, records: RevocationListRecords, ca_id: str, partition: int, *, at: datetime) -> bool:
        newest = records.newest_revocation_list(ca_id, partition=partition)
        if newest is None or at >= newest.this_update + self.life / 2:
            return True
        return _last_change(records, ca_id, partition) > newest.status_seq

    def _next(
        self, records: RevocationListRecords, authority: Authority, partition: int, *, at: datetime
    ) -> RevocationList:
        ca_id = authority.ca_id
        before = records.newest_revocation_list(ca_id, partition=partition)
        places = self.signing.places(ca_id, partition=partition)
        issuer = Issuer(
            kind=authority.kind,
            certificate=authority.x509(),
            key=self.signing.keys.load(ca_id),
            places=places,
        )
        at = at.replace(microsecond=0)
        head = ListHead(
            number=max(int(at.timestamp()), 0 if before is None else before.number + 1),
            at=at,
            life=self.life,
            scope_url=places.crl_url if authority.crl_partitions > 1 else None,
        )
        revoked = records.revoked_certificates(ca_id, partition=partition)
        suspended = records.suspended_certificates(ca_id, partition=partition)
        entries = still_listed(
            [*revoked, *suspended],
            shown_until=None if before is None else before.this_update,
        )
        made = RevocationList(
            ca_id=ca_id,
            partition=partition,
            number=head.number,
            der=build_revocation_list(entries, issuer=issuer, head=head),
            this_update=at,
            next_update=at + self.life,
            status_seq=_last_change(records, ca_id, partition),
        )
        records.add_revocation_list(made)
        return made


def _last_change(records: RevocationListRecords, ca_id: str, partition: int) -> int:
    revoked = records.last_revocation_seq(ca_id, partition=partition)
    return max(revoked, records.last_suspension_seq(ca_id))


def still_listed(revoked: Iterable[_Expiring], *, shown_until: datetime | None) -> list[_Expiring]:
    """Entries of the next list: all but those that a list made after their expiry has shown already."""
    return [each for each in revoked if shown_until is None or shown_until <= each.not_after]


def _signs_lists(authority: Authority) -> bool:
    return authority.hosted and authority.state is not AuthorityState.PENDING


def _signer(records: RevocationListRecords, ca_id: str, partition: int) -> Authority:
    authority = records.authority(ca_id)
    if authority is None or not _signs_lists(authority) or not 0 <= partition < authority.crl_partitions:
        raise _no_signer(crl_name(ca_id[:64], partition))
    return authority


def _no_signer(which: str) -> NotFoundError:
    return NotFoundError(
        "no-such-ca",
        subject=which[:64],
        detail="no CA that signs CRLs here has this id",
        remedy="an imported root publishes its own",
    )
