"""Obtain and renew the delegate certificates by which the responder may speak (O2, O3).

The one rule: a certificate from the CA is used only after it proves to be what was asked for: for this very
key, signed by that very CA, for OCSP signing, with nocheck, in time.

    listed  --ask-->  delegated  --renew_before its end-->  delegated
    The key is the responder's own and never leaves its file; the CA has its digest in its configuration.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.x509.oid import NameOID

from clients.ca_status import CaAnswerError, IssuingCa
from edge.http_client import HttpError, UnreachableError
from edge.process import Clock, logger
from ocsp.delegates import Delegate, DelegateDirectory, Issuer
from ocsp.store import StoredDelegate
from standards.pki import oids
from standards.pki.fingerprints import spki_sha256

LIST_EVERY = timedelta(seconds=15)
RETRY_EVERY = timedelta(seconds=2)


class DelegationError(Exception):
    """The CA gave a certificate that is not the delegation that was asked for."""

    def __init__(self, issuer: str, reason: str) -> None:
        super().__init__(f"delegate certificate of CA {issuer} refused: {reason}")
        self.issuer = issuer
        self.reason = reason


class DelegatingCa(Protocol):
    """The CA's side."""

    def issuing_cas(self) -> Sequence[IssuingCa]:
        """The issuing CAs that are active."""

    def request_delegate(self, issuer: str, *, csr: x509.CertificateSigningRequest) -> x509.Certificate:
        """A delegate certificate of the CA `issuer`."""


class DelegateStore(Protocol):
    """The responder's memory."""

    def delegates(self) -> Sequence[StoredDelegate]:
        """Every issuing CA that was listed so far."""

    def save_delegate(self, delegate: StoredDelegate) -> None:
        """Insert or replace one of them."""


class DelegateKeeper:
    """Keeps `directory` true; `renew` is called again and again and never waits."""

    def __init__(
        self, ca: DelegatingCa, store: DelegateStore, *, key: EllipticCurvePrivateKey, clock: Clock
    ) -> None:
        """Start from what the store remembers, so that the responder answers while the CA is away."""
        self._ca = ca
        self._store = store
        self._key = key
        self._key_sha256 = spki_sha256(key.public_key())
        self._clock = clock
        self._next_listing: datetime | None = None
        self._away = False
        self._log = logger("ocsp")
        self._stored = {each.issuer: each for each in store.delegates()}
        self.directory = self._directory()

    def renew(self) -> None:
        """List the CAs now and then, and ask for what is missing or near its end."""
        now = self._clock()
        if self._next_listing is not None and now < self._next_listing:
            return
        self._next_listing = now + RETRY_EVERY
        try:
            kept = [self._keep(each, at=now) for each in self._ca.issuing_cas()]
        except (UnreachableError, HttpError, CaAnswerError) as error:
            if not self._away:
                self._log.warning("ca-away", reason=str(error))
            self._away = True
            return
        self._away = False
        self._next_listing = now + (LIST_EVERY if all(kept) else RETRY_EVERY)

    def expect(self, issuers: Collection[str]) -> None:
        """List the CAs at the next call when one of `issuers` is not known yet."""
        if not set(issuers) <= set(self._stored):
            self._next_listing = None

    def _keep(self, ca: IssuingCa, *, at: datetime) -> bool:
        stored = self._stored.get(ca.ca_id)
        if stored is None:
            stored = StoredDelegate(issuer=ca.ca_id, issuer_certificate=ca.certificate)
        if not self._due(stored, at=at):
            return True
        try:
            certificate = self._ca.request_delegate(ca.ca_id, csr=self._csr())
            check_delegate(certificate, issuer=ca.certificate, key_sha256=self._key_sha256, at=at)
        except (HttpError, CaAnswerError, DelegationError) as error:
            self._log.error("delegation-refused", issuer=ca.ca_id, reason=str(error))
            self._remember(stored)
            return False
        self._log.info("delegated", issuer=ca.ca_id, until=certificate.not_valid_after_utc.isoformat())
        self._remember(
            StoredDelegate(
                issuer=ca.ca_id,
                issuer_certificate=ca.certificate,
                key_sha256=self._key_sha256,
                certificate=certificate,
            )
        )
        return True

    def _due(self, stored: StoredDelegate, *, at: datetime) -> bool:
        if stored.certificate is None or stored.key_sha256 != self._key_sha256:
            return True
        first, last = stored.certificate.not_valid_before_utc, stored.certificate.not_valid_after_utc
        return at >= last - (last - first) / 3

    def _remember(self, delegate: StoredDelegate) -> None:
        self._store.save_delegate(delegate)
        self._stored[delegate.issuer] = delegate
        self.directory = self._directory()

    def _directory(self) -> DelegateDirectory:
        return DelegateDirectory(
            Issuer(
                ca_id=each.issuer,
                certificate=each.issuer_certificate,
                delegate=Delegate(certificate=each.certificate, key=self._key)
                if each.certificate is not None and each.key_sha256 == self._key_sha256
                else None,
            )
            for each in self._stored.values()
        )

    def _csr(self) -> x509.CertificateSigningRequest:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "OCSP responder")])
        return x509.CertificateSigningRequestBuilder(subject).sign(self._key, hashes.SHA256())


def check_delegate(
    certificate: x509.Certificate, *, issuer: x509.Certificate, key_sha256: str, at: datetime
) -> None:
    """Check that `certificate` lets the key of that digest speak for `issuer` at `at`; raises DelegationError."""
    name = issuer.subject.rfc4514_string()
    if spki_sha256(certificate) != key_sha256:
        raise DelegationError(name, "it certifies another key than the one in the CSR")
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise DelegationError(name, "that CA did not sign it") from error
    values = {type(each.value): each.value for each in certificate.extensions}
    purposes = values.get(x509.ExtendedKeyUsage)
    if not isinstance(purposes, x509.ExtendedKeyUsage) or oids.EKU_OCSP_SIGNING not in purposes:
        raise DelegationError(name, "it lacks the purpose OCSPSigning")
    if x509.OCSPNoCheck not in values:
        raise DelegationError(name, "it lacks id-pkix-ocsp-nocheck (O13)")
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise DelegationError(name, f"it is not valid at {at:%Y-%m-%dT%H:%M:%SZ}")
