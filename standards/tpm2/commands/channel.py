"""One command and its response over a transmit callable: framing, sessions, return codes (Part 1, 18, 19; Part 3, 5).

One rule: nothing of a response is returned before its return code, its length and every HMAC are checked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from standards.tpm2.commands.shapes import COMMAND_SHAPES, CommandShape
from standards.tpm2.constants import CommandCode, Handle, SessionAttributes, SessionType, StructureTag
from standards.tpm2.errors import DecodeError, ResponseError, SessionError
from standards.tpm2.marshal import Reader, Writer, tpm2b
from standards.tpm2.names import handle_name
from standards.tpm2.return_codes import ReturnCode
from standards.tpm2.sessions import (
    NONCE_BYTES,
    Authorization,
    Password,
    Session,
    SessionUse,
    SlotInCommand,
    command_hmac,
    cp_hash,
    decrypt_parameter,
    encrypt_parameter,
    require_salt,
    rp_hash,
    verify_response,
)

RESPONSE_BYTES_MAX = 8192
PARAMETER_BYTES_MAX = 4096
_HEADER_BYTES = 10
_TRY_AGAIN = (ReturnCode.RETRY, ReturnCode.YIELDED, ReturnCode.TESTING)
_TRIES = 12
_FIRST_PAUSE_S = 0.001
_NAMED_BY_HANDLE = (0x00, 0x02, 0x03, 0x40)
"""Types of handles whose Name is the handle: PCR, sessions, permanent (Part 1, 16)."""


class Entity(Protocol):
    """Something with a handle and a Name that the caller trusts: an object, an NV index, a session."""

    @property
    def handle(self) -> int:
        """Where the TPM has it."""
        ...

    @property
    def name(self) -> bytes:
        """What it is."""
        ...


Subject = Entity | int
"""An entity, or a bare handle where the Name is the handle or no session authenticates the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command before it is framed; `protect` encrypts its first parameters in both directions."""

    code: CommandCode
    subjects: Sequence[Subject] = ()
    parameters: bytes = b""
    auths: Sequence[Authorization] = ()
    protect: Session | None = None
    new_auth_value: bytes | None = None
    """The authValue that holds once the command has succeeded, where it changes that of its first handle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A checked response: its handle, if it has one (else 0), and its parameters in clear."""

    handle: int
    parameters: bytes

    def reader(self) -> Reader:
        """A cursor over the parameters."""
        return Reader(self.parameters)


class CommandChannel:
    """Sends commands through `transmit`, bytes out and bytes in; holds no state of the TPM's.

    `random_bytes` gives fresh nonces and salts; `pause` (seconds) is called before a command is sent again
    because the TPM asked for that.
    """

    def __init__(
        self,
        transmit: Callable[[bytes], bytes],
        random_bytes: Callable[[int], bytes],
        *,
        pause: Callable[[float], None] | None = None,
    ) -> None:
        self._transmit = transmit
        self._random_bytes = random_bytes
        self._pause = pause or (lambda _: None)

    def run(self, command: Command) -> Response:
        """The checked response; ResponseError, SessionError or DecodeError otherwise."""
        shape = COMMAND_SHAPES[command.code]
        slots = self._slots(command, shape)
        sessions = [slot for slot in slots if isinstance(slot, SlotInCommand)]
        frame = _frame(command, shape, slots)
        reader = self._exchange(frame, shape, tagged=bool(slots))
        handle = reader.u32("handle of the response") if shape.returns_handle else 0
        if not slots:
            return Response(handle=handle, parameters=reader.rest())
        size = reader.u32("parameterSize")
        parameters = reader.take(size, "parameters of the response")
        _check_response(reader, command, slots, parameters)
        for slot in sessions:
            # a policy is spent by its use; the session stays, without it (Part 1, 19.7)
            if slot.authorizes and slot.session.type == SessionType.POLICY:
                slot.session.wants_auth_value = False
            if slot.attributes & SessionAttributes.ENCRYPT:
                parameters = _decrypt_first(slot, parameters)
        return Response(handle=handle, parameters=parameters)

    def _slots(self, command: Command, shape: CommandShape) -> list[Password | SlotInCommand]:
        if len(command.auths) != shape.authorized:
            raise SessionError(
                shape.name, f"needs {shape.authorized} authorisations, got {len(command.auths)}"
            )
        flags = _encryption_flags(command, shape)
        slots = [self._slot(command, auth, number, flags) for number, auth in enumerate(command.auths)]
        protect = command.protect
        if protect and not any(isinstance(one, SlotInCommand) and one.session is protect for one in slots):
            slots.append(self._slot(command, SessionUse(session=protect), len(slots), flags))
        return slots

    def _slot(
        self, command: Command, auth: Authorization, number: int, flags: SessionAttributes
    ) -> Password | SlotInCommand:
        if isinstance(auth, Password):
            return auth
        auth.session.nonce_caller = self._random_bytes(NONCE_BYTES)
        attributes = SessionAttributes.CONTINUE_SESSION
        if auth.session is command.protect:
            attributes |= flags
        changed = command.new_auth_value if number == 0 else None
        return SlotInCommand(
            use=auth,
            attributes=attributes,
            authorizes=number < len(command.auths),
            response_auth_value=auth.auth_value if changed is None else changed,
        )

    def _exchange(self, frame: bytes, shape: CommandShape, *, tagged: bool) -> Reader:
        """A cursor after the header of a successful response."""
        pause_s = _FIRST_PAUSE_S
        for _ in range(_TRIES):
            answer = self._transmit(frame)
            reader, tag, rc = _header(answer)
            if rc not in _TRY_AGAIN:
                break
            self._pause(pause_s)
            pause_s *= 2
        if rc != ReturnCode.SUCCESS:
            raise ResponseError(shape.name, rc)
        expected = StructureTag.SESSIONS if tagged else StructureTag.NO_SESSIONS
        if tag != expected:
            raise DecodeError("tag of the response", expected=f"0x{expected:04x}", got=f"0x{tag:04x}")
        return reader


def _header(answer: bytes) -> tuple[Reader, int, int]:
    if len(answer) > RESPONSE_BYTES_MAX:
        raise DecodeError("response", expected=f"at most {RESPONSE_BYTES_MAX} bytes", got=str(len(answer)))
    reader = Reader(answer)
    tag, size = reader.u16("tag of the response"), reader.u32("responseSize")
    if size != len(answer):
        raise DecodeError("responseSize", expected=str(len(answer)), got=str(size))
    return reader, tag, reader.u32("responseCode")


def _encryption_flags(command: Command, shape: CommandShape) -> SessionAttributes:
    flags = SessionAttributes(0)
    if command.protect is None:
        return flags
    require_salt(shape.name, command.protect)
    if shape.decrypts:
        flags |= SessionAttributes.DECRYPT
    if shape.encrypts:
        flags |= SessionAttributes.ENCRYPT
    if not flags:
        raise SessionError(shape.name, "has no parameter that a session could encrypt")
    return flags


def _frame(command: Command, shape: CommandShape, slots: list[Password | SlotInCommand]) -> bytes:
    if len(command.subjects) != shape.authorized + shape.plain:
        raise SessionError(shape.name, f"takes {shape.authorized + shape.plain} handles")
    parameters = command.parameters
    for slot in slots:
        if isinstance(slot, SlotInCommand) and slot.attributes & SessionAttributes.DECRYPT:
            parameters = _encrypt_first(slot, parameters)
    body = Writer()
    for subject in command.subjects:
        body.u32(subject if isinstance(subject, int) else subject.handle)
    if slots:
        area = _authorization_area(command, slots, parameters)
        body.u32(len(area)).raw(area)
    content = body.raw(parameters).done()
    tag = StructureTag.SESSIONS if slots else StructureTag.NO_SESSIONS
    return Writer().u16(tag).u32(_HEADER_BYTES + len(content)).u32(command.code).raw(content).done()


def _authorization_area(command: Command, slots: list[Password | SlotInCommand], parameters: bytes) -> bytes:
    sessions = [slot for slot in slots if isinstance(slot, SlotInCommand)]
    parameters_hash = b""
    if any(slot.has_hmac for slot in sessions):
        names = [_name(command.code, subject) for subject in command.subjects]
        parameters_hash = cp_hash(command.code, names, parameters)
    area = Writer()
    for number, slot in enumerate(slots):
        if isinstance(slot, Password):
            area.u32(Handle.PASSWORD).tpm2b(b"")
            area.u8(SessionAttributes.CONTINUE_SESSION).tpm2b(slot.value)
            continue
        area.u32(slot.session.handle).tpm2b(slot.session.nonce_caller).u8(slot.attributes)
        area.tpm2b(command_hmac(slots, number, parameters_hash))
    return area.done()


def _name(code: CommandCode, subject: Subject) -> bytes:
    if not isinstance(subject, int):
        return subject.name
    if subject >> 24 in _NAMED_BY_HANDLE:
        return handle_name(subject)
    raise SessionError(
        COMMAND_SHAPES[code].name,
        f"handle 0x{subject:08x} needs its Name before a session can authenticate it",
    )


def _check_response(
    reader: Reader, command: Command, slots: list[Password | SlotInCommand], parameters: bytes
) -> None:
    """Take the new nonces, then verify each HMAC over the parameters as received."""
    name = COMMAND_SHAPES[command.code].name
    parameters_hash = rp_hash(command.code, parameters)
    for slot in slots:
        nonce = reader.tpm2b(NONCE_BYTES, "nonceTPM")
        attributes = reader.u8("attributes of the session")
        received = reader.tpm2b(NONCE_BYTES, "HMAC of the response")
        if isinstance(slot, Password):
            continue
        slot.session.nonce_tpm = nonce
        if attributes != slot.attributes or not verify_response(
            slot, parameters_hash, attributes=attributes, received=received
        ):
            raise SessionError(name, "the response is not authenticated by its session")
    reader.end("authorisation area of the response")


def _encrypt_first(slot: SlotInCommand, parameters: bytes) -> bytes:
    reader = Reader(parameters)
    content = reader.tpm2b(PARAMETER_BYTES_MAX, "first parameter")
    return tpm2b(encrypt_parameter(slot, content)) + reader.rest()


def _decrypt_first(slot: SlotInCommand, parameters: bytes) -> bytes:
    reader = Reader(parameters)
    content = reader.tpm2b(PARAMETER_BYTES_MAX, "first parameter of the response")
    return tpm2b(decrypt_parameter(slot, content)) + reader.rest()
