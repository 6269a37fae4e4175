"""Assertions of enhanced authorisation: what a policy session is told (Part 1, 19.7; Part 3, 23).

Each assertion that holds extends policyDigest with its command code and what it is about; a trial session
takes every assertion at its word, since it authorises nothing.
"""

import hmac as constant_time
from dataclasses import replace

from lab.software_tpm.call import EMPTY, Call, Reply, reply
from lab.software_tpm.comparison import holds
from lab.software_tpm.errors import CommandError
from lab.software_tpm.general_commands import time_info
from lab.software_tpm.machine import Machine
from lab.software_tpm.nv_access import check_readable
from lab.software_tpm.pcr_selection import read_selections
from lab.software_tpm.policy_assertion import assert_policy, is_trial, with_cp_hash
from lab.software_tpm.volatile import Session
from standards.tpm2.constants import (
    DIGEST_BYTES_MAX,
    CommandCode,
    Comparison,
)
from standards.tpm2.errors import DecodeError
from standards.tpm2.hashing import digest, digest_size
from standards.tpm2.marshal import Reader, Writer
from standards.tpm2.return_codes import ReturnCode, parameter
from standards.tpm2.structures import encode_pcr_selections

_OR_DIGESTS = range(2, 9)


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
    selections = call.parameters.read(read_selections)
    call.parameters.end()
    policy, volatile = session.policy, machine.volatile
    current = digest(session.hash_algorithm, b"".join(volatile.selected(selections)))
    if is_trial(session):
        pcr_digest = expected or current
    else:
        if policy.pcr_counter not in (None, volatile.pcr_counter):
            raise CommandError(ReturnCode.PCR_CHANGED)
        if expected and not constant_time.compare_digest(expected, current):
            raise CommandError(parameter(ReturnCode.VALUE, 1))
        pcr_digest = current
        policy = replace(policy, pcr_counter=volatile.pcr_counter)
    about = encode_pcr_selections(volatile.implemented(selections)) + pcr_digest
    return assert_policy(machine, session, policy, CommandCode.POLICY_PCR, about)


def policy_nv(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyNV (23.9): what an NV index holds, compared with operandB."""
    auth_handle, nv_handle, session_handle = call.handles
    operand = call.parameters.buffer(DIGEST_BYTES_MAX)
    offset = call.parameters.u16()
    operation = _read_comparison(call)
    call.parameters.end()
    session, index = machine.session(session_handle), machine.state.nv[nv_handle]
    if not is_trial(session):
        check_readable(index, auth_handle=auth_handle)
        if offset > index.public.data_size:
            raise CommandError(parameter(ReturnCode.VALUE, 2))
        if index.public.data_size - offset < len(operand):
            raise CommandError(parameter(ReturnCode.SIZE, 1))
        _require(holds(operation, index.contents[offset : offset + len(operand)], operand))
    arguments = _comparison_digest(session, operand, offset, operation)
    return assert_policy(
        machine, session, session.policy, CommandCode.POLICY_NV, arguments + index.public.name
    )


def policy_counter_timer(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyCounterTimer (23.10): TPMS_TIME_INFO, compared with operandB."""
    operand = call.parameters.buffer(DIGEST_BYTES_MAX)
    offset = call.parameters.u16()
    operation = _read_comparison(call)
    call.parameters.end()
    session = machine.session(call.handles[0])
    if not is_trial(session):
        now = time_info(machine)
        if offset > len(now):
            raise CommandError(parameter(ReturnCode.VALUE, 2))
        if offset + len(operand) > len(now):
            raise CommandError(parameter(ReturnCode.RANGE, 1))
        _require(holds(operation, now[offset : offset + len(operand)], operand))
    about = _comparison_digest(session, operand, offset, operation)
    return assert_policy(machine, session, session.policy, CommandCode.POLICY_COUNTER_TIMER, about)


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
    return assert_policy(machine, session, policy, CommandCode.POLICY_COMMAND_CODE, number.to_bytes(4, "big"))


def policy_cp_hash(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyCpHash (23.13)."""
    session = machine.session(call.handles[0])
    cp_hash = call.parameters.buffer(DIGEST_BYTES_MAX)
    call.parameters.end()
    if not cp_hash:
        raise CommandError(parameter(ReturnCode.SIZE, 1))
    policy = with_cp_hash(session, cp_hash, number=1)
    return assert_policy(machine, session, policy, CommandCode.POLICY_CP_HASH, cp_hash)


def policy_auth_value(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyAuthValue (23.17): the entity's authValue goes into the HMAC."""
    call.parameters.end()
    session = machine.session(call.handles[0])
    policy = replace(session.policy, auth_value_needed=True, password_needed=False)
    return assert_policy(machine, session, policy, CommandCode.POLICY_AUTH_VALUE, b"")


def policy_password(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyPassword (23.18): the entity's authValue comes in clear; the digest is PolicyAuthValue's."""
    call.parameters.end()
    session = machine.session(call.handles[0])
    policy = replace(session.policy, auth_value_needed=False, password_needed=True)
    return assert_policy(machine, session, policy, CommandCode.POLICY_AUTH_VALUE, b"")


def policy_or(machine: Machine, call: Call) -> Reply:
    """TPM2_PolicyOR (23.6): one of several branches holds; the digest names them all."""
    session = machine.session(call.handles[0])
    branches = call.parameters.read(_read_digests)
    call.parameters.end()
    if not is_trial(session) and session.policy.digest not in branches:
        raise CommandError(parameter(ReturnCode.VALUE, 1))
    policy = replace(session.policy, digest=bytes(digest_size(session.hash_algorithm)))
    return assert_policy(machine, session, policy, CommandCode.POLICY_OR, b"".join(branches))


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


def _read_digests(reader: Reader) -> tuple[bytes, ...]:
    count = reader.u32("count of digests")
    if count not in _OR_DIGESTS:
        raise DecodeError("size of TPML_DIGEST", expected="2 to 8", got=str(count))
    return tuple(reader.tpm2b(DIGEST_BYTES_MAX, "digest") for _ in range(count))
