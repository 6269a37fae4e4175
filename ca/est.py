"""Enrolment over secure transport (RFC 7030, 8951, 9908) for TLS certificates and operators' services (E1-E7).

The one rule: a request for a certificate brings a key and the proof of its possession, and decides nothing. A first
certificate is for a key that an administrator registered, before or after it asked, and that of a TLS client says who did;
a renewal repeats the certificate that it renews. Labels are the kinds of `EST_KINDS`: a Platform Credential, a CA or a supplier's certificate has none.

    nobody  -> pending | registered     a request (202, E7), or an administrator
    pending -> registered               an administrator approves; of some purposes, two (`ca.key_registrations`)
    registered -> issued                the request, once; the same key again gets the same certificate

A renewal of a TLS client certificate is authenticated by the TLS handshake with it. Other certificates cannot be shown in
a handshake (their purposes forbid it, RFC 7030 section 2.3): theirs is signed with the key that they certify, and gives
nothing new before half of their life is over, so a copy of such a request gains nobody anything.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from ca.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from ca.key_algorithms import SubjectKey
from ca.lifecycle import Status
from ca.profiles import OPERATOR_ROLES, PROFILES, Kind
from ca.proofs import decode_csr, proven_key
from ca.races import repeated
from ca.records import Authority, EstEnrollment, EstState, Issued
from ca.service_templates import operator_template, tls_template
from ca.signing import Holder, IssuanceRecords, Signing
from ca.template import Template
from edge.process import Clock
from standards.pki.extensions import OperatorRole, Requesters
from standards.pki.fingerprints import ca_id, spki_sha256

EST_KINDS: dict[str, Kind] = {
    str(kind): kind for kind in (Kind.TLS_CLIENT, Kind.TLS_SERVER, *sorted(OPERATOR_ROLES))
}
"""Label -> what it certifies; the default label is that of TLS clients."""
DEFAULT_LABEL = str(Kind.TLS_CLIENT)
PENDING_MAX = 200
PENDING_KEPT = timedelta(days=7)
RETRY_AFTER = timedelta(minutes=5)


class EstRecords(IssuanceRecords, Protocol):
    """Port to registered keys, to roots and to the certificates of a key."""

    def root(self, kind: Kind, *, supplier: str | None = None) -> Authority | None:
        """The root of this kind that has no successor."""

    def roots(self, kind: Kind, *, supplier: str | None = None) -> list[Authority]:
        """All generations of a root, oldest first."""

    def certificate(self, ca_id: str, serial: int) -> Issued | None:
        """The certificate with its present status."""

    def certificates_of_key(self, kind: Kind, *, spki_sha256: str) -> list[Issued]:
        """Certificates of this kind for a key, oldest first."""

    def est_enrollment(self, kind: Kind, *, spki_sha256: str) -> EstEnrollment | None:
        """Where a key stands."""

    def est_enrollments(self) -> list[EstEnrollment]:
        """All keys that asked or were registered, oldest first."""

    def add_pending(self, enrollment: EstEnrollment, *, at_most: int, kept_since: datetime) -> bool:
        """Record a key that asked, after forgetting those that asked before `kept_since`; False when full."""

    def register_key(self, enrollment: EstEnrollment) -> bool:
        """Register a key, new or pending; False when it is registered already."""

    def use_registration(self, kind: Kind, *, spki_sha256: str, ca_id: str, serial: int) -> bool:
        """Use a registration up for this certificate; False when it is not registered (any more)."""


class EstStore(Protocol):
    """Port to transactions over them."""

    def reading(self) -> AbstractContextManager[EstRecords]:
        """A transaction that cannot change anything."""

    def writing(self) -> AbstractContextManager[EstRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Est:
    """The use cases of EST; those of the administrators behind it are in `ca.key_registrations`."""

    store: EstStore
    signing: Signing
    clock: Clock

    def ca_certificates(self, label: str) -> list[x509.Certificate]:
        """The present root, and the generations before it with their cross-certificates (RFC 7030 4.1.3)."""
        with self.store.reading() as records:
            roots = records.roots(_root_kind(_kind(label)))
        found = [each.x509() for each in reversed(roots)]
        crossing = [der for each in roots for der in (each.by_predecessor, each.by_successor) if der]
        return [*found, *(x509.load_der_x509_certificate(der) for der in crossing)]

    @repeated
    def enroll(self, label: str, request: bytes) -> x509.Certificate | None:
        """The certificate of a registered key for a DER PKCS#10 request, None while it waits for approval."""
        at = self.clock()
        # 1 a label, a proven key
        kind = _kind(label)
        key = proven_key(decode_csr(request, subject=label), subject=label, allowed=PROFILES[kind].keys)
        spki = spki_sha256(key)
        with self.store.writing() as records:
            # 2 where this key stands
            known = records.est_enrollment(kind, spki_sha256=spki)
            if known is None:
                _wait(records, EstEnrollment(kind=kind, spki_sha256=spki, state=EstState.PENDING, since=at))
                return None
            if known.state is EstState.PENDING:
                return None
            if known.state is EstState.ISSUED:
                return issued_before(records, known, at=at)
            # 3 sign what was registered, and use the registration up
            return issue_registered(records, self.signing, known, key=key, at=at)

    @repeated
    def renew(self, label: str, request: bytes, *, shown: x509.Certificate | None) -> x509.Certificate:
        """The next certificate in place of the one that is renewed; `shown` is that of the TLS handshake."""
        at = self.clock()
        # 1 a label, a proven key
        kind = _kind(label)
        csr = decode_csr(request, subject=label)
        key = proven_key(csr, subject=label, allowed=PROFILES[kind].keys)
        with self.store.writing() as records:
            # 2 the certificate that is renewed: in our books, good, in time
            if kind is Kind.TLS_CLIENT:
                renewed = _shown(records, shown, kind=kind)
            else:
                renewed = _newest(records.certificates_of_key(kind, spki_sha256=spki_sha256(key)), kind=kind)
            _check_good(renewed, at=at)
            before = x509.load_der_x509_certificate(renewed.der)
            # 3 the same subject and alternative names (E6)
            _check_same_names(csr, before)
            # 4 of a certificate that nobody showed, nothing new before half of its life
            half = before.not_valid_before_utc + (renewed.not_after - before.not_valid_before_utc) / 2
            if kind is not Kind.TLS_CLIENT and at < half:
                return before
            # 5 sign and record
            template = _same_again(kind, before, key=key)
            return _certify(records, self.signing, template, holder=renewed.subject, at=at)[0]

    def known(self) -> list[EstEnrollment]:
        """All keys that asked or were registered."""
        with self.store.reading() as records:
            return records.est_enrollments()


def issue_registered(
    records: EstRecords, signing: Signing, known: EstEnrollment, *, key: SubjectKey, at: datetime
) -> x509.Certificate:
    """Sign what was registered for a key, and use the registration up, in the caller's transaction."""
    template = registered_template(known, key=key)
    made, by = _certify(records, signing, template, holder=known.name, at=at)
    if not records.use_registration(
        known.kind, spki_sha256=known.spki_sha256, ca_id=by, serial=made.serial_number
    ):
        raise key_used_up(known.spki_sha256)
    return made


def _certify(
    records: EstRecords, signing: Signing, template: Template, *, holder: str, at: datetime
) -> tuple[x509.Certificate, str]:
    root = records.root(_root_kind(template.kind))
    if root is None:
        raise _no_root(template.kind)
    subject = holder if holder.startswith(str(template.kind)) else f"{template.kind} {holder}"
    made = signing.certify(records, template, by=root, holder=Holder(subject=subject), at=at)
    return made, root.ca_id


def _kind(label: str) -> Kind:
    kind = EST_KINDS.get(label)
    if kind is None:
        raise NotFoundError(
            "no-such-label",
            subject=label[:64],
            detail="no certificates are given out under this label",
            remedy=f"use one of {', '.join(EST_KINDS)}",
        )
    return kind


def _root_kind(kind: Kind) -> Kind:
    return Kind.OPERATORS_ROOT if kind in OPERATOR_ROLES else Kind.TLS_ROOT


def registered_template(known: EstEnrollment, *, key: SubjectKey) -> Template:
    """What the certificate of a registered key says. Raises InvalidInputError."""
    if known.kind in OPERATOR_ROLES:
        return operator_template(known.kind, role=known.role, service=known.name, key=key)
    return tls_template(
        known.kind,
        holder=known.name,
        key=key,
        requesters=None if known.requesters is None else Requesters(line=known.requesters),
        dns=known.dns,
        addresses=known.addresses,
    )


def _same_again(kind: Kind, before: x509.Certificate, *, key: SubjectKey) -> Template:
    names = _alternative_names(before.extensions)
    return Template(
        kind=kind,
        public_key=key,
        subject=before.subject,
        network_names=None if names is None else tuple(names),
        operator_role=OperatorRole.of(before),
        requesters=Requesters.of(before),
    )


def _wait(records: EstRecords, enrollment: EstEnrollment) -> None:
    kept_since = enrollment.since - PENDING_KEPT
    if not records.add_pending(enrollment, at_most=PENDING_MAX, kept_since=kept_since):
        raise ConflictError(
            "too-many-pending",
            subject="request",
            detail=f"{PENDING_MAX} other keys wait for an administrator",
            remedy="have the key registered by its digest, then ask again",
        )


def issued_before(records: EstRecords, known: EstEnrollment, *, at: datetime) -> x509.Certificate:
    """The certificate that a key has got. Raises NotPermittedError where it is not good any more."""
    issued = records.certificate(known.ca_id or "", known.serial or 0)
    if issued is None:
        raise LookupError(f"the books have no certificate of the registered key {known.spki_sha256}")
    _check_good(issued, at=at)
    return x509.load_der_x509_certificate(issued.der)


def _shown(records: EstRecords, shown: x509.Certificate | None, *, kind: Kind) -> Issued:
    if shown is None:
        raise NotPermittedError(
            "certificate-required",
            subject="client certificate",
            detail="a renewal is asked for with the certificate that it renews",
            remedy="connect with that certificate, or have the new key registered and enrol it",
        )
    root = next((each for each in records.roots(Kind.TLS_ROOT) if _signed(each, shown)), None)
    issued = None if root is None else records.certificate(ca_id(root.x509()), shown.serial_number)
    if issued is None or issued.kind is not kind:
        raise NotPermittedError(
            "not-renewable",
            subject="client certificate",
            detail=f"it is no {kind} certificate of this CA",
            remedy="use the label of its kind",
        )
    return issued


def _signed(root: Authority, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(root.x509())
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _newest(found: Sequence[Issued], *, kind: Kind) -> Issued:
    if not found:
        raise NotPermittedError(
            "not-renewable",
            subject="request",
            detail=f"no {kind} certificate was issued for the key of the request",
            remedy="renew with the same key, or have the new key registered and enrol it",
        )
    return found[-1]


def _check_good(issued: Issued, *, at: datetime) -> None:
    if issued.status is not Status.GOOD or at > issued.not_after:
        raise NotPermittedError(
            "certificate-not-good",
            subject=f"certificate {issued.serial:040x}",
            detail="it is revoked" if issued.status is not Status.GOOD else "it has ended",
            remedy="have a new key registered and enrol it",
        )


def _check_same_names(csr: x509.CertificateSigningRequest, before: x509.Certificate) -> None:
    asked, had = _alternative_names(csr.extensions), _alternative_names(before.extensions)
    if csr.subject != before.subject or (asked and list(asked)) != (had and list(had)):
        raise InvalidInputError(
            "names-changed",
            subject="request",
            detail="a renewal keeps subject and alternative names (RFC 7030, 4.2.2)",
            remedy=f"ask for {before.subject.rfc4514_string()} with the same alternative names",
        )


def _alternative_names(extensions: x509.Extensions) -> x509.SubjectAlternativeName | None:
    try:
        return extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def check_not_registered(known: EstEnrollment | None) -> None:
    """Raises ConflictError where a key is registered already, or has its certificate."""
    if known is not None and known.state is not EstState.PENDING:
        raise key_used_up(known.spki_sha256)


def key_used_up(spki: str) -> ConflictError:
    """A key is registered once."""
    return ConflictError(
        "key-registered-already",
        subject=spki,
        detail="this key is registered already, or has its certificate",
        remedy="make another key; a certificate that has ended is replaced under a new one",
    )


def _no_root(kind: Kind) -> NotFoundError:
    return NotFoundError(
        "no-such-ca",
        subject=str(kind),
        detail="the root of these certificates does not exist yet",
        remedy="run the first steps of the CA",
    )
