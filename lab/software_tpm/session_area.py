"""The session area of a command: at most three, each for a handle or for encryption (Part 1, 18.6; Part 3, 5.5)."""

from dataclasses import replace

from lab.software_tpm.call import Role, SessionUse
from lab.software_tpm.entities import is_session
from lab.software_tpm.errors import CommandError
from lab.software_tpm.machine import Machine
from standards.tpm2.constants import DIGEST_BYTES_MAX, Algorithm, Handle, SessionAttributes, SessionType
from standards.tpm2.errors import DecodeError
from standards.tpm2.marshal import Reader
from standards.tpm2.return_codes import ReturnCode, session

SESSIONS_MAX = 3
_SESSION_BYTES_MIN = 9
_RESERVED = ~int(
    SessionAttributes.CONTINUE_SESSION
    | SessionAttributes.AUDIT_EXCLUSIVE
    | SessionAttributes.AUDIT_RESET
    | SessionAttributes.DECRYPT
    | SessionAttributes.ENCRYPT
    | SessionAttributes.AUDIT
)
_AUDIT = SessionAttributes.AUDIT | SessionAttributes.AUDIT_EXCLUSIVE | SessionAttributes.AUDIT_RESET
_CIPHERS = SessionAttributes.DECRYPT | SessionAttributes.ENCRYPT


def read_session_area(reader: Reader, machine: Machine) -> tuple[SessionUse, ...]:
    """The sessions at the cursor, which all exist and appear once."""
    try:
        size = reader.u32("authorizationSize")
        if not _SESSION_BYTES_MIN <= size <= reader.remaining:
            raise CommandError(ReturnCode.SIZE)
        area = Reader(reader.take(size, "session area"))
    except DecodeError:
        raise CommandError(ReturnCode.INSUFFICIENT) from None
    uses: list[SessionUse] = []
    while area.remaining:
        number = len(uses) + 1
        if number > SESSIONS_MAX:
            raise CommandError(ReturnCode.AUTHSIZE)
        use = _read_use(area, number)
        _check_use(use, machine, number=number)
        if use.handle != Handle.PASSWORD and use.handle in [earlier.handle for earlier in uses]:
            raise CommandError(session(ReturnCode.HANDLE, number))
        uses.append(use)
    return tuple(uses)


def associate(
    uses: tuple[SessionUse, ...], *, handles: tuple[int, ...], roles: tuple[Role, ...]
) -> tuple[SessionUse, ...]:
    """Tie the first sessions to the handles that need authorisation; the others must have work to do."""
    if len(uses) < len(roles):
        raise CommandError(ReturnCode.AUTH_MISSING)
    tied = [
        replace(use, entity=handle, role=role)
        for use, handle, role in zip(uses, handles, roles, strict=False)
    ]
    for number, use in enumerate(uses[len(roles) :], start=len(roles) + 1):
        if use.handle == Handle.PASSWORD:
            raise CommandError(session(ReturnCode.HANDLE, number))
        if not use.attributes & _CIPHERS:
            raise CommandError(session(ReturnCode.ATTRIBUTES, number))
        tied.append(use)
    return tuple(tied)


def check_ciphers(uses: tuple[SessionUse, ...], machine: Machine, *, decrypt: bool, encrypt: bool) -> None:
    """At most one session decrypts and one encrypts, by an algorithm that it has, and only a sized buffer."""
    for flag, possible in ((SessionAttributes.DECRYPT, decrypt), (SessionAttributes.ENCRYPT, encrypt)):
        numbers = [number for number, use in enumerate(uses, start=1) if use.attributes & flag]
        if numbers and not possible:
            raise CommandError(session(ReturnCode.ATTRIBUTES, numbers[0]))
        if len(numbers) > 1:
            raise CommandError(session(ReturnCode.ATTRIBUTES, numbers[1]))
        for number in numbers:
            if machine.session(uses[number - 1].handle).symmetric.algorithm == Algorithm.NULL:
                raise CommandError(session(ReturnCode.SYMMETRIC, number))


def _read_use(area: Reader, number: int) -> SessionUse:
    try:
        handle = area.u32("session handle")
        if handle != Handle.PASSWORD and not is_session(handle):
            raise CommandError(session(ReturnCode.VALUE, number))
        nonce_caller = area.tpm2b(DIGEST_BYTES_MAX, "nonceCaller")
        attributes = area.u8("sessionAttributes")
        hmac = area.tpm2b(DIGEST_BYTES_MAX, "hmac")
    except DecodeError as error:
        oversized = error.expected.startswith("at most")
        raise CommandError(
            session(ReturnCode.SIZE if oversized else ReturnCode.INSUFFICIENT, number)
        ) from None
    if attributes & _RESERVED:
        raise CommandError(session(ReturnCode.RESERVED_BITS, number))
    return SessionUse(
        handle=handle, nonce_caller=nonce_caller, attributes=SessionAttributes(attributes), hmac=hmac
    )


def _check_use(use: SessionUse, machine: Machine, *, number: int) -> None:
    if use.handle == Handle.PASSWORD:
        if use.nonce_caller:
            raise CommandError(session(ReturnCode.NONCE, number))
        if use.attributes & (_CIPHERS | _AUDIT):
            raise CommandError(session(ReturnCode.ATTRIBUTES, number))
        return
    found = machine.volatile.sessions.get(use.handle)
    if found is None:
        raise CommandError(ReturnCode.REFERENCE_S0 + number - 1)
    # Audit sessions are not offered: nothing here reads an audit digest.
    if found.kind == SessionType.TRIAL or use.attributes & _AUDIT:
        raise CommandError(session(ReturnCode.ATTRIBUTES, number))
