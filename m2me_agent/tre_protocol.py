"""The TRE's sockets: what the agent, and what the person at the device, may ask of the TRE, and how it is framed.

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
"""Largest payload of a frame, in bytes: evidence with its boot log, or a package with its content (256 KiB)."""

LENGTH_BYTES = 4
"""Size of a frame's length field."""

TEXT_CHARACTERS_MAX = 2000
"""Longest text in an error, in characters; longer ones are cut by the sender."""

_OPERATION, _PARAMETERS = 1, 2
_RESULT, _ERROR = 1, 2


class Operation(StrEnum):
    """What may be asked for. There is no operation that takes data to be signed."""

    STATUS = "status"
    BEGIN_ENROLLMENT = "begin_enrollment"
    ACTIVATE = "activate"
    INSTALL_CREDENTIAL = "install_credential"
    ATTEST = "attest"
    INSTALL_CONNECTIVITY = "install_connectivity"
    ATTACH = "attach"
    ACCEPT_ORDER = "accept_order"
    ACCEPT_UPDATE = "accept_update"
    INSTALL = "install"
    INSTRUCT = "instruct"
    REPORT = "report"
    ERASE = "erase"
    AUTHENTICATE = "authenticate"
    MIDS = "mids"
    BEGIN_UPDATE = "begin_update"
    TAKE_APPROVALS = "take_approvals"
    PENDING = "pending"
    CONSENT = "consent"
    REFUSE = "refuse"
    USIMS = "usims"
    SELECT = "select"


MMI_OPERATIONS = frozenset(
    {Operation.PENDING, Operation.CONSENT, Operation.REFUSE, Operation.USIMS, Operation.SELECT}
)
"""What the MMI socket answers, and nothing else: consent, and whose USIM serves, are a person's, never the agent's."""

AGENT_OPERATIONS = frozenset(Operation) - MMI_OPERATIONS
"""What the agent's socket answers, and nothing else."""

PARAMETERS: Mapping[Operation, Mapping[str, type]] = {
    Operation.STATUS: {},
    Operation.BEGIN_ENROLLMENT: {},
    Operation.ACTIVATE: {"challenge": bytes},
    Operation.INSTALL_CREDENTIAL: {"result": bytes},
    Operation.ATTEST: {"challenge_token": str},
    Operation.INSTALL_CONNECTIVITY: {"token": str},
    Operation.ATTACH: {"rand": bytes, "autn": bytes},
    Operation.ACCEPT_ORDER: {"order": str, "discovery": str, "nonce": bytes},
    Operation.ACCEPT_UPDATE: {"order": str},
    Operation.INSTALL: {"package": str, "delivery": str, "content": bytes},
    Operation.INSTRUCT: {"instruction": str},
    Operation.REPORT: {"query": str},
    Operation.ERASE: {"instruction": str},
    Operation.AUTHENTICATE: {"mid_id": str, "application": str, "rand": bytes, "autn": bytes},
    Operation.MIDS: {},
    Operation.BEGIN_UPDATE: {"sho": str},
    Operation.TAKE_APPROVALS: {"approvals": str},
    Operation.PENDING: {},
    Operation.CONSENT: {"order_digest": bytes},
    Operation.REFUSE: {"order_digest": bytes},
    Operation.USIMS: {},
    Operation.SELECT: {"mid_id": str, "application": str},
}
"""Parameters of each operation: every one is required, no other is allowed."""

RESULTS: Mapping[Operation, Mapping[str, type]] = {
    Operation.STATUS: {"status": dict},
    Operation.BEGIN_ENROLLMENT: {"request": bytes},
    Operation.ACTIVATE: {"activation": bytes},
    Operation.INSTALL_CREDENTIAL: {"credential": dict},
    Operation.ATTEST: {"evidence": bytes},
    Operation.INSTALL_CONNECTIVITY: {"pcid": str, "identity": str},
    Operation.ATTACH: {"res": bytes, "attachment_key": bytes},
    Operation.ACCEPT_ORDER: {"order_digest": bytes, "consent": str, "sho_name": str, "order_code": str},
    Operation.ACCEPT_UPDATE: {"order_digest": bytes},
    Operation.INSTALL: {"statement": bytes},
    Operation.INSTRUCT: {"mid_id": str, "state": str},
    Operation.REPORT: {"statement": bytes},
    Operation.ERASE: {"statement": bytes},
    Operation.AUTHENTICATE: {"res": bytes, "ck": bytes, "ik": bytes},
    Operation.MIDS: {"mids": list},
    Operation.BEGIN_UPDATE: {"nonce": bytes, "order_digest": bytes},
    Operation.TAKE_APPROVALS: {"manifest_digest": bytes, "generation": int},
    Operation.PENDING: {"orders": list},
    Operation.CONSENT: {"order_digest": bytes},
    Operation.REFUSE: {"order_digest": bytes},
    Operation.USIMS: {"usims": list},
    Operation.SELECT: {"access": str},
}
"""Members of each operation's result.

Members of `status`, none of them a secret: `device_id`, `credential` (both empty before enrolment), `storage_public`
and `ak_public` (TPMT_PUBLIC in hexadecimal), `pfc_chain` (list of DER, PfC first), `pcid` and `identity` (NAI; empty
before connectivity is installed). A row of `mids`: `mid_id`, `owner` (SHO), `order_digest`, `state`, `reason` (why it is
BLOCKED, or what it waits for in a change of operator, else empty), `applications` (identities), `public_identities` (IMPUs of its ISIMs).
A row of `orders`: `order_digest`, `sho`, `sho_name`, `order_code`, `consent` (`given` or `awaited`). `consent` of
accept_order is one of the same two words. A row of `usims`, one for each USIM of an active MID: `mid_id`, `owner`,
`application` (IMSI), `access`, `serves` (whether it is the one that serves this kind of access).
"""

OTHER_RESULTS: Mapping[Operation, Mapping[str, type]] = {
    Operation.ATTACH: {"auts": bytes},
    Operation.AUTHENTICATE: {"auts": bytes},
}
"""What may stand in place of a result: the network's sequence number is behind, and wants resynchronisation."""


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


def decode_request(payload: bytes, *, allowed: frozenset[Operation] = AGENT_OPERATIONS) -> Request:
    """A request from a frame's payload, if its operation is one of those that this socket answers.

    Raises:
        TreProtocolError: for any bytes that are not one well-formed request of an allowed operation.
    """
    members = _decode_map(payload, what="request")
    if set(members) != {_OPERATION, _PARAMETERS}:
        raise TreProtocolError("request", expected="a map with the keys 1 and 2", got=_keys(members))
    name = members[_OPERATION]
    if not isinstance(name, str) or name not in allowed:
        raise TreProtocolError("operation", expected=", ".join(sorted(allowed)), got=_shown(name))
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
        result, other = members[_RESULT], OTHER_RESULTS.get(operation)
        is_other = other is not None and isinstance(result, dict) and set(result) == set(other)
        declared = other if other is not None and is_other else RESULTS[operation]
        return _members(result, declared, what=f"result of {operation}")
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
