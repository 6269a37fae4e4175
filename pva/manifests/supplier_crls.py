"""Use case: the status of credentials whose supplier has no responder, by the CRLs of its issuing CAs (R74, R75).

Rule: absence from a list says "good" only while the list is current: it verified under the issuing CA that administrators
named, its number never fell, and its nextUpdate is not over. In every other case there is no status, and nothing is
validated. A list is asked for again from half of its life on, so that a failed try leaves time for others.

NOT checked here: whether the issuing CA itself was revoked by its root.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum, unique
from threading import Lock
from typing import Final, Protocol

from cryptography import x509

from edge.process import logger
from messages.trust_list import ListedCrl
from pva.appraisal.credential import PlatformCredential, Supplier
from pva.refusals import RefusalCode, RefusalError
from standards.pki.crl import VerifiedCrl, verify_crl
from standards.pki.errors import PkiError
from standards.pki.fingerprints import certificate_sha256
from standards.pki.ocsp_answer import CertStatus, StatusKind

RETRY: Final = timedelta(seconds=30)
"""How long after a try the next one is made, a quarter of the list's life where that is shorter."""
FIRST_RETRY: Final = timedelta(seconds=5)
"""The same before the first list is there."""
RAW_BYTES_MAX: Final = 1 << 16
"""A longer list is not kept with every result that stands on it: such a result cannot be computed again offline."""
_RETRY_AFTER_S: Final = 30


@unique
class CrlState(StrEnum):
    """How the list of an issuing CA stands."""

    CURRENT = "current"
    STALE = "stale"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldCrl:
    """The newest list of an issuing CA, without its octets; `fault` is what became of the last try, None where it was read.

    Before the first list there is only a try: `number`, `this_update` and `next_update` are None.
    """

    issuer_sha256: bytes
    url: str
    number: int | None
    this_update: datetime | None
    next_update: datetime | None
    digest: bytes
    tried_at: datetime
    fault: str | None

    def state(self, at: datetime) -> CrlState:
        """How it stands at a time."""
        if self.next_update is None:
            return CrlState.MISSING
        return CrlState.CURRENT if at < self.next_update else CrlState.STALE

    def due(self, at: datetime) -> bool:
        """Whether it is to be asked for again."""
        life = 4 * FIRST_RETRY
        if self.this_update is not None and self.next_update is not None:
            life = self.next_update - self.this_update
            if self.fault is None and at < self.this_update + life / 2:
                return False
        return at < self.tried_at or at - self.tried_at >= min(RETRY, life / 4)


class CrlRecords(Protocol):
    """What this use case needs of a store; each call is one transaction."""

    def held_crls(self) -> Sequence[HeldCrl]:
        """How every list stands."""

    def held_crl(self, issuer_sha256: bytes) -> HeldCrl | None:
        """How the list of one issuing CA stands."""

    def crl_octets(self, issuer_sha256: bytes) -> bytes:
        """The newest list of an issuing CA (DER)."""

    def save_crl(self, issuer_sha256: bytes, found: VerifiedCrl, *, url: str, at: datetime) -> bool:
        """Put a list in the place of the last one; False, and nothing but the try is recorded, where its number fell."""

    def note_crl_fault(self, issuer_sha256: bytes, *, url: str, fault: str, at: datetime) -> None:
        """Record a try that failed; what is held stays."""


@dataclass(slots=True, kw_only=True)
class CrlBook:
    """The use case; `fetch` reads a URL within its bounds and raises whatever keeps it from that."""

    records: CrlRecords
    suppliers: Callable[[], Iterable[Supplier]]
    fetch: Callable[[str], bytes]
    _read: dict[bytes, VerifiedCrl] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def refresh(self, *, at: datetime) -> None:
        """Ask for every list that is due; one that fails keeps no other back. What is not current is an alarm."""
        followed = [(supplier.name, listed) for supplier in self.suppliers() for listed in supplier.crls]
        if not followed:
            return
        held = {each.issuer_sha256: each for each in self.records.held_crls()}
        for name, listed in followed:
            key = _key(listed.issuer)
            before = held.get(key)
            if before is None or before.url != listed.url or before.due(at):
                self._renew(name, listed, key=key, at=at)

    def status(self, credential: PlatformCredential, at: datetime) -> CertStatus:
        """The status of a credential of a supplier without a responder. Raises RefusalError (STATUS_UNAVAILABLE)."""
        key = _key(credential.issuer)
        listed = next((each for each in credential.supplier.crls if _key(each.issuer) == key), None)
        if listed is None:
            raise _unavailable(credential, "no CRL is registered for its issuing CA")
        held = self.records.held_crl(key)
        if held is None or held.state(at) is not CrlState.CURRENT:
            until = "none was read" if held is None or held.next_update is None else _ended(held.next_update)
            fault = "" if held is None or held.fault is None else f"; the last try: {held.fault}"
            raise _unavailable(credential, f"the CRL at {listed.url} is not current, {until}{fault}")
        found = self._verified(held, listed, credential=credential, at=at)
        revocation = found.revoked.get(credential.certificate.serial_number)
        return CertStatus(
            kind=StatusKind.GOOD if revocation is None else StatusKind.REVOKED,
            revocation=revocation,
            this_update=found.this_update,
            next_update=found.next_update,
            raw=found.der if len(found.der) <= RAW_BYTES_MAX else b"",
        )

    def held(self) -> Sequence[HeldCrl]:
        """How every list stands."""
        return self.records.held_crls()

    def _renew(self, supplier: str, listed: ListedCrl, *, key: bytes, at: datetime) -> None:
        try:
            found = verify_crl(
                self.fetch(listed.url), issuer=listed.issuer, at=at, distribution_point=listed.url
            )
            if not self.records.save_crl(key, found, url=listed.url, at=at):
                logger("supplier-crls").error("supplier-crl-set-back", supplier=supplier, url=listed.url)
        except Exception as error:  # noqa: BLE001  # whatever is wrong there, what is known stays
            self.records.note_crl_fault(key, url=listed.url, fault=str(error)[:300], at=at)
            logger("supplier-crls").warning(
                "supplier-crl-not-read", supplier=supplier, url=listed.url, reason=str(error)
            )
        now = self.records.held_crl(key)
        if now is None or now.state(at) is not CrlState.CURRENT:
            logger("supplier-crls").error(
                "supplier-crl-not-current",
                supplier=supplier,
                url=listed.url,
                consequence="devices of this issuing CA are not validated",
            )

    def _verified(
        self, held: HeldCrl, listed: ListedCrl, *, credential: PlatformCredential, at: datetime
    ) -> VerifiedCrl:
        """The list, verified anew where this process has not read it yet: a row that was altered says nothing."""
        with self._lock:
            known = self._read.get(held.issuer_sha256)
        if known is not None and hashlib.sha256(known.der).digest() == held.digest:
            return known
        octets = self.records.crl_octets(held.issuer_sha256)
        try:
            found = verify_crl(octets, issuer=listed.issuer, at=at, distribution_point=listed.url)
        except PkiError as error:
            raise _unavailable(credential, f"the CRL on record cannot be used: {error}") from None
        with self._lock:
            self._read[held.issuer_sha256] = found
        return found


def _unavailable(credential: PlatformCredential, reason: str) -> RefusalError:
    return RefusalError(
        RefusalCode.STATUS_UNAVAILABLE,
        subject=credential.subject,
        reason=reason,
        retry_after_s=_RETRY_AFTER_S,
    )


def _ended(next_update: datetime) -> str:
    return f"it ended at {next_update:%Y-%m-%dT%H:%M:%SZ}"


def _key(issuer: x509.Certificate) -> bytes:
    return bytes.fromhex(certificate_sha256(issuer))
