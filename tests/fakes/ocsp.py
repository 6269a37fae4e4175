"""A responder's surroundings in memory: issuers with delegates, and a status store that is a dictionary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from ocsp.delegates import Delegate, Issuer
from ocsp.standings import Standing
from standards.pki import oids
from standards.pki.crl import Revocation, RevocationReason
from standards.pki.fingerprints import ca_id
from tests.fakes.pki import DEFAULT_VALIDITY, LEAF_USAGE, NOW, Authority, Extensions, Validity, p256

GOOD, REVOKED, HELD, FOREIGN = 0x1001, 0x1002, 0x1003, 0x9999
REVOKED_AT = NOW - timedelta(days=2)
DELEGATE_EXTENSIONS: Extensions = ((LEAF_USAGE, True), (x509.OCSPNoCheck(), False))


@dataclass
class MemoryStatusStore:
    """Satisfies `ocsp.judgement.StatusStore` and `ocsp.standings.StandingStore`."""

    level_at: datetime | None = NOW
    known: dict[tuple[str, int], Revocation | None] = field(default_factory=dict)
    changes: int = 0

    def as_of(self) -> datetime | None:
        """When it was last level with the feed."""
        return self.level_at

    def statuses(self, issuer: str, serials: Sequence[int]) -> Mapping[int, Revocation | None]:
        """The known ones of `serials`."""
        return {each: self.known[issuer, each] for each in serials if (issuer, each) in self.known}

    def changes_seen(self) -> int:
        """How often `change` was called."""
        return self.changes

    def standings(self, issuer: str, serials: Sequence[int]) -> Mapping[int, Standing]:
        """The known ones of `serials`, each as its only version."""
        return {serial: Standing(each, 1) for serial, each in self.statuses(issuer, serials).items()}

    def change(self, issuer: str, serial: int, revocation: Revocation | None) -> None:
        """The status of one certificate from now on."""
        self.known[issuer, serial] = revocation
        self.changes += 1


def issuer_with_delegate(
    authority: Authority,
    *,
    validity: Validity = DEFAULT_VALIDITY,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Issuer:
    """`authority` as the responder knows it, with a delegate certificate, for a fresh P-256 key if for none."""
    key = key or p256()
    certificate = authority.issue(
        "OCSP delegate",
        key=key.public_key(),
        eku=oids.EKU_OCSP_SIGNING,
        extensions=DELEGATE_EXTENSIONS,
        validity=validity,
    )
    return Issuer(
        ca_id=ca_id(authority.certificate),
        certificate=authority.certificate,
        delegate=Delegate(certificate=certificate, key=key),
    )


def store_for(*authorities: Authority) -> MemoryStatusStore:
    """A store in which each authority issued GOOD, REVOKED and HELD, and nothing else."""
    store = MemoryStatusStore()
    for authority in authorities:
        issuer = ca_id(authority.certificate)
        store.known[issuer, GOOD] = None
        store.known[issuer, REVOKED] = Revocation(reason=RevocationReason.KEY_COMPROMISE, at=REVOKED_AT)
        store.known[issuer, HELD] = Revocation(reason=RevocationReason.CERTIFICATE_HOLD, at=REVOKED_AT)
    return store
