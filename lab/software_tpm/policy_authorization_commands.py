"""Policy assertions by someone else's authority: PolicySigned, PolicySecret, PolicyAuthorize (Part 3, 23.3-23.5, 23.16)."""

import hmac as constant_time
from dataclasses import dataclass, replace

from lab.software_tpm.call import Call, Reply, reply
from lab.software_tpm.entities import hierarchy_of, name_of
from lab.software_tpm.errors import CommandError
from lab.software_tpm.machine import Machine
from lab.software_tpm.policy_assertion import assert_policy, is_trial, with_cp_hash
from lab.software_tpm.signatures import is_signature_valid
from lab.software_tpm.tickets import is_ticket_valid, make_ticket, read_ticket
from lab.software_tpm.volatile import Policy, Session
from standards.tpm2.constants import (
    DIGEST_BYTES_MAX,
    NAME_BYTES_MAX,
    NONCE_BYTES_MAX,
    CommandCode,
    ObjectAttributes,
    StructureTag,
)
from standards.tpm2.hashing import digest, digest_size, is_trusted
from standards.tpm2.marshal import Writer
from standards.tpm2.return_codes import ReturnCode, handle, parameter
from standards.tpm2.structures import Signature, Ticket

_NAME_ALGORITHM_BYTES = 2
_EXPIRATION_BYTES = 4
_MS_PER_S = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """The parameters that PolicySigned and PolicySecret share; `expiration` in seconds, negative for a ticket."""

    nonce_tpm: bytes
    cp_hash: bytes
    policy_ref: bytes
    expiration: int

    @property
    def signed(self) -> bytes:
        """What the signature of PolicySigned is over, before hashing (Part 3, 23.3.1)."""
        expiration = self.expiration.to_bytes(_EXPIRATION_BYTES, "big", signed=True)
        return self.nonce_tpm + expiration + self.cp_hash + self.policy_ref


def policy_signed(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicySigned (23.3): a key has signed these terms, for this session if they name its nonce."""
    key_handle, session_handle = call.handles
    terms = _read_terms(call)
    signature = call.parameters.read(Signature.read)
    call.parameters.end()
    key, session = machine.object(key_handle), machine.session(session_handle)
    if not key.is_asymmetric or not key.has(ObjectAttributes.SIGN):
        raise CommandError(handle(ReturnCode.ATTRIBUTES, 1))
    policy = _accept_terms(machine, session, terms)
    if not is_trial(session):
        if not is_trusted(signature.hash_algorithm):
            raise CommandError(parameter(ReturnCode.HASH, 5))
        if not is_signature_valid(key.public, digest(signature.hash_algorithm, terms.signed), signature):
            raise CommandError(parameter(ReturnCode.SIGNATURE, 5))
    answer = _answer(machine, session, key_handle, terms, tag=StructureTag.AUTH_SIGNED)
    assert_policy(machine, session, policy, CommandCode.POLICY_SIGNED, key.name, policy_ref=terms.policy_ref)
    return answer


def policy_secret(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicySecret (23.4): knowledge of another entity's authValue, shown in this very command."""
    entity, session_handle = call.handles
    terms = _read_terms(call)
    call.parameters.end()
    session = machine.session(session_handle)
    policy = _accept_terms(machine, session, terms)
    answer = _answer(machine, session, entity, terms, tag=StructureTag.AUTH_SECRET)
    name = name_of(machine, entity)
    assert_policy(machine, session, policy, CommandCode.POLICY_SECRET, name, policy_ref=terms.policy_ref)
    return answer


def policy_authorize(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyAuthorize (23.16): what a key has approved takes the place of the policy so far."""
    session = machine.session(call.handles[0])
    approved = call.parameters.buffer(DIGEST_BYTES_MAX)
    policy_ref = call.parameters.buffer(NONCE_BYTES_MAX)
    key_name = call.parameters.buffer(NAME_BYTES_MAX)
    ticket = call.parameters.read(lambda reader: read_ticket(reader, tag=StructureTag.VERIFIED))
    call.parameters.end()
    algorithm = _name_algorithm(key_name)
    if not is_trial(session):
        if not constant_time.compare_digest(session.policy.digest, approved):
            raise CommandError(parameter(ReturnCode.VALUE, 1))
        signed = digest(algorithm, approved + policy_ref)
        if not is_ticket_valid(machine, ticket, content=signed + key_name):
            raise CommandError(parameter(ReturnCode.VALUE, 4))
    policy = replace(session.policy, digest=bytes(digest_size(session.hash_algorithm)))
    return assert_policy(
        machine, session, policy, CommandCode.POLICY_AUTHORIZE, key_name, policy_ref=policy_ref
    )


def _read_terms(call: Call) -> _Terms:
    parameters = call.parameters
    return _Terms(
        nonce_tpm=parameters.buffer(DIGEST_BYTES_MAX),
        cp_hash=parameters.buffer(DIGEST_BYTES_MAX),
        policy_ref=parameters.buffer(NONCE_BYTES_MAX),
        expiration=parameters.read(
            lambda reader: int.from_bytes(reader.take(_EXPIRATION_BYTES, "expiration"), "big", signed=True)
        ),
    )


def _accept_terms(machine: Machine, session: Session, terms: _Terms) -> Policy:
    """The session's policy under `terms`, which hold now (Part 3, 23.2)."""
    if is_trial(session):
        return session.policy
    if terms.nonce_tpm and not constant_time.compare_digest(terms.nonce_tpm, session.nonce_tpm):
        raise CommandError(parameter(ReturnCode.NONCE, 1))
    timeout = _timeout(session, terms)
    policy = with_cp_hash(session, terms.cp_hash, number=2)
    if timeout is None:
        return policy
    if timeout < machine.milliseconds():
        raise CommandError(parameter(ReturnCode.EXPIRED, 4))
    earliest = timeout if policy.expires_at is None else min(timeout, policy.expires_at)
    return replace(policy, expires_at=earliest)


def _timeout(session: Session, terms: _Terms) -> int | None:
    """When the assertion lapses, in milliseconds since the reset; None for an expiration of 0.

    With nonceTPM the expiration counts from the start of the session (Part 3, 23.2).
    """
    if terms.expiration == 0:
        return None
    return _MS_PER_S * abs(terms.expiration) + (session.started_at if terms.nonce_tpm else 0)


def _answer(machine: Machine, session: Session, entity: int, terms: _Terms, *, tag: StructureTag) -> Reply:
    """Timeout and ticket; the NULL ticket unless the caller asked for one by a negative expiration."""
    timeout = _timeout(session, terms)
    if timeout is None or terms.expiration > 0 or is_trial(session):
        return reply(Writer().tpm2b(b"").raw(Ticket.null(tag).encode()))
    encoded = timeout.to_bytes(8, "big")
    content = encoded + terms.cp_hash + terms.policy_ref + name_of(machine, entity)
    ticket = make_ticket(machine, tag, hierarchy=hierarchy_of(machine, entity), content=content)
    return reply(Writer().tpm2b(encoded).raw(ticket.encode()))


def _name_algorithm(key_name: bytes) -> int:
    algorithm = int.from_bytes(key_name[:_NAME_ALGORITHM_BYTES], "big")
    if len(key_name) < _NAME_ALGORITHM_BYTES or not is_trusted(algorithm):
        raise CommandError(parameter(ReturnCode.HASH, 3))
    if len(key_name) != _NAME_ALGORITHM_BYTES + digest_size(algorithm):
        raise CommandError(parameter(ReturnCode.SIZE, 3))
    return algorithm
