"""Making the hierarchies: ES roots (hosted or imported), issuing CAs per product line, the hosted other roots.

The one rule: a supplier has one ES root, and everything of his hangs under it. Of an imported root the CA holds
the certificate only: an issuing CA below it starts as a CSR and counts for nothing until the certificate that
the supplier made outside has been looked at and recorded.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography.hazmat.primitives.serialization import Encoding

from ca.callers import Caller
from ca.errors import ConflictError, InvalidInputError, NotFoundError
from ca.issuance import certificate_request, name
from ca.key_algorithms import CA_KEYS, KeyAlgorithm
from ca.lifecycle import AuthorityState
from ca.names import check_name
from ca.profiles import Kind
from ca.proofs import check_imported_issuing_certificate, check_imported_root, read_certificate
from ca.races import repeated
from ca.records import Authority, Model
from ca.signing import Holder, IssuanceRecords, Signing
from ca.template import Template
from edge.process import Clock
from standards.pki import oids
from standards.pki.fingerprints import ca_id, certificate_der, certificate_sha256

MODELS_MAX = 64
ES_ROOT_NAME = "ES root"
ROOT_NAMES = {Kind.OPERATORS_ROOT: "operators' root", Kind.TLS_ROOT: "TLS root"}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCa:
    """A CA to be made: `supplier` for an ES root, `tre_level` for an issuing CA."""

    kind: Kind
    title: str
    algorithm: KeyAlgorithm
    supplier: str | None = None
    tre_level: int | None = None


class HierarchyRecords(IssuanceRecords, Protocol):
    """Port to the recorded CAs and models."""

    def authority(self, ca_id: str) -> Authority | None:
        """The CA with this id."""

    def root(self, kind: Kind, *, supplier: str | None = None) -> Authority | None:
        """The root of this kind; for an ES root, that of the supplier."""

    def authority_named(self, kind: Kind, *, supplier: str, name: str) -> Authority | None:
        """The CA of the supplier with this name."""

    def add_authority(self, authority: Authority) -> None:
        """Record a new CA."""

    def activate_authority(self, ca_id: str, *, certificate: bytes) -> bool:
        """Give a pending CA its certificate; False when it was not pending."""

    def model(self, supplier: str, model: str) -> Model | None:
        """The model of this name."""

    def add_model(self, *, supplier: str, model: str, ca_id: str) -> Model:
        """Record a new model under the next free number."""


class HierarchyStore(Protocol):
    """Port to transactions over them."""

    def writing(self) -> AbstractContextManager[HierarchyRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """The use cases that make CAs; `publish` makes the first CRL of one, which its certificates point to."""

    store: HierarchyStore
    signing: Signing
    clock: Clock
    publish: Callable[[str], object]

    @repeated
    def make_root(self, kind: Kind, *, algorithm: KeyAlgorithm = KeyAlgorithm.P256) -> Authority:
        """Make the operators' root or the TLS root, or give the one that is there."""
        at = self.clock()
        with self.store.writing() as records:
            made = records.root(kind)
            if made is None:
                wanted = NewCa(kind=kind, title=ROOT_NAMES[kind], algorithm=algorithm)
                made = self._hosted_root(records, wanted, at=at)
                audit_authority(records, made, by="bootstrap", at=at)
        self.publish(made.ca_id)
        return made

    @repeated
    def create_es_root(
        self, supplier: str, *, caller: Caller, algorithm: KeyAlgorithm = KeyAlgorithm.P256
    ) -> Authority:
        """Make a supplier's ES root whose key stays here."""
        check_name("supplier", supplier)
        at = self.clock()
        with self.store.writing() as records:
            # 1 one ES root a supplier
            _refuse_second_root(records, supplier)
            # 2 key, self-signed certificate, record
            wanted = NewCa(
                kind=Kind.ES_ROOT, title=ES_ROOT_NAME, algorithm=ca_algorithm(algorithm), supplier=supplier
            )
            root = self._hosted_root(records, wanted, at=at)
            # 3 audit leaf
            audit_authority(records, root, by=caller.name, at=at)
        # 4 first CRL
        self.publish(root.ca_id)
        return root

    @repeated
    def import_es_root(self, supplier: str, *, certificate: str, caller: Caller) -> Authority:
        """Record a supplier's own ES root: the certificate (PEM), its key never comes here."""
        check_name("supplier", supplier)
        at = self.clock()
        # 1 a self-signed CA certificate that leaves room for issuing CAs
        found = read_certificate(certificate, subject=f"ES root of {supplier}")
        check_imported_root(found, at=at, subject=f"ES root of {supplier}")
        with self.store.writing() as records:
            # 2 one ES root a supplier, one supplier a root
            _refuse_second_root(records, supplier)
            if records.authority(ca_id(found)) is not None:
                raise _taken(f"ES root of {supplier}", "its key is that of a CA that is known already")
            # 3 record, audit leaf
            root = Authority(
                ca_id=ca_id(found),
                kind=Kind.ES_ROOT,
                name=ES_ROOT_NAME,
                supplier=supplier,
                hosted=False,
                state=AuthorityState.ACTIVE,
                created_at=at,
                certificate=certificate_der(found),
            )
            records.add_authority(root)
            audit_authority(records, root, by=caller.name, at=at)
            return root

    @repeated
    def create_issuing_ca(
        self,
        supplier: str,
        *,
        title: str,
        models: Sequence[str],
        tre_level: int,
        caller: Caller,
        algorithm: KeyAlgorithm = KeyAlgorithm.P256,
    ) -> Authority:
        """Make the issuing CA of a product line; below an imported root it is pending and has a CSR."""
        check_name("name of the issuing CA", title)
        wanted = NewCa(
            kind=Kind.ISSUING_CA, title=title, algorithm=ca_algorithm(algorithm), tre_level=tre_level
        )
        _check_models(models, tre_level=tre_level)
        at = self.clock()
        with self.store.writing() as records:
            # 1 the supplier's ES root; neither the CA nor a model may exist already
            root = records.root(Kind.ES_ROOT, supplier=supplier)
            if root is None:
                raise NotFoundError(
                    "no-es-root",
                    subject=supplier,
                    detail=f"the supplier {supplier!r} has no ES root here",
                    remedy="create or import the ES root first",
                )
            _refuse_second_issuing_ca(records, supplier, title=title, models=models)
            # 2 a key of its own, certified by the root or waiting to be
            created = self._issuing_ca(records, root, wanted, at=at)
            # 3 the models that it certifies
            for model in models:
                records.add_model(supplier=supplier, model=model, ca_id=created.ca_id)
            # 4 audit leaf
            audit_authority(records, created, by=caller.name, at=at)
        # 5 first CRL
        if created.state is AuthorityState.ACTIVE:
            self.publish(created.ca_id)
        return created

    @repeated
    def complete_issuing_ca(self, issuing_ca: str, *, certificate: str, caller: Caller) -> Authority:
        """Give a pending issuing CA the certificate (PEM) that its imported root signed outside."""
        at = self.clock()
        found = read_certificate(certificate, subject=f"issuing CA {issuing_ca}")
        with self.store.writing() as records:
            # 1 a CA that waits for it
            pending = records.authority(issuing_ca)
            if pending is None or pending.kind is not Kind.ISSUING_CA:
                raise _no_issuing_ca(issuing_ca)
            root = records.authority(pending.parent or "")
            if pending.state is not AuthorityState.PENDING or root is None:
                raise _taken(issuing_ca, f"the issuing CA {pending.name!r} has its certificate already")
            # 2 the root certified this very key, as a CA that may do what issuing CAs do
            check_imported_issuing_certificate(
                found,
                root=root.x509(),
                key=self.signing.keys.load(issuing_ca).public_key(),
                at=at,
                subject=f"issuing CA {pending.name}",
            )
            # 3 record, audit leaf
            if not records.activate_authority(issuing_ca, certificate=certificate_der(found)):
                raise _taken(issuing_ca, "it was completed by somebody else at this moment")
            completed = records.authority(issuing_ca)
            if completed is None:
                raise _no_issuing_ca(issuing_ca)
            audit_authority(records, completed, by=caller.name, at=at)
        # 4 first CRL
        self.publish(issuing_ca)
        return completed

    def _hosted_root(self, records: HierarchyRecords, wanted: NewCa, *, at: datetime) -> Authority:
        title, supplier = wanted.title, wanted.supplier
        subject = name(
            organization=supplier, common_name=title if supplier is None else f"{supplier} {title}"
        )
        certificate = self.signing.new_root(wanted.kind, subject=subject, algorithm=wanted.algorithm, at=at)
        root = Authority(
            ca_id=ca_id(certificate),
            kind=wanted.kind,
            name=title,
            supplier=supplier,
            hosted=True,
            state=AuthorityState.ACTIVE,
            created_at=at,
            certificate=certificate_der(certificate),
        )
        records.add_authority(root)
        return root

    def _issuing_ca(
        self, records: HierarchyRecords, root: Authority, wanted: NewCa, *, at: datetime
    ) -> Authority:
        title = wanted.title
        key = self.signing.keys.create(wanted.algorithm)
        subject = name(organization=root.supplier, common_name=title)
        certificate = csr = None
        if root.hosted:
            template = Template(
                kind=Kind.ISSUING_CA,
                public_key=key.public_key(),
                subject=subject,
                tre_level=wanted.tre_level,
            )
            holder = Holder(subject=f"issuing CA {title}", supplier=root.supplier)
            signed = self.signing.certify(records, template, by=root, holder=holder, at=at)
            certificate = certificate_der(signed)
        else:
            csr = certificate_request(subject=subject, key=key).public_bytes(Encoding.DER)
        created = Authority(
            ca_id=ca_id(key.public_key()),
            kind=Kind.ISSUING_CA,
            name=title,
            supplier=root.supplier,
            hosted=True,
            state=AuthorityState.PENDING if certificate is None else AuthorityState.ACTIVE,
            created_at=at,
            parent=root.ca_id,
            certificate=certificate,
            csr=csr,
            tre_level=wanted.tre_level,
        )
        records.add_authority(created)
        return created


def ca_algorithm(algorithm: KeyAlgorithm) -> KeyAlgorithm:
    """`algorithm`, if CAs sign with it; else InvalidInputError."""
    if algorithm not in CA_KEYS:
        raise InvalidInputError(
            "key-algorithm",
            subject="algorithm",
            detail=f"no CA signs with {algorithm} here",
            remedy=f"choose one of {', '.join(sorted(CA_KEYS))}",
        )
    return algorithm


def _check_models(models: Sequence[str], *, tre_level: int) -> None:
    for model in models:
        check_name("model", model)
    if not 1 <= len(models) <= MODELS_MAX or len(set(models)) != len(models):
        raise InvalidInputError(
            "models",
            subject="models",
            detail=f"expected 1 to {MODELS_MAX} models, each once, got {len(models)}",
            remedy="name the models of one product line",
        )
    check_tre_level(tre_level)


def check_tre_level(tre_level: int) -> None:
    """Raise InvalidInputError unless there is such a security level of a TRE."""
    if tre_level not in oids.POLICY_TRE_LEVELS:
        raise InvalidInputError(
            "tre-level",
            subject="tre_level",
            detail=f"expected a TRE security level of {sorted(oids.POLICY_TRE_LEVELS)}, got {tre_level}",
            remedy="give the level that the product line was accredited for",
        )


def _refuse_second_root(records: HierarchyRecords, supplier: str) -> None:
    if records.root(Kind.ES_ROOT, supplier=supplier) is not None:
        raise _taken(supplier, f"the supplier {supplier!r} has an ES root here already")


def _refuse_second_issuing_ca(
    records: HierarchyRecords, supplier: str, *, title: str, models: Sequence[str]
) -> None:
    if records.authority_named(Kind.ISSUING_CA, supplier=supplier, name=title) is not None:
        raise _taken(title, f"the supplier {supplier!r} has an issuing CA {title!r} already")
    for model in models:
        if records.model(supplier, model) is not None:
            raise _taken(model, f"the model {model!r} of {supplier!r} belongs to another issuing CA already")


def _taken(subject: str, detail: str) -> ConflictError:
    return ConflictError(
        "exists-already", subject=subject, detail=detail, remedy="use what is there, or choose another name"
    )


def _no_issuing_ca(issuing_ca: str) -> NotFoundError:
    return NotFoundError(
        "no-issuing-ca",
        subject=issuing_ca[:64],
        detail="there is no issuing CA with this id",
        remedy="GET /v1/issuing-cas lists them",
    )


def audit_authority(records: HierarchyRecords, authority: Authority, *, by: str, at: datetime) -> None:
    """Add the leaf about a CA that was made or completed."""
    certified = "" if authority.certificate is None else certificate_sha256(authority.x509())
    records.audit(
        kind="authority-recorded",
        subject=authority.ca_id,
        record={
            "authority_kind": str(authority.kind),
            "supplier": authority.supplier or "",
            "name": authority.name,
            "hosted": int(authority.hosted),
            "state": str(authority.state),
            "certificate_sha256": certified,
            "by": by,
        },
        at=at,
    )
