"""For which issuers this responder may speak, and with which delegate certificate (O2, O3).

The one rule: every CA key has a delegate certificate of its own, issued by that CA; the responder never holds
a CA's key.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from standards.pki.fingerprints import certificate_der
from standards.pki.ocsp import CERT_ID_DIGESTS, CertId, issuer_hashes
from standards.pki.ocsp_template import AnswerTemplate

# An answer needs some life left, or it is stale when it arrives.
LIFE_LEFT_MIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegate:
    """A delegate certificate, its window, when it signs the last time, and the responder's key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey = field(repr=False)
    curve: str = field(init=False)
    since: datetime = field(init=False)
    until: datetime = field(init=False)
    signs_until: datetime = field(init=False)
    template: AnswerTemplate = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Lay out once what every answer of this delegate has in common."""
        key = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        template = AnswerTemplate(key_hash=key.digest, certificate=certificate_der(self.certificate))
        object.__setattr__(self, "template", template)
        object.__setattr__(self, "curve", self.key.curve.name)
        object.__setattr__(self, "since", self.certificate.not_valid_before_utc)
        object.__setattr__(self, "until", self.certificate.not_valid_after_utc)
        object.__setattr__(self, "signs_until", self.until - LIFE_LEFT_MIN)

    def usable(self, *, at: datetime) -> bool:
        """Whether answers may be signed with it at `at`."""
        return self.since <= at <= self.signs_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """A CA that this responder answers for; without a delegate it cannot answer yet."""

    ca_id: str
    certificate: x509.Certificate
    delegate: Delegate | None = None

    def able(self, *, at: datetime) -> Delegate | None:
        """The delegate, if answers may be signed with it at `at`."""
        return self.delegate if self.delegate is not None and self.delegate.usable(at=at) else None


class DelegateDirectory:
    """Immutable: which issuer a CertID names, under any digest that a CertID may use."""

    def __init__(self, issuers: Iterable[Issuer] = ()) -> None:
        """Index `issuers` by the hashes of their names and keys."""
        self.issuers = tuple(issuers)
        self._found = {
            issuer_hashes(issuer.certificate, digest): issuer
            for issuer in self.issuers
            for digest in CERT_ID_DIGESTS
        }

    def find(self, cert_id: CertId) -> Issuer | None:
        """The issuer whose name and key both match (O6), None where it is not served here."""
        return self._found.get(cert_id.issuer)
