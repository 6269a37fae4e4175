"""Assertions of enhanced authorisation: what a policy session is told (Part 1, 19.7; Part 3, 23).

Each assertion that holds extends policyDigest with its command code and what it is about; a trial session
takes every assertion at its word, since it authorises nothing.
"""

import hmac as constant_time
from dataclasses import replace

from lab.software_tpm.call import EMPTY, Call, Reply, reply
from lab.software_tpm.comparison import holds
from lab.software_tpm.entities import hierarchy_of, name_of
from lab.software_tpm.errors import CommandError
from lab.software_tpm.general_commands import time_info
from lab.software_tpm.machine import Machine
from lab.software_tpm.nv_access import check_readable
from lab.software_tpm.tickets import Ticket, is_ticket_valid, make_ticket, null_ticket
from lab.software_tpm.volatile import Policy, Session
from standards.tpm2.constants import (
    DIGEST_BYTES_MAX,
    NAME_BYTES_MAX,
    NONCE_BYTES_MAX,
    CommandCode,
    Comparison,
    SessionType,
    StructureTag,
)
from standards.tpm2.hashing import digest, digest_size, is_trusted
from standards.tpm2.marshal import Reader, Writer
from standards.tpm2.return_codes import ReturnCode, parameter
from standards.tpm2.structures import encode_pcr_selections, read_pcr_selections

_NAME_ALGORITHM_BYTES = 2
_OR_DIGESTS = range(2, 9)
_MS_PER_S = 1000


def policy_restart(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyRestart (11.2)."""
    call.parameters.end()
    machine.put_session(machine.session(call.handles[0]).with_fresh_policy())
    return EMPTY


def policy_get_digest(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyGetDigest (23.19)."""
    call.parameters.end()
    return reply(Writer().tpm2b(machine.session(call.handles[0]).policy.digest))


def policy_pcr(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyPCR (23.7): from now on any change of pcrUpdateCounter ends the session's use."""
    session = machine.session(call.handles[0])
    expected = call.parameters.buffer(DIGEST_BYTES_MAX)
    selections = call.parameters.read(read_pcr_selections)
    call.parameters.end()
    policy, volatile = session.policy, machine.volatile
    current = digest(session.hash_algorithm, b"".join(volatile.selected(selections)))
    if _is_trial(session):
        pcr_digest = expected or current
    else:
        if policy.pcr_counter not in (None, volatile.pcr_counter):
            raise CommandError(ReturnCode.PCR_CHANGED)
        if expected and not constant_time.compare_digest(expected, current):
            raise CommandError(parameter(ReturnCode.VALUE, 1))
        pcr_digest = current
        policy = replace(policy, pcr_counter=volatile.pcr_counter)
    about = encode_pcr_selections(volatile.implemented(selections)) + pcr_digest
    return _assert(machine, session, policy, CommandCode.POLICY_PCR, about)


def policy_nv(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyNV (23.9): what an NV index holds, compared with operandB."""
    auth_handle, nv_handle, session_handle = call.handles
    operand = call.parameters.buffer(DIGEST_BYTES_MAX)
    offset = call.parameters.u16()
    operation = _read_comparison(call)
    call.parameters.end()
    session, index = machine.session(session_handle), machine.state.nv[nv_handle]
    if not _is_trial(session):
        check_readable(index, auth_handle=auth_handle)
        if offset > index.public.data_size:
            raise CommandError(parameter(ReturnCode.VALUE, 2))
        if index.public.data_size - offset < len(operand):
            raise CommandError(parameter(ReturnCode.SIZE, 1))
        _require(holds(operation, index.contents[offset : offset + len(operand)], operand))
    arguments = _comparison_digest(session, operand, offset, operation)
    return _assert(machine, session, session.policy, CommandCode.POLICY_NV, arguments + index.public.name)


def policy_counter_timer(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyCounterTimer (23.10): TPMS_TIME_INFO, compared with operandB."""
    operand = call.parameters.buffer(DIGEST_BYTES_MAX)
    offset = call.parameters.u16()
    operation = _read_comparison(call)
    call.parameters.end()
    session = machine.session(call.handles[0])
    if not _is_trial(session):
        now = time_info(machine)
        if offset > len(now):
            raise CommandError(parameter(ReturnCode.VALUE, 2))
        if offset + len(operand) > len(now):
            raise CommandError(parameter(ReturnCode.RANGE, 1))
        _require(holds(operation, now[offset : offset + len(operand)], operand))
    about = _comparison_digest(session, operand, offset, operation)
    return _assert(machine, session, session.policy, CommandCode.POLICY_COUNTER_TIMER, about)


def policy_secret(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicySecret (23.4): knowledge of another entity's authValue, shown in this very command."""
    entity, session_handle = call.handles
    nonce_tpm = call.parameters.buffer(DIGEST_BYTES_MAX)
    cp_hash = call.parameters.buffer(DIGEST_BYTES_MAX)
    policy_ref = call.parameters.buffer(NONCE_BYTES_MAX)
    expiration = call.parameters.read(
        lambda reader: int.from_bytes(reader.take(4, "expiration"), "big", signed=True)
    )
    call.parameters.end()
    session = machine.session(session_handle)
    policy = session.policy
    timeout = _timeout(session, expiration, nonce_given=bool(nonce_tpm))
    if not _is_trial(session):
        if nonce_tpm and not constant_time.compare_digest(nonce_tpm, session.nonce_tpm):
            raise CommandError(parameter(ReturnCode.NONCE, 1))
        policy = _with_cp_hash(session, cp_hash, number=2)
        policy = _with_timeout(machine, policy, timeout)
    name = name_of(machine, entity)
    asked = timeout if expiration < 0 else None
    answer = _secret_answer(machine, entity, cp_hash + policy_ref + name, timeout=asked)
    _assert(machine, session, policy, CommandCode.POLICY_SECRET, name, policy_ref=policy_ref)
    return answer


def policy_authorize(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyAuthorize (23.16): what a key has approved takes the place of the policy so far."""
    session = machine.session(call.handles[0])
    approved = call.parameters.buffer(DIGEST_BYTES_MAX)
    policy_ref = call.parameters.buffer(NONCE_BYTES_MAX)
    key_name = call.parameters.buffer(NAME_BYTES_MAX)
    ticket = call.parameters.read(lambda reader: Ticket.read(reader, tag=StructureTag.VERIFIED))
    call.parameters.end()
    algorithm = _name_algorithm(key_name)
    if not _is_trial(session):
        if not constant_time.compare_digest(session.policy.digest, approved):
            raise CommandError(parameter(ReturnCode.VALUE, 1))
        signed = digest(algorithm, approved + policy_ref)
        if not is_ticket_valid(machine, ticket, content=signed + key_name):
            raise CommandError(parameter(ReturnCode.VALUE, 4))
    policy = replace(session.policy, digest=bytes(digest_size(session.hash_algorithm)))
    return _assert(machine, session, policy, CommandCode.POLICY_AUTHORIZE, key_name, policy_ref=policy_ref)


def policy_command_code(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyCommandCode (23.11)."""
    session = machine.session(call.handles[0])
    number = call.parameters.u32()
    call.parameters.end()
    if number not in machine.command_handles:
        raise CommandError(parameter(ReturnCode.POLICY_CC, 1))
    if session.policy.command_code not in (None, number):
        raise CommandError(parameter(ReturnCode.VALUE, 1))
    policy = replace(session.policy, command_code=number)
    return _assert(machine, session, policy, CommandCode.POLICY_COMMAND_CODE, number.to_bytes(4, "big"))


def policy_cp_hash(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyCpHash (23.13)."""
    session = machine.session(call.handles[0])
    cp_hash = call.parameters.buffer(DIGEST_BYTES_MAX)
    call.parameters.end()
    if not cp_hash:
        raise CommandError(parameter(ReturnCode.SIZE, 1))
    policy = _with_cp_hash(session, cp_hash, number=1)
    return _assert(machine, session, policy, CommandCode.POLICY_CP_HASH, cp_hash)


def policy_auth_value(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyAuthValue (23.17): the entity's authValue goes into the HMAC."""
    call.parameters.end()
    session = machine.session(call.handles[0])
    policy = replace(session.policy, auth_value_needed=True, password_needed=False)
    return _assert(machine, session, policy, CommandCode.POLICY_AUTH_VALUE, b"")


def policy_password(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyPassword (23.18): the entity's authValue comes in clear; the digest is PolicyAuthValue's."""
    call.parameters.end()
    session = machine.session(call.handles[0])
    policy = replace(session.policy, auth_value_needed=False, password_needed=True)
    return _assert(machine, session, policy, CommandCode.POLICY_AUTH_VALUE, b"")


def policy_or(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyOR (23.6): one of several branches holds; the digest names them all."""
    session = machine.session(call.handles[0])
    branches = call.parameters.read(_read_digests)
    if len(branches) not in _OR_DIGESTS:
        raise call.parameters.refused(ReturnCode.SIZE)
    call.parameters.end()
    if not _is_trial(session) and session.policy.digest not in branches:
        raise CommandError(parameter(ReturnCode.VALUE, 1))
    policy = replace(session.policy, digest=bytes(digest_size(session.hash_algorithm)))
    return _assert(machine, session, policy, CommandCode.POLICY_OR, b"".join(branches))


def _assert(
    machine: Machine,
    session: Session,
    policy: Policy,
    code: CommandCode,
    about: bytes,
    *,
    policy_ref: bytes | None = None,
) -> Reply:
    """PolicyDigest := H(policyDigest || CC || about), and H(that || policyRef) for assertions that have one."""
    extended = digest(session.hash_algorithm, policy.digest + code.to_bytes(4, "big") + about)
    if policy_ref is not None:
        extended = digest(session.hash_algorithm, extended + policy_ref)
    machine.put_policy(session.handle, replace(policy, digest=extended))
    return EMPTY


def _is_trial(session: Session) -> bool:
    return session.kind == SessionType.TRIAL


def _require(condition: bool) -> None:  # noqa: FBT001 reads as a sentence
    if not condition:
        raise CommandError(ReturnCode.POLICY)


def _read_comparison(call: Call) -> Comparison:
    number = call.parameters.u16()
    if number not in tuple(Comparison):
        raise call.parameters.refused(ReturnCode.VALUE)
    return Comparison(number)


def _comparison_digest(session: Session, operand: bytes, offset: int, operation: Comparison) -> bytes:
    return digest(session.hash_algorithm, Writer().raw(operand).u16(offset).u16(operation).done())


def _with_cp_hash(session: Session, cp_hash: bytes, *, number: int) -> Policy:
    policy = session.policy
    if not cp_hash:
        return policy
    if len(cp_hash) != digest_size(session.hash_algorithm):
        raise CommandError(parameter(ReturnCode.SIZE, number))
    if policy.cp_hash not in (b"", cp_hash):
        raise CommandError(ReturnCode.CPHASH)
    return replace(policy, cp_hash=cp_hash)


def _timeout(session: Session, expiration: int, *, nonce_given: bool) -> int | None:
    """When the assertion lapses, in milliseconds since the reset; None for an expiration of 0.

    With nonceTPM the expiration counts from the start of the session (Part 3, 23.2.5).
    """
    if expiration == 0:
        return None
    return _MS_PER_S * abs(expiration) + (session.started_at if nonce_given else 0)


def _with_timeout(machine: Machine, policy: Policy, timeout: int | None) -> Policy:
    if timeout is None:
        return policy
    if timeout < machine.milliseconds():
        raise CommandError(parameter(ReturnCode.EXPIRED, 4))
    return replace(
        policy, expires_at=timeout if policy.expires_at is None else min(timeout, policy.expires_at)
    )


def _secret_answer(machine: Machine, entity: int, content: bytes, *, timeout: int | None) -> Reply:
    """Timeout and ticket; the NULL ticket unless the caller asked for one by a negative expiration."""
    if timeout is None:
        return reply(Writer().tpm2b(b"").raw(null_ticket(StructureTag.AUTH_SECRET).encode()))
    encoded = timeout.to_bytes(8, "big")
    ticket = make_ticket(
        machine,
        StructureTag.AUTH_SECRET,
        hierarchy=hierarchy_of(machine, entity),
        content=encoded + content,
    )
    return reply(Writer().tpm2b(encoded).raw(ticket.encode()))


def _name_algorithm(key_name: bytes) -> int:
    algorithm = int.from_bytes(key_name[:_NAME_ALGORITHM_BYTES], "big")
    if len(key_name) < _NAME_ALGORITHM_BYTES or not is_trusted(algorithm):
        raise CommandError(parameter(ReturnCode.HASH, 3))
    if len(key_name) != _NAME_ALGORITHM_BYTES + digest_size(algorithm):
        raise CommandError(parameter(ReturnCode.SIZE, 3))
    return algorithm


def _read_digests(reader: Reader) -> tuple[bytes, ...]:
    count = reader.u32("size of TPML_DIGEST")
    return tuple(reader.tpm2b(DIGEST_BYTES_MAX, "digest") for _ in range(min(count, _OR_DIGESTS.stop)))
