"""StartAuthSession, FlushContext (Part 3, 11.1, 28.4)."""

from typing import NamedTuple

from lab.software_tpm.call import EMPTY, Call, Reply, reply
from lab.software_tpm.entities import (
    HMAC_SESSION_TYPE,
    POLICY_SESSION_TYPE,
    auth_value_of,
    is_object,
    is_session,
    is_transient,
)
from lab.software_tpm.errors import CommandError, about_parameter
from lab.software_tpm.machine import SESSION_SLOTS, Machine
from lab.software_tpm.secret_exchange import ENCRYPTED_SECRET_BYTES_MAX, decrypt_secret
from lab.software_tpm.session_protection import bound_identity
from lab.software_tpm.volatile import Policy, Session
from standards.tpm2.constants import DIGEST_BYTES_MAX, Algorithm, Handle, ObjectAttributes, SessionType
from standards.tpm2.hashing import digest_size
from standards.tpm2.kdf import kdfa
from standards.tpm2.marshal import Writer
from standards.tpm2.return_codes import ReturnCode, handle, parameter
from standards.tpm2.secret_sharing import LABEL_SECRET
from standards.tpm2.structures import SymmetricDefinition

_NONCE_BYTES_MIN = 16
_FIRST_HMAC_SESSION = HMAC_SESSION_TYPE << 24
_FIRST_POLICY_SESSION = POLICY_SESSION_TYPE << 24
_INDEX_MASK = 0x00FFFFFF


class _Asked(NamedTuple):
    """The parameters of StartAuthSession."""

    nonce_caller: bytes
    encrypted_salt: bytes
    kind: SessionType
    symmetric: SymmetricDefinition
    hash_algorithm: int


def start_auth_session(machine: Machine, call: Call) -> Reply:
    """TPM2_StartAuthSession (11.1): salted or not, bound or not; HMAC, policy or trial."""
    tpm_key, bind = call.handles
    asked = _read_asked(call)
    salt = _salt(machine, tpm_key, asked.encrypted_salt)
    bind_auth = _bind_auth(machine, bind)
    if len(machine.volatile.sessions) >= SESSION_SLOTS:
        raise CommandError(ReturnCode.SESSION_MEMORY)
    size = digest_size(asked.hash_algorithm)
    nonce_tpm = machine.random_bytes(len(asked.nonce_caller))
    unkeyed = tpm_key == Handle.NULL and bind == Handle.NULL
    session_key = b"" if unkeyed else kdfa(
        asked.hash_algorithm,
        key=bind_auth + salt,
        label=b"ATH",
        context_u=nonce_tpm,
        context_v=asked.nonce_caller,
        bits=8 * size,
    )  # fmt: skip
    session = Session(
        handle=_free_handle(machine, asked.kind),
        kind=asked.kind,
        hash_algorithm=asked.hash_algorithm,
        symmetric=asked.symmetric,
        session_key=session_key,
        nonce_tpm=nonce_tpm,
        started_at=machine.milliseconds(),
        bound=None if bind == Handle.NULL else bound_identity(machine, bind),
        policy=Policy(digest=bytes(size)),
    )
    machine.put_session(session)
    return reply(Writer().tpm2b(nonce_tpm), handle=session.handle)


def flush_context(machine: Machine, call: Call) -> Reply:
    """TPM2_FlushContext (28.4): the handle is a parameter, so that nothing need be loaded to name it."""
    flushed = call.parameters.u32()
    call.parameters.end()
    # A session may be named by either session type: its index tells it (Part 2, 7.2)
    numbers = {at & _INDEX_MASK: at for at in machine.volatile.sessions} if is_session(flushed) else {}
    session = numbers.get(flushed & _INDEX_MASK)
    if flushed in machine.volatile.objects:
        machine.flush_object(flushed)
    elif session is not None:
        machine.volatile = machine.volatile.without_session(session)
    else:
        possible = is_transient(flushed) or is_session(flushed)
        raise call.parameters.refused(ReturnCode.HANDLE if possible else ReturnCode.VALUE)
    return EMPTY


def _read_asked(call: Call) -> _Asked:
    parameters = call.parameters
    nonce_caller = parameters.buffer(DIGEST_BYTES_MAX)
    encrypted_salt = parameters.buffer(ENCRYPTED_SECRET_BYTES_MAX)
    number = parameters.u8()
    if number not in tuple(SessionType):
        raise parameters.refused(ReturnCode.VALUE)
    symmetric = parameters.read(SymmetricDefinition.read)
    if symmetric.algorithm not in (Algorithm.NULL, Algorithm.AES):
        raise parameters.refused(ReturnCode.SYMMETRIC)
    if symmetric.algorithm == Algorithm.AES:
        if symmetric.key_bits not in (128, 192, 256):
            raise parameters.refused(ReturnCode.VALUE)
        if symmetric.mode != Algorithm.CFB:
            raise parameters.refused(ReturnCode.MODE)
    hash_algorithm = parameters.hash_algorithm()
    parameters.end()
    if not _NONCE_BYTES_MIN <= len(nonce_caller) <= digest_size(hash_algorithm):
        raise CommandError(parameter(ReturnCode.SIZE, 1))
    return _Asked(nonce_caller, encrypted_salt, SessionType(number), symmetric, hash_algorithm)


def _salt(machine: Machine, tpm_key: int, encrypted_salt: bytes) -> bytes:
    if tpm_key == Handle.NULL:
        if encrypted_salt:
            raise CommandError(parameter(ReturnCode.VALUE, 2))
        return b""
    key = machine.object(tpm_key)
    if not encrypted_salt:
        raise CommandError(parameter(ReturnCode.VALUE, 2))
    if not key.is_asymmetric or key.sensitive is None:
        raise CommandError(handle(ReturnCode.KEY, 1))
    if not key.has(ObjectAttributes.DECRYPT):
        raise CommandError(handle(ReturnCode.ATTRIBUTES, 1))
    with about_parameter(2):
        return decrypt_secret(key, encrypted_salt, label=LABEL_SECRET)


def _bind_auth(machine: Machine, bind: int) -> bytes:
    if bind == Handle.NULL:
        return b""
    if is_object(bind) and machine.object(bind).sensitive is None:
        raise CommandError(handle(ReturnCode.HANDLE, 2))
    return auth_value_of(machine, bind)


def _free_handle(machine: Machine, kind: SessionType) -> int:
    first = _FIRST_HMAC_SESSION if kind == SessionType.HMAC else _FIRST_POLICY_SESSION
    taken = {at & _INDEX_MASK for at in machine.volatile.sessions}
    return first + next(number for number in range(SESSION_SLOTS) if number not in taken)
