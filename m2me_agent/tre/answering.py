"""From the payload of a frame to the payload of its answer: one way for every socket of the TRE.

The rule: nothing that a request holds can end the process or show more than subject, reason and remedy;
what was not foreseen is answered without detail and logged.
"""

from collections.abc import Callable, Mapping
from typing import Any

from edge.process import logger
from m2me_agent.tre.errors import TreError
from m2me_agent.tre_protocol import (
    Operation,
    Refusal,
    Request,
    Response,
    TreProtocolError,
    decode_request,
    encode_response,
)

Perform = Callable[[Operation, Mapping[str, Any]], Mapping[str, Any]]
"""Does an operation that is allowed here, with its parameters; gives the members of its result. Raises TreError."""


def answer(payload: bytes, *, allowed: frozenset[Operation], perform: Perform) -> bytes:
    """The response to the payload of one frame; for any bytes, without raising."""
    try:
        request = decode_request(payload, allowed=allowed)
    except TreProtocolError as error:
        _record("unknown", refused="malformed", subject=error.what)
        return encode_response(_malformed(error))
    response = _performed(request, perform)
    try:
        return encode_response(response)
    except TreProtocolError as error:
        _record(request.operation, refused="too-large", subject=error.what)
        return encode_response(
            Refusal(
                code="too-large",
                subject=f"answer to {request.operation}",
                reason=f"{error.what}: expected {error.expected}, got {error.got}",
                remedy="select fewer PCRs, or shorten the boot log",
            )
        )


def _performed(request: Request, perform: Perform) -> Response:
    try:
        result = perform(request.operation, request.parameters)
    except TreError as error:
        _record(request.operation, refused=error.code, subject=error.subject, reason=error.reason)
        return Refusal(code=error.code, subject=error.subject, reason=error.reason, remedy=error.remedy)
    except Exception:  # noqa: BLE001 - the last line of defence: no peer may end the TRE
        logger("tre").exception("failed", operation=request.operation)
        return Refusal(
            code="internal",
            subject=str(request.operation),
            reason="the TRE met something that it does not know",
            remedy="read the TRE's log and report it",
        )
    _record(request.operation)
    return result


def _malformed(error: TreProtocolError) -> Refusal:
    return Refusal(
        code="malformed",
        subject=error.what,
        reason=f"expected {error.expected}, got {error.got}",
        remedy="send one request of the TRE protocol",
    )


def _record(operation: str, **refusal: str) -> None:
    # The audit record: one line for each request, with what was refused and why.
    if refusal:
        logger("tre").warning("refused", operation=operation, **refusal)
    else:
        logger("tre").info("done", operation=operation)
