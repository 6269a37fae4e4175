"""Whether the sessions of a command authorise it: passwords, HMACs, policies, dictionary attacks (Part 1, 19).

One rule: every session is judged before any parameter is decrypted or looked at. The refusals are those of
Part 3, 5.6, and their order is part of what clients see.
"""

import hmac as constant_time

from lab.software_tpm.call import Role, SessionUse
from lab.software_tpm.dictionary_attack import is_counted, is_locked_out
from lab.software_tpm.entities import (
    auth_policy_of,
    auth_value_of,
    is_nv_index,
    is_object,
    name_of,
)
from lab.software_tpm.errors import AuthorizationError, CommandError, session_rc
from lab.software_tpm.machine import Machine
from lab.software_tpm.session_protection import (
    command_hash,
    command_hmac,
    extra_nonces,
    hmac_key,
    is_bound_to,
)
from lab.software_tpm.volatile import Session
from standards.tpm2.constants import CommandCode, Handle, NvAttributes, ObjectAttributes
from standards.tpm2.return_codes import ReturnCode

_NV_WRITES = {CommandCode.NV_WRITE, CommandCode.NV_INCREMENT}
_NV_READS = {CommandCode.NV_READ, CommandCode.NV_CERTIFY, CommandCode.POLICY_NV}


def authorize(
    machine: Machine,
    *,
    code: CommandCode,
    handles: tuple[int, ...],
    uses: tuple[SessionUse, ...],
    parameters: bytes,
) -> None:
    """Refuse the command unless every session in `uses` authorises its entity; `parameters` as received."""
    names = tuple(name_of(machine, handle) for handle in handles)
    extra = extra_nonces(machine, uses)
    for number, use in enumerate(uses, start=1):
        try:
            if use.handle == Handle.PASSWORD:
                _check_password(machine, use, code)
                continue
            session = machine.session(use.handle)
            cp_hash = command_hash(session.hash_algorithm, code, names=names, parameters=parameters)
            _check_session(
                machine, session, use, code=code, cp_hash=cp_hash, extra=extra if number == 1 else b""
            )
        except AuthorizationError as error:
            raise error.in_session(number) from None
        except CommandError as error:
            raise CommandError(session_rc(error.rc, number)) from None


def _check_password(machine: Machine, use: SessionUse, code: CommandCode) -> None:
    if use.entity is None or not _auth_value_allowed(machine, use.entity, use.role, code):
        raise CommandError(ReturnCode.AUTH_UNAVAILABLE)
    _check_not_locked_out(machine, use.entity)
    _compare_password(machine, use.entity, use.hmac)


def _check_session(
    machine: Machine, session: Session, use: SessionUse, *, code: CommandCode, cp_hash: bytes, extra: bytes
) -> None:
    auth_value_used = False
    if use.entity is not None:
        if session.is_hmac:
            if not _auth_value_allowed(machine, use.entity, use.role, code):
                raise CommandError(ReturnCode.AUTH_UNAVAILABLE)
            auth_value_used = True
        else:
            if not _policy_allowed(machine, use.entity, code):
                raise CommandError(ReturnCode.AUTH_UNAVAILABLE)
            _check_policy(machine, session, use, code=code, cp_hash=cp_hash)
            auth_value_used = session.policy.auth_value_needed or session.policy.password_needed
        if auth_value_used:
            _check_not_locked_out(machine, use.entity)
        if session.policy.password_needed:
            _compare_password(machine, use.entity, use.hmac)
            return
    bound = session.is_hmac and is_bound_to(machine, session, use.entity)
    key = hmac_key(machine, session, use, bound=bound)
    # An empty key authenticates nothing, and an empty HMAC says so (Part 1, 19.6.5)
    if not key and not use.hmac:
        return
    expected = command_hmac(key, session=session, use=use, cp_hash=cp_hash, extra=extra)
    if not constant_time.compare_digest(expected, use.hmac):
        raise _wrong_auth(machine, use.entity if auth_value_used else None)


def _check_policy(
    machine: Machine, session: Session, use: SessionUse, *, code: CommandCode, cp_hash: bytes
) -> None:
    policy = session.policy
    entity = use.entity if use.entity is not None else Handle.NULL
    if policy.pcr_counter is not None and policy.pcr_counter != machine.volatile.pcr_counter:
        raise CommandError(ReturnCode.PCR_CHANGED)
    algorithm, auth_policy = auth_policy_of(machine, entity)
    if not constant_time.compare_digest(policy.digest, auth_policy) or algorithm != session.hash_algorithm:
        raise CommandError(ReturnCode.POLICY_FAIL)
    if policy.expires_at is not None and policy.expires_at < machine.milliseconds():
        raise CommandError(ReturnCode.EXPIRED)
    if policy.command_code is None and use.role in (Role.ADMIN, Role.DUPLICATION):
        raise CommandError(ReturnCode.POLICY_FAIL)
    if policy.command_code not in (None, code):
        raise CommandError(ReturnCode.POLICY_CC)
    if policy.cp_hash and not constant_time.compare_digest(policy.cp_hash, cp_hash):
        raise CommandError(ReturnCode.POLICY_FAIL)


def _auth_value_allowed(machine: Machine, entity: int, role: Role | None, code: CommandCode) -> bool:
    """Whether the entity takes its authValue for this command: IsAuthValueAvailable of Part 4."""
    if is_object(entity):
        target = machine.object(entity)
        if target.sensitive is None or role == Role.DUPLICATION:
            return False
        if role == Role.ADMIN:
            return not target.has(ObjectAttributes.ADMIN_WITH_POLICY)
        return target.has(ObjectAttributes.USER_WITH_AUTH)
    if is_nv_index(entity):
        index = machine.state.nv[entity]
        if code in _NV_WRITES:
            return index.has(NvAttributes.AUTHWRITE)
        return code not in _NV_READS or index.has(NvAttributes.AUTHREAD)
    return True


def _policy_allowed(machine: Machine, entity: int, code: CommandCode) -> bool:
    """Whether the entity takes a policy for this command: IsAuthPolicyAvailable of Part 4."""
    if is_object(entity):
        return machine.object(entity).sensitive is not None
    if is_nv_index(entity):
        index = machine.state.nv[entity]
        if not index.public.auth_policy:
            return False
        if code in _NV_WRITES:
            return index.has(NvAttributes.POLICYWRITE)
        return code not in _NV_READS or index.has(NvAttributes.POLICYREAD)
    return False


def _compare_password(machine: Machine, entity: int, given: bytes) -> None:
    expected = auth_value_of(machine, entity)
    if not constant_time.compare_digest(expected, given.rstrip(b"\x00")):
        raise _wrong_auth(machine, entity)


def _check_not_locked_out(machine: Machine, entity: int) -> None:
    if is_locked_out(machine, entity):
        raise CommandError(ReturnCode.LOCKOUT)


def _wrong_auth(machine: Machine, entity: int | None) -> AuthorizationError:
    counted = entity is not None and is_counted(machine, entity)
    lockout = entity == Handle.LOCKOUT
    code = ReturnCode.AUTH_FAIL if counted or lockout else ReturnCode.BAD_AUTH
    return AuthorizationError(code, counted=counted, lockout=lockout)
