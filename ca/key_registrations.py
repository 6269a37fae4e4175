"""What a key may be certified for over EST, or by a request that an administrator brings: registered by one or by two (D7).

The one rule: whoever holds a result, a state-approval or a trust-list key is believed about every platform or supplier, so
such a key is certified only after two administrators approved one digest within a day: over the key, the purpose, role and id
of the service, and how long the certificate holds. Every other key is one administrator's word.

    nobody --register (admin)--> waits --approve (another)--> registered --the request, once--> issued
                                 waits --withdraw (one)-----> nobody

A renewal repeats the certificate of the same key (`ca.est`) and takes nobody; another key is another registration.
"""

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Protocol

from cryptography import x509

from ca.callers import Caller
from ca.errors import NotFoundError
from ca.est import (
    EstRecords,
    check_not_registered,
    issue_registered,
    issued_before,
    key_used_up,
    registered_template,
)
from ca.key_algorithms import KeyAlgorithm, throw_away_key
from ca.profiles import BY_TWO, PROFILES, Kind
from ca.proofs import read_csr
from ca.races import repeated
from ca.records import EstEnrollment, EstState
from ca.signing import Signing
from edge.dual_control import ADMINISTRATORS, Approval
from edge.process import Clock
from standards.pki.fingerprints import spki_sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyProposal:
    """A key that is to be registered, what it gets, and who approved that; `enrollment.since` is when it was proposed."""

    enrollment: EstEnrollment
    approvals: tuple[Approval, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256, in hex, of all that is registered: what administrators approve."""
        held = self.enrollment
        lifetime = PROFILES[held.kind].lifetime.days
        said = ["operator-key", str(held.kind), held.spki_sha256, held.role, held.name, lifetime]
        return sha256(json.dumps(said).encode()).hexdigest()

    @property
    def is_registered(self) -> bool:
        """Whether enough have approved it."""
        return self.enrollment.state is not EstState.PENDING

    def is_over(self, at: datetime) -> bool:
        """Whether it waits no more: every approval is too old."""
        return not any(each.is_young(at) for each in self.approvals)


class RegistrationRecords(EstRecords, Protocol):
    """Port to registered keys, and to those that wait for a second administrator."""

    def key_proposal(self, digest: str) -> KeyProposal | None:
        """What waits under a digest."""

    def key_proposals(self) -> list[KeyProposal]:
        """All that waits, oldest first."""

    def save_key_proposal(self, proposal: KeyProposal) -> None:
        """Record what waits, with its approvals, in place of what did under this digest."""

    def drop_key_proposal(self, digest: str) -> bool:
        """Forget what waits; whether there was something."""

    def removed_keys(self) -> frozenset[str]:
        """Keys of administrators who were removed."""


class RegistrationStore(Protocol):
    """Port to transactions over them."""

    def reading(self) -> AbstractContextManager[RegistrationRecords]:
        """A transaction that cannot change anything."""

    def writing(self) -> AbstractContextManager[RegistrationRecords]:
        """A transaction that is committed when the block ends and rolled back when it raises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRegistrations:
    """The use cases of the administrators behind EST."""

    store: RegistrationStore
    signing: Signing
    clock: Clock

    @repeated
    def register(self, enrollment: EstEnrollment, *, caller: Caller) -> KeyProposal:
        """Say what a key gets, before it asks or after; or approve what another administrator said in the same words.

        Raises ConflictError: the key is registered already, or the caller is one who approved, or depends on one.
        """
        at = self.clock()
        # 1 what a certificate may say, tried with a key that is nobody's
        nobody = throw_away_key(KeyAlgorithm.P256).public_key()
        registered_template(enrollment, key=nobody)
        with self.store.writing() as records:
            # 2 one administrator's word, or two
            if enrollment.kind in BY_TWO:
                return _approved(records, _proposed(enrollment, at=at), caller=caller, at=at)
            return _registered(records, KeyProposal(enrollment=enrollment), caller=caller, at=at)

    @repeated
    def approve(self, digest: str, *, caller: Caller) -> KeyProposal:
        """Approve what another administrator proposed; with the second approval the key is registered."""
        at = self.clock()
        with self.store.writing() as records:
            held = records.key_proposal(digest)
            if held is None:
                raise _no_such_proposal(digest)
            return _approved(records, held, caller=caller, at=at)

    @repeated
    def withdraw(self, digest: str, *, caller: Caller) -> None:
        """Take back what waits, one's own or another's."""
        with self.store.writing() as records:
            held = records.key_proposal(digest)
            if held is None:
                raise _no_such_proposal(digest)
            records.drop_key_proposal(digest)
            record = {"digest": digest, **_told(held.enrollment), **caller.told()}
            subject = held.enrollment.spki_sha256
            records.audit(kind="est-key-withdrawn", subject=subject, record=record, at=self.clock())

    @repeated
    def certify(
        self, kind: Kind, *, role: str, service: str, csr: str, caller: Caller
    ) -> x509.Certificate | KeyProposal:
        """The certificate of an operator's key that takes two administrators, for the CSR that either brings.

        What waits for another one where he is the first; the same certificate again where there is one.
        """
        at = self.clock()
        # 1 a purpose that this role may have, a proven key
        key = read_csr(csr, subject=f"CSR of {service[:64]}", allowed=PROFILES[kind].keys)
        wanted = EstEnrollment(
            kind=kind,
            spki_sha256=spki_sha256(key),
            state=EstState.PENDING,
            since=at,
            name=service,
            role=role,
        )
        registered_template(wanted, key=key)
        with self.store.writing() as records:
            # 2 registered for these very words, or approved now
            known = records.est_enrollment(kind, spki_sha256=wanted.spki_sha256)
            if known is None or known.state is EstState.PENDING:
                made = _approved(records, _proposed(wanted, at=at), caller=caller, at=at)
                if not made.is_registered:
                    return made
                known = made.enrollment
            if (known.role, known.name) != (role, service):
                raise key_used_up(known.spki_sha256)
            # 3 sign, and use the registration up
            if known.state is EstState.ISSUED:
                return issued_before(records, known, at=at)
            return issue_registered(records, self.signing, known, key=key, at=at)

    def waiting(self) -> Sequence[KeyProposal]:
        """What waits for another administrator; what waited too long is left out."""
        at = self.clock()
        with self.store.reading() as records:
            return [each for each in records.key_proposals() if not each.is_over(at)]


def _proposed(wanted: EstEnrollment, *, at: datetime) -> KeyProposal:
    return KeyProposal(enrollment=replace(wanted, state=EstState.PENDING, since=at))


def _approved(
    records: RegistrationRecords, proposal: KeyProposal, *, caller: Caller, at: datetime
) -> KeyProposal:
    """One more approval of what is proposed; enough of them register the key, and use the proposal up."""
    held = records.key_proposal(proposal.digest) or proposal
    wanted = held.enrollment
    # 1 a key that is not registered, also not for something else
    check_not_registered(records.est_enrollment(wanted.kind, spki_sha256=wanted.spki_sha256))
    # 2 another administrator with another key, and nobody behind both
    approvals = caller.approving(
        held.approvals, subject=f"key {wanted.spki_sha256}", at=at, removed=records.removed_keys()
    )
    made = replace(held, approvals=approvals)
    # 3 audit leaf; enough of them register it
    enough = len(approvals) >= ADMINISTRATORS
    record = {"digest": made.digest, **_told(wanted), **caller.told(), "registered": enough}
    records.audit(kind="est-key-approved", subject=wanted.spki_sha256, record=record, at=at)
    if not enough:
        records.save_key_proposal(made)
        return made
    records.drop_key_proposal(made.digest)
    return _registered(records, made, caller=caller, at=at)


def _registered(
    records: RegistrationRecords, proposal: KeyProposal, *, caller: Caller, at: datetime
) -> KeyProposal:
    wanted, requesters = proposal.enrollment, caller.requesters()
    registered = replace(
        wanted,
        state=EstState.REGISTERED,
        since=at,
        requesters=None if requesters is None else requesters.line,
        ca_id=None,
        serial=None,
    )
    # one statement decides, audit leaf
    if not records.register_key(registered):
        raise key_used_up(wanted.spki_sha256)
    by = ", ".join(each.approver for each in proposal.approvals) or caller.name
    record = {
        **_told(wanted),
        "dns": list(wanted.dns),
        "ip": list(wanted.addresses),
        "by": by,
    }
    records.audit(kind="est-key-registered", subject=wanted.spki_sha256, record=record, at=at)
    return replace(proposal, enrollment=registered)


def _told(enrollment: EstEnrollment) -> dict[str, str]:
    return {"label": str(enrollment.kind), "name": enrollment.name, "role": enrollment.role}


def _no_such_proposal(digest: str) -> NotFoundError:
    return NotFoundError(
        "no-such-proposal",
        subject=f"digest {digest[:64]}",
        detail="no key waits under this digest for another administrator",
        remedy="list what waits: pva est list; what waited for more than a day begins anew",
    )
