"""A CA gets a new key and keeps its name (RFC 4210 section 4.4, RFC 9810): both keys are trusted while that lasts.

The one rule: nothing that the old key signed is touched. The old key signs no new certificate but the new key's; it
goes on signing its CRL, and delegate certificates for its responder, until what it certified has ended.

    old root  --signs-->  new key   "new with old": whoever trusts the old root reaches what the new key signs
    new root  --signs-->  old key   "old with new": whoever trusts the new root reaches what the old key signed

An issuing CA has no anchor of its own: its new key is certified by its ES root, like the old one, and whoever trusts
that root takes both.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from ca.callers import Caller
from ca.errors import ConflictError, NotFoundError
from ca.hierarchy import HierarchyRecords, audit_authority, ca_algorithm
from ca.key_algorithms import KeyAlgorithm
from ca.lifecycle import AuthorityState
from ca.profiles import CROSS_KINDS, Kind
from ca.races import repeated
from ca.records import Authority
from ca.signing import Holder, Signing
from ca.template import Template
from edge.process import Clock
from standards.pki.fingerprints import ca_id, certificate_der


class RolloverRecords(HierarchyRecords, Protocol):
    """Port to CAs that have a successor."""

    def supersede_authority(self, ca_id: str, *, successor: str, name: str) -> bool:
        """Let an active CA be followed by another of its name; False when it is not active."""

    def cross_certify(
        self, ca_id: str, *, by_predecessor: bytes | None = None, by_successor: bytes | None = None
    ) -> None:
        """Keep the certificate of this CA's key that a neighbouring generation signed, DER."""

    def move_models(self, *, before: str, after: str) -> None:
        """Let an issuing CA certify the models of the one before it."""


class RolloverStore(Protocol):
    """Port to transactions over them."""

    def writing(self) -> AbstractContextManager[RolloverRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollover:
    """The use cases that give a CA its next key; `publish` makes the first CRL of the new one."""

    store: RolloverStore
    signing: Signing
    clock: Clock
    publish: Callable[[str], object]

    @repeated
    def roll_root(self, root: str, *, algorithm: KeyAlgorithm, caller: Caller) -> Authority:
        """The next key of a hosted ES root or of the operators' root, with both cross-certificates."""
        algorithm, at = ca_algorithm(algorithm), self.clock()
        with self.store.writing() as records:
            # 1 a root whose key is here and that signs
            old = _rolling(records, root, kinds=frozenset(CROSS_KINDS))
            # 2 a new key under the same name
            certificate = self.signing.new_root(
                old.kind, subject=old.x509().subject, algorithm=algorithm, at=at
            )
            new = replace(
                old, ca_id=ca_id(certificate), certificate=certificate_der(certificate), created_at=at
            )
            new = replace(new, crl_partitions=1, by_predecessor=None, by_successor=None)
            # 3 one statement decides; the old one keeps its books
            _supersede(records, old, new)
            # 4 each key certified by the other
            new_with_old = self._cross(records, new, by=old, at=at)
            old_with_new = self._cross(records, old, by=new, at=at)
            records.cross_certify(new.ca_id, by_predecessor=new_with_old)
            records.cross_certify(old.ca_id, by_successor=old_with_new)
            # 5 audit leaf
            audit_authority(records, new, by=caller.name, at=at)
        # 6 first CRL
        self.publish(new.ca_id)
        return replace(new, by_predecessor=new_with_old)

    @repeated
    def roll_issuing_ca(self, issuing_ca: str, *, algorithm: KeyAlgorithm, caller: Caller) -> Authority:
        """The next key of an issuing CA below a hosted ES root; its models move to it."""
        algorithm, at = ca_algorithm(algorithm), self.clock()
        with self.store.writing() as records:
            # 1 an issuing CA that signs, and the supplier's present root
            old = _rolling(records, issuing_ca, kinds=frozenset({Kind.ISSUING_CA}))
            root = records.root(Kind.ES_ROOT, supplier=old.supplier)
            if root is None or not root.hosted:
                raise _root_elsewhere(old)
            # 2 a new key under the same name, certified by the root
            key = self.signing.keys.create(algorithm)
            template = Template(
                kind=Kind.ISSUING_CA,
                public_key=key.public_key(),
                subject=old.x509().subject,
                tre_level=old.tre_level,
            )
            holder = Holder(subject=f"issuing CA {old.name}", supplier=old.supplier)
            certificate = self.signing.certify(records, template, by=root, holder=holder, at=at)
            new = replace(
                old,
                ca_id=ca_id(certificate),
                certificate=certificate_der(certificate),
                csr=None,
                parent=root.ca_id,
                created_at=at,
            )
            # 3 one statement decides; 4 the models; 5 audit leaf
            _supersede(records, old, new)
            records.move_models(before=old.ca_id, after=new.ca_id)
            audit_authority(records, new, by=caller.name, at=at)
        # 6 first CRL
        self.publish(new.ca_id)
        return new

    def _cross(self, records: RolloverRecords, subject: Authority, *, by: Authority, at: datetime) -> bytes:
        certificate = subject.x509()
        template = Template(
            kind=CROSS_KINDS[subject.kind],
            public_key=self.signing.keys.load(subject.ca_id).public_key(),
            subject=certificate.subject,
        )
        holder = Holder(subject=f"{subject.name} {subject.ca_id}", supplier=subject.supplier)
        return certificate_der(self.signing.certify(records, template, by=by, holder=holder, at=at))


def _rolling(records: RolloverRecords, which: str, *, kinds: frozenset[Kind]) -> Authority:
    found = records.authority(which)
    if found is None or found.kind not in kinds:
        raise NotFoundError(
            "no-such-ca",
            subject=which[:64],
            detail=f"there is no {' or '.join(sorted(kinds))} with this id",
            remedy="GET /v1/roots and /v1/issuing-cas list them",
        )
    if not found.hosted or found.state is not AuthorityState.ACTIVE:
        detail = f"it is {found.state}" if found.hosted else "its key is with the supplier"
        raise ConflictError(
            "cannot-roll-over",
            subject=which,
            detail=f"the CA {found.name!r} gets no new key here: {detail}",
            remedy="roll over the one that signs now; of an imported root the supplier makes the next",
        )
    return found


def _supersede(records: RolloverRecords, old: Authority, new: Authority) -> None:
    kept = f"{old.name[:40]} until {new.created_at:%Y-%m-%d} {old.ca_id[:8]}"
    if not records.supersede_authority(old.ca_id, successor=new.ca_id, name=kept):
        raise ConflictError(
            "cannot-roll-over",
            subject=old.ca_id,
            detail="it got another key at this moment",
            remedy="look at GET /v1/roots and /v1/issuing-cas",
        )
    records.add_authority(new)


def _root_elsewhere(old: Authority) -> ConflictError:
    return ConflictError(
        "cannot-roll-over",
        subject=old.ca_id,
        detail=f"the ES root of {old.supplier!r} is with the supplier, who would have to certify the new key",
        remedy="create another issuing CA and have the supplier sign its CSR",
    )
