"""Certificates for services and suppliers, each for a key that its holder proved with a CSR.

The one rule: the caller's request says whose key it is and for which purpose; the profile says the rest.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from cryptography import x509

from ca.callers import Caller
from ca.errors import ConflictError, InvalidInputError, NotFoundError, NotPermittedError
from ca.hierarchy import check_tre_level
from ca.issuance import name
from ca.key_algorithms import SubjectKey
from ca.names import check_name
from ca.profiles import BY_TWO, OPERATOR_ROLES, PROFILES, Kind
from ca.proofs import read_csr
from ca.races import repeated
from ca.records import Authority
from ca.service_templates import operator_template, tls_template
from ca.signing import Holder, IssuanceRecords, Signing
from ca.template import Template
from edge.process import Clock
from standards.pki.extensions import AT_A_CEREMONY
from standards.pki.fingerprints import spki_sha256

SUPPLIER_PURPOSES = {
    "manifest-signing": Kind.MANIFEST_SIGNING,
    "batch-signing": Kind.BATCH_SIGNING,
}
OPERATOR_PURPOSES = {kind.value: kind for kind in OPERATOR_ROLES}
TLS_KINDS = {"server": Kind.TLS_SERVER, "client": Kind.TLS_CLIENT}


class CertificationRecords(IssuanceRecords, Protocol):
    """Port to the CAs that sign."""

    def authority(self, ca_id: str) -> Authority | None:
        """The CA with this id."""

    def root(self, kind: Kind, *, supplier: str | None = None) -> Authority | None:
        """The root of this kind; for an ES root, that of the supplier."""


class CertificationStore(Protocol):
    """Port to transactions over them."""

    def writing(self) -> AbstractContextManager[CertificationRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certification:
    """The use cases that certify keys of others; `responder_keys` are SPKI digests (SHA-256, hexadecimal)."""

    store: CertificationStore
    signing: Signing
    clock: Clock
    responder_keys: frozenset[str]

    def certify_supplier(self, supplier: str, *, purpose: str, csr: str, caller: Caller) -> x509.Certificate:
        """A manifest-signing or batch-signing certificate under the supplier's hosted ES root."""
        # 1 the supplier itself asks, or an administrator
        caller.speak_for(supplier, subject=f"{purpose} certificate of {supplier}"[:200])
        # 2 a known purpose, a proven key
        kind = _purpose(SUPPLIER_PURPOSES, purpose)
        key = read_csr(csr, subject=f"CSR of {supplier}", allowed=PROFILES[kind].keys)
        # 3 sign and record
        subject = name(organization=supplier, common_name=f"{supplier} {purpose}")
        template = Template(kind=kind, public_key=key, subject=subject)
        holder = Holder(subject=f"{purpose} of {supplier}", supplier=supplier)
        return self._under_root(Kind.ES_ROOT, template, holder=holder, supplier=supplier)

    def certify_issuing_ca(
        self, supplier: str, *, title: str, tre_level: int, csr: str, caller: Caller
    ) -> x509.Certificate:
        """The certificate of an issuing CA whose key is elsewhere, such as with whoever runs a PVA (R75).

        Its certificates, CRLs and status are that CA's; here are its own certificate and the end of it.
        """
        # 1 what it may say
        check_name("supplier", supplier)
        check_name("name of the issuing CA", title)
        check_tre_level(tre_level)
        # 2 a proven key; that it does nothing else is looked at before it is certified
        key = read_csr(csr, subject=f"CSR of {title}", allowed=PROFILES[Kind.ISSUING_CA].keys)
        # 3 sign and record
        subject = name(organization=supplier, common_name=title)
        template = Template(kind=Kind.ISSUING_CA, public_key=key, subject=subject, tre_level=tre_level)
        holder = Holder(subject=f"issuing CA {title}, asked for by {caller.name}"[:200], supplier=supplier)
        return self._under_root(Kind.ES_ROOT, template, holder=holder, supplier=supplier)

    def certify_operator(self, role: str, *, service: str, purpose: str, csr: str) -> x509.Certificate:
        """A certificate that acts towards TREs and relying parties, under the operators' root.

        Raises ConflictError for a purpose that takes two administrators (`ca.key_registrations`).
        """
        # 1 a known purpose that is one administrator's to give
        kind = operator_purpose(purpose)
        if kind in BY_TWO:
            raise _by_two(service, purpose=purpose)
        return self.certify_operator_at_ceremony(kind, role=role, service=service, csr=csr)

    def certify_operator_at_ceremony(
        self, kind: Kind, *, role: str, service: str, csr: str
    ) -> x509.Certificate:
        """The same at the CA's own machine, for every purpose: those who are at the ceremony are the two."""
        # 1 a purpose that this role may have, a proven key
        key = read_csr(csr, subject=f"CSR of {service[:64]}", allowed=PROFILES[kind].keys)
        template = operator_template(kind, role=role, service=service, key=key)
        # 2 sign and record
        return self._under_root(
            Kind.OPERATORS_ROOT, template, holder=Holder(subject=f"{kind} of {role} {service}")
        )

    def certify_tls(
        self,
        kind: str,
        *,
        holder: str,
        csr: str,
        caller: Caller,
        dns: Sequence[str] = (),
        addresses: Sequence[str] = (),
    ) -> x509.Certificate:
        """A TLS server or client certificate; `csr` is PEM. A client's says that `caller` had it issued."""
        check_name("name of the holder", holder)
        profile = PROFILES[_purpose(TLS_KINDS, kind)]
        key = read_csr(csr, subject=f"CSR of {holder}", allowed=profile.keys)
        said = caller.requesters()
        template = tls_template(
            profile.kind, holder=holder, key=key, requesters=said, dns=dns, addresses=addresses
        )
        return self._certify_tls(template, holder=holder)

    def certify_tls_key(
        self,
        kind: Kind,
        *,
        holder: str,
        key: SubjectKey,
        dns: Sequence[str] = (),
        addresses: Sequence[str] = (),
    ) -> x509.Certificate:
        """The same at the CA's own machine, for a key that is known to be the holder's: nobody asked for it."""
        template = tls_template(
            kind, holder=holder, key=key, requesters=AT_A_CEREMONY, dns=dns, addresses=addresses
        )
        return self._certify_tls(template, holder=holder)

    def _certify_tls(self, template: Template, *, holder: str) -> x509.Certificate:
        return self._under_root(Kind.TLS_ROOT, template, holder=Holder(subject=f"{template.kind} {holder}"))

    @repeated
    def certify_responder(self, issuing_ca: str, *, csr: str, caller: Caller) -> x509.Certificate:
        """An OCSP delegate certificate of one issuing CA, for a registered responder key only (O2, O3)."""
        at = self.clock()
        # 1 the key that was registered, and nothing else
        allowed = PROFILES[Kind.OCSP_DELEGATE].keys
        key = read_csr(csr, subject=f"CSR of {caller.name}", allowed=allowed)
        if spki_sha256(key) not in self.responder_keys:
            raise NotPermittedError(
                "responder-key-not-registered",
                subject=caller.name,
                detail=f"no responder key with the SPKI digest {spki_sha256(key)} is registered",
                remedy="add the digest to responder_keys in the CA's settings, or use the registered key",
            )
        with self.store.writing() as records:
            # 2 an issuing CA that signs
            authority = records.authority(issuing_ca)
            if authority is None or authority.kind is not Kind.ISSUING_CA:
                raise _no_issuer(issuing_ca)
            # 3 sign and record
            subject = name(organization=authority.supplier, common_name="OCSP responder")
            template = Template(kind=Kind.OCSP_DELEGATE, public_key=key, subject=subject)
            holder = Holder(subject=f"OCSP delegate of {authority.name}", supplier=authority.supplier)
            return self.signing.certify(records, template, by=authority, holder=holder, at=at)

    @repeated
    def _under_root(
        self, root: Kind, template: Template, *, holder: Holder, supplier: str | None = None
    ) -> x509.Certificate:
        at = self.clock()
        with self.store.writing() as records:
            authority = records.root(root, supplier=supplier)
            if authority is None:
                raise _no_issuer(supplier or root)
            return self.signing.certify(records, template, by=authority, holder=holder, at=at)


def operator_purpose(asked: str) -> Kind:
    """The kind of certificate of an operator's purpose. Raises InvalidInputError."""
    return _purpose(OPERATOR_PURPOSES, asked)


def _by_two(service: str, *, purpose: str) -> ConflictError:
    return ConflictError(
        "two-administrators-needed",
        subject=service[:64],
        detail=f"a key with the purpose {purpose} is registered by two administrators, expected both",
        remedy="register the key, and have another administrator approve it: pva certificate operator, pva est approve",
    )


def _purpose(known: dict[str, Kind], asked: str) -> Kind:
    kind = known.get(asked)
    if kind is None:
        raise InvalidInputError(
            "purpose",
            subject="purpose",
            detail=f"expected {' or '.join(known)}, got {asked[:40]!r}",
            remedy="ask for one of them",
        )
    return kind


def _no_issuer(which: str) -> NotFoundError:
    return NotFoundError(
        "no-such-ca",
        subject=which[:64],
        detail="there is no such CA here",
        remedy="create it first; GET /v1/es-roots and /v1/issuing-cas list what is there",
    )
