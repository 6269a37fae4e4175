"""Bodies of requests, with their media type and schema checked before a use case sees them.

The size is limited before that, by the listener (`edge.request_guard`): these read what is in memory.
"""

import json
from typing import TypeVar

import pydantic
from flask import request

from edge.problem_document import Problem, ProblemError, body_too_large, invalid_body

_DIGITS_MAX = 40
T = TypeVar("T", bound=pydantic.BaseModel)


def binary_body(media_type: str, *, bytes_max: int) -> bytes:
    """Body of the present request, which must be of `media_type` and 1..`bytes_max` octets long.

    Raises ProblemError: 415 naming the media type, 413 the limit, 400 for an empty body.
    """
    if request.mimetype != media_type:
        got = request.mimetype or "none"
        raise ProblemError(
            Problem(
                status=415,
                type="unsupported-media-type",
                title="Unsupported Media Type",
                detail=f"expected {media_type}, got {got}",
                subject="Content-Type",
                reason="media-type",
                remedy=f"send Content-Type: {media_type}",
            )
        )
    data = request.get_data(cache=False)
    if len(data) > bytes_max:
        raise ProblemError(body_too_large(bytes_max))
    if not data:
        raise ProblemError(
            Problem(
                status=400,
                type="empty-body",
                title="Bad Request",
                detail=f"the body is empty, expected 1 to {bytes_max} bytes of {media_type}",
                subject="body",
                reason="empty",
                remedy="send the message in the body",
            )
        )
    return data


def json_body(model: type[T], *, bytes_max: int = 64 * 1024) -> T:
    """JSON body of the present request as `model` (pydantic; give it extra="forbid").

    Strict JSON: UTF-8 without a mark, no duplicate names, no NaN, no endless numbers. Raises ProblemError: 415, 413, 400 for what is no JSON, 422
    naming the members at fault.
    """
    data = binary_body("application/json", bytes_max=bytes_max)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constants,
            parse_int=_integer,
        )
        return model.model_validate(value)
    except pydantic.ValidationError as error:
        raise ProblemError(invalid_body(error)) from None
    except (ValueError, RecursionError) as error:
        raise ProblemError(
            Problem(
                status=400,
                type="malformed-json",
                title="Bad Request",
                detail=f"the body is not JSON: {_why_not(error)}",
                subject="body",
                reason="json",
                remedy="send one JSON object in UTF-8",
            )
        ) from None


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("an object names a member twice")
    return dict(pairs)


def _no_constants(constant: str) -> object:
    raise ValueError(f"{constant} is no JSON value")


def _integer(digits: str) -> int:
    if len(digits) > _DIGITS_MAX:
        raise ValueError(f"a number has more than {_DIGITS_MAX} digits")
    return int(digits)


def _why_not(error: ValueError | RecursionError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error).partition(" (decode using")[0]
