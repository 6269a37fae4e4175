"""The TRE socket: what the agent may ask of the TRE, and how it is framed.

One frame is a 4-byte big-endian length and that many bytes of deterministic CBOR (RFC 8949, 4.2.1). A
request is ``{1: operation, 2: parameters}``; its answer is ``{1: result}`` or ``{2: error}``, where an
error has code, subject, reason and remedy. Requests of one connection are answered in their order.

The rule of this file: the peer is hostile. A decoder returns a value of exactly the declared shape or
raises :class:`TreProtocolError`, for any bytes; no length is believed before it was compared with the cap.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from messages.encoding import decode_deterministic, encode_deterministic
from messages.errors import MessageError

FRAME_BYTES_MAX = 1 << 20
"""Largest payload of a frame, in bytes."""

LENGTH_BYTES = 4
"""Size of a frame's length field."""

TEXT_CHARACTERS_MAX = 2000
"""Longest text in an error, in characters; longer ones are cut by the sender."""

_OPERATION, _PARAMETERS = 1, 2
_RESULT, _ERROR = 1, 2


class Operation(StrEnum):
    """What the agent may ask for. There is no operation that takes data to be signed."""

    STATUS = "status"
    BEGIN_ENROLLMENT = "begin_enrollment"
    ACTIVATE = "activate"
    INSTALL_CREDENTIAL = "install_credential"
    ATTEST = "attest"


PARAMETERS: Mapping[Operation, Mapping[str, type]] = {
    Operation.STATUS: {},
    Operation.BEGIN_ENROLLMENT: {},
    Operation.ACTIVATE: {"challenge": bytes},
    Operation.INSTALL_CREDENTIAL: {"result": bytes},
    Operation.ATTEST: {"challenge_token": str},
}
"""Parameters of each operation: every one is required, no other is allowed."""

RESULTS: Mapping[Operation, Mapping[str, type]] = {
    Operation.STATUS: {"status": dict},
    Operation.BEGIN_ENROLLMENT: {"request": bytes},
    Operation.ACTIVATE: {"activation": bytes},
    Operation.INSTALL_CREDENTIAL: {"credential": dict},
    Operation.ATTEST: {"evidence": bytes},
}
"""Members of each operation's result."""


class TreProtocolError(Exception):
    """Bytes on the TRE socket that are not a message of this protocol."""

    def __init__(self, what: str, *, expected: str, got: str) -> None:
        super().__init__(f"{what}: expected {expected}, got {got}")
        self.what = what
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of the agent; ``parameters`` has exactly the members that PARAMETERS declares."""

    operation: Operation
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why the TRE did not do what it was asked.

    Attributes:
        code: stable word for programs.
        subject: what the refusal is about.
        reason: what was wrong, for people.
        remedy: what to do next, for people.
    """

    code: str
    subject: str
    reason: str
    remedy: str


Response = Mapping[str, Any] | Refusal
"""What the TRE answers: the members of a result, or a refusal."""


def encode_request(request: Request) -> bytes:
    """The payload of a frame that carries this request."""
    return encode_deterministic(
        {_OPERATION: request.operation.value, _PARAMETERS: dict(request.parameters)},
    )


def decode_request(payload: bytes) -> Request:
    """A request from a frame's payload.

    Raises:
        TreProtocolError: for any bytes that are not one well-formed request of a known operation.
    """
    members = _decode_map(payload, what="request")
    if set(members) != {_OPERATION, _PARAMETERS}:
        raise TreProtocolError("request", expected="a map with the keys 1 and 2", got=_keys(members))
    name = members[_OPERATION]
    if not isinstance(name, str) or name not in set(Operation):
        raise TreProtocolError("operation", expected=", ".join(Operation), got=_shown(name))
    operation = Operation(name)
    parameters = _members(members[_PARAMETERS], PARAMETERS[operation], what=f"parameters of {operation}")
    return Request(operation=operation, parameters=parameters)


def encode_response(response: Response) -> bytes:
    """The payload of a frame that carries this answer.

    Raises:
        TreProtocolError: the answer is larger than a frame can be.
    """
    if isinstance(response, Refusal):
        texts = {name: getattr(response, name)[:TEXT_CHARACTERS_MAX] for name in Refusal.__dataclass_fields__}
        payload = encode_deterministic({_ERROR: texts})
    else:
        payload = encode_deterministic({_RESULT: dict(response)})
    _check_length(len(payload))
    return payload


def decode_response(payload: bytes, *, operation: Operation) -> Response:
    """The answer to a request for ``operation``, from a frame's payload.

    Raises:
        TreProtocolError: for any bytes that are not one well-formed answer to that operation.
    """
    members = _decode_map(payload, what="response")
    if set(members) == {_RESULT}:
        return _members(members[_RESULT], RESULTS[operation], what=f"result of {operation}")
    if set(members) == {_ERROR}:
        texts = _members(members[_ERROR], dict.fromkeys(Refusal.__dataclass_fields__, str), what="error")
        return Refusal(**texts)
    raise TreProtocolError("response", expected="a map with the key 1 or the key 2", got=_keys(members))


def encode_frame(payload: bytes) -> bytes:
    """The bytes that carry this payload.

    Raises:
        TreProtocolError: the payload is empty or larger than FRAME_BYTES_MAX.
    """
    _check_length(len(payload))
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


def receive_frame(receive: Callable[[int], bytes]) -> bytes | None:
    """The payload of the next frame; None when the peer closed between two frames.

    Args:
        receive: returns 1 to n bytes, or none when the peer has closed; it keeps the time limit.

    Raises:
        TreProtocolError: a length outside the cap, or the peer closed inside a frame.
    """
    header = _receive_exactly(receive, LENGTH_BYTES, ends_allowed=True)
    if not header:
        return None
    length = int.from_bytes(header, "big")
    _check_length(length)
    return _receive_exactly(receive, length, ends_allowed=False)


def _receive_exactly(receive: Callable[[int], bytes], length: int, *, ends_allowed: bool) -> bytes:
    received = bytearray()
    while len(received) < length:
        chunk = receive(length - len(received))
        if not chunk:
            if ends_allowed and not received:
                return b""
            raise TreProtocolError("frame", expected=f"{length} bytes", got=f"{len(received)} and the end")
        received += chunk
    return bytes(received)


def _check_length(length: int) -> None:
    if not 1 <= length <= FRAME_BYTES_MAX:
        raise TreProtocolError("length of a frame", expected=f"1 to {FRAME_BYTES_MAX} bytes", got=str(length))


def _decode_map(payload: bytes, *, what: str) -> dict[Any, Any]:
    try:
        value = decode_deterministic(payload, bytes_max=FRAME_BYTES_MAX)
    except MessageError as error:
        raise TreProtocolError(what, expected="deterministic CBOR", got=str(error)) from error
    if not isinstance(value, dict):
        raise TreProtocolError(what, expected="a map", got=type(value).__name__)
    return value


def _members(value: object, declared: Mapping[str, type], *, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TreProtocolError(what, expected="a map", got=type(value).__name__)
    if set(value) != set(declared):
        expected = ", ".join(declared) or "no members"
        raise TreProtocolError(what, expected=expected, got=_keys(value))
    for name, kind in declared.items():
        if type(value[name]) is not kind:
            raise TreProtocolError(
                f"{name} in {what}", expected=kind.__name__, got=type(value[name]).__name__
            )
    return value


def _keys(members: Mapping[Any, Any]) -> str:
    return ", ".join(sorted(_shown(key) for key in members)) or "no members"


def _shown(value: object) -> str:
    # What a peer sent is shown as its beginning, escaped: it may be long, and it may be anything.
    return repr(value)[:60]
