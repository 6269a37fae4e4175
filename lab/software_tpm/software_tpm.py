"""From command bytes to response bytes: the one way through the TPM (Part 3, 5).

One rule: whatever the bytes, the answer is a TPM response. A refused command changes nothing but the count of
wrong authValues; a command whose state cannot be saved is refused too.
"""

import logging
from dataclasses import dataclass, replace
from datetime import timedelta

from edge.process import Clock, RandomBytes
from lab.software_tpm.authorization import authorize
from lab.software_tpm.call import Call, Reply, SessionUse
from lab.software_tpm.command_table import COMMANDS, Command
from lab.software_tpm.dictionary_attack import record_failure
from lab.software_tpm.entities import (
    borrow_slot,
    check_handle_present,
    check_handle_type,
)
from lab.software_tpm.errors import AuthorizationError, CommandError
from lab.software_tpm.machine import COMMAND_BYTES_MAX, Machine
from lab.software_tpm.parameters import Parameters
from lab.software_tpm.session_area import associate, check_ciphers, read_session_area
from lab.software_tpm.session_protection import (
    ResponseAuthorization,
    decrypt_parameter,
    encrypt_parameter,
    hmac_key,
    is_bound_to,
    response_hash,
    response_hmac,
)
from lab.software_tpm.state import State
from lab.software_tpm.state_store import StateStore
from lab.software_tpm.volatile import Volatile
from standards.tpm2.constants import CommandCode, Handle, SessionAttributes, StructureTag
from standards.tpm2.errors import DecodeError, Tpm2Error
from standards.tpm2.marshal import Reader, Writer
from standards.tpm2.return_codes import ReturnCode
from standards.tpm2.return_codes import handle as about_handle

HEADER_BYTES = 10
CLOCK_UPDATE_MS = 4096
"""The clock is recorded at least that often (Part 2, TPM_PT_CLOCK_UPDATE)."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Received:
    """A command taken apart, not authorised yet; `parameters` as they travelled."""

    code: CommandCode
    command: Command
    handles: tuple[int, ...]
    uses: tuple[SessionUse, ...]
    parameters: bytes


class SoftwareTpm:
    """One TPM. Its construction is a TPM reset with Startup(CLEAR): resetCount grows, volatile state is gone."""

    def __init__(self, store: StateStore, *, random_bytes: RandomBytes, clock: Clock) -> None:
        self._store = store
        started_at = clock()
        state = store.load() or State.fresh(random_bytes)
        # After an unclean stop the clock may have run past what was recorded: start behind the next record.
        offset = state.clock if state.orderly else state.clock + CLOCK_UPDATE_MS
        volatile = Volatile.after_reset(
            random_bytes,
            clock_offset=offset,
            clock_safe_at=0 if state.orderly else offset + CLOCK_UPDATE_MS,
        )
        self._machine = Machine(
            state=state.after_reset(clock=offset),
            volatile=volatile,
            random_bytes=random_bytes,
            milliseconds=lambda: max(0, (clock() - started_at) // timedelta(milliseconds=1)),
            command_handles={int(code): len(command.handles) for code, command in COMMANDS.items()},
        )
        store.save(self._machine.state)

    def execute(self, command: bytes) -> bytes:
        """The response to one command; never an exception, whatever the bytes."""
        machine = self._machine
        before = (machine.state, machine.volatile)
        try:
            response = self._execute(command)
            self._record(before[0])
        except AuthorizationError as error:
            machine.state, machine.volatile = before
            record_failure(machine, error)
            return self._refuse(error.rc, before)
        except CommandError as error:
            machine.state, machine.volatile = before
            return self._refuse(error.rc, before)
        except Exception:  # noqa: BLE001 the rule of this module: any bytes give a TPM response
            _log.exception("the software TPM failed on a command of %d bytes", len(command))
            machine.state, machine.volatile = before
            return _error(ReturnCode.FAILURE)
        return response

    def _execute(self, command: bytes) -> bytes:
        # 1 take the command apart; handles and sessions that it names must be there
        received = _receive(self._machine, command)
        # 2 every session authorises its handle, over the parameters as received
        authorize(
            self._machine,
            code=received.code,
            handles=received.handles,
            uses=received.uses,
            parameters=received.parameters,
        )
        # 3 the first parameter in clear
        parameters = _clear_parameters(self._machine, received)
        # 4 the command itself; whatever comes after a Shutdown makes the next stop an unclean one
        if self._machine.state.orderly:
            self._machine.state = replace(self._machine.state, orderly=False)
        call = Call(
            code=received.code,
            handles=received.handles,
            sessions=received.uses,
            parameters=Parameters(parameters),
        )
        reply = received.command.run(self._machine, call)
        self._machine.volatile = replace(self._machine.volatile, borrowed_slots=0)
        # 5 new nonces, encryption and HMACs of the response
        return _respond(self._machine, received, reply)

    def _record(self, before: State) -> None:
        """Save what changed; also the clock, when its interval is over."""
        machine = self._machine
        due = machine.clock >= machine.state.clock + CLOCK_UPDATE_MS
        unchanged = machine.state is before
        if unchanged and not due:
            return
        machine.state = replace(machine.state, clock=machine.clock)
        try:
            self._store.save(machine.state)
        except OSError as error:
            _log.error("the state of the software TPM cannot be saved: %s", error.strerror)
            raise CommandError(ReturnCode.NV_UNAVAILABLE) from error

    def _refuse(self, rc: int, before: tuple[State, Volatile]) -> bytes:
        if self._machine.state is before[0]:
            return _error(rc)
        try:
            self._record(before[0])
        except CommandError as error:
            self._machine.state = before[0]
            return _error(error.rc)
        return _error(rc)


def _receive(machine: Machine, command: bytes) -> _Received:
    reader = Reader(command)
    try:
        tag, size, number = reader.u16("tag"), reader.u32("commandSize"), reader.u32("commandCode")
    except DecodeError:
        raise CommandError(ReturnCode.COMMAND_SIZE) from None
    if tag not in (StructureTag.SESSIONS, StructureTag.NO_SESSIONS):
        raise CommandError(ReturnCode.BAD_TAG)
    if size != len(command) or size > COMMAND_BYTES_MAX:
        raise CommandError(ReturnCode.COMMAND_SIZE)
    try:
        code = CommandCode(number)
        entry = COMMANDS[code]
    except (ValueError, KeyError):
        raise CommandError(ReturnCode.COMMAND_CODE) from None
    handles = _read_handles(machine, reader, entry)
    uses = _read_sessions(machine, reader, entry, tag=tag, handles=handles)
    return _Received(code=code, command=entry, handles=handles, uses=uses, parameters=reader.rest())


def _read_handles(machine: Machine, reader: Reader, entry: Command) -> tuple[int, ...]:
    handles: list[int] = []
    for number, kind in enumerate(entry.handles, start=1):
        try:
            handle = reader.u32("handle")
        except DecodeError:
            raise CommandError(about_handle(ReturnCode.INSUFFICIENT, number)) from None
        check_handle_type(kind, handle, number=number)
        handles.append(handle)
    for number, handle in enumerate(handles, start=1):
        borrow_slot(machine, handle)
        check_handle_present(machine, handle, number=number)
    return tuple(handles)


def _read_sessions(
    machine: Machine, reader: Reader, entry: Command, *, tag: int, handles: tuple[int, ...]
) -> tuple[SessionUse, ...]:
    if tag == StructureTag.NO_SESSIONS:
        if entry.roles:
            raise CommandError(ReturnCode.AUTH_MISSING)
        return ()
    if not entry.sessions:
        raise CommandError(ReturnCode.AUTH_CONTEXT)
    uses = associate(read_session_area(reader, machine), handles=handles, roles=entry.roles)
    check_ciphers(uses, machine, decrypt=entry.decrypt, encrypt=entry.encrypt)
    return uses


def _clear_parameters(machine: Machine, received: _Received) -> bytes:
    try:
        return decrypt_parameter(machine, received.uses, received.parameters)
    except Tpm2Error:
        raise CommandError(ReturnCode.INSUFFICIENT) from None


def _respond(machine: Machine, received: _Received, reply: Reply) -> bytes:
    handle = b"" if reply.handle is None else reply.handle.to_bytes(4, "big")
    if not received.uses:
        return _success(StructureTag.NO_SESSIONS, handle + reply.parameters)
    bound = {
        use.handle: is_bound_to(machine, machine.session(use.handle), use.entity)
        for use in received.uses
        if use.handle in machine.volatile.sessions and machine.session(use.handle).is_hmac
    }
    for use in received.uses:
        _renew_nonce(machine, use)
    parameters = encrypt_parameter(machine, received.uses, reply.parameters)
    authorizations = b"".join(
        _authorize_response(
            machine, use, code=received.code, parameters=parameters, bound=bound.get(use.handle, False)
        ).encode()
        for use in received.uses
    )
    for use in received.uses:
        _finish_session(machine, use)
    body = Writer().raw(handle).u32(len(parameters)).raw(parameters).raw(authorizations).done()
    return _success(StructureTag.SESSIONS, body)


def _renew_nonce(machine: Machine, use: SessionUse) -> None:
    if use.handle != Handle.PASSWORD:
        session = machine.session(use.handle)
        nonce = machine.random_bytes(len(session.nonce_tpm))
        machine.put_session(replace(session, nonce_tpm=nonce))


def _authorize_response(
    machine: Machine, use: SessionUse, *, code: CommandCode, parameters: bytes, bound: bool
) -> ResponseAuthorization:
    if use.handle == Handle.PASSWORD:
        return ResponseAuthorization(nonce_tpm=b"", attributes=SessionAttributes.CONTINUE_SESSION, hmac=b"")
    session = machine.session(use.handle)
    key = b"" if session.policy.password_needed else hmac_key(machine, session, use, bound=bound)
    mac = b""
    if key or (use.hmac and not session.policy.password_needed):
        rp_hash = response_hash(session.hash_algorithm, code, parameters=parameters)
        mac = response_hmac(key, session=session, use=use, rp_hash=rp_hash)
    return ResponseAuthorization(nonce_tpm=session.nonce_tpm, attributes=use.attributes, hmac=mac)


def _finish_session(machine: Machine, use: SessionUse) -> None:
    if use.handle == Handle.PASSWORD:
        return
    if not use.attributes & SessionAttributes.CONTINUE_SESSION:
        machine.volatile = machine.volatile.without_session(use.handle)
    elif use.entity is not None and not machine.session(use.handle).is_hmac:
        machine.put_session(machine.session(use.handle).with_fresh_policy())


def _success(tag: StructureTag, body: bytes) -> bytes:
    return Writer().u16(tag).u32(HEADER_BYTES + len(body)).u32(ReturnCode.SUCCESS).raw(body).done()


def _error(rc: int) -> bytes:
    # TPM_RC_BAD_TAG answers in the tag of TPM 1.2, for a caller that speaks it (Part 1, 18.2)
    tag = StructureTag.RSP_COMMAND if rc == ReturnCode.BAD_TAG else StructureTag.NO_SESSIONS
    return Writer().u16(tag).u32(HEADER_BYTES).u32(rc).done()
