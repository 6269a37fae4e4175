"""What a view takes and what it answers, said once: read, checked and described from the same declaration.

The one rule: a shape that is documented is the shape that is used. A body reaches a view as the model that describes it,
and an answer that is not of its declared model is not sent.
"""

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

import pydantic
from flask import Response, request
from flask.json.provider import DefaultJSONProvider

from edge.bodies import binary_body, json_body
from edge.problem_document import ProblemError, invalid_query

JSON = "application/json"
_DECLARED = "pva_operation"
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=DefaultJSONProvider.default)
"""As Flask writes it, made once: to make one costs as much as to use it."""

Moment = Annotated[
    str,
    pydantic.StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"),
    pydantic.WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time as it is answered: RFC 3339, UTC, whole seconds."""
Sha256 = Annotated[str, pydantic.StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""A SHA-256 digest, or what is one, in hexadecimal."""


def _digits(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"0|[1-9][0-9]{0,17}", value):
        raise ValueError("expected a whole number of 0 or more, in at most 18 digits")
    return value


WholeNumber = Annotated[int, pydantic.Field(ge=0, lt=10**18), pydantic.BeforeValidator(_digits)]
"""A number in a query, in decimal digits alone."""


class QueryModel(pydantic.BaseModel):
    """The parameters of a query: unknown ones are refused, and each comes once."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


def _open(schema: dict[str, Any]) -> None:
    schema.pop("additionalProperties", None)


class AnswerModel(pydantic.BaseModel):
    """The shape of an answer: undocumented members are errors here, and nothing that a caller may count on not to come."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True, json_schema_extra=_open)


BodyT = TypeVar("BodyT", bound=pydantic.BaseModel)
P = ParamSpec("P")
R = TypeVar("R")
Members = Mapping[str, Any]
Told = Members | tuple[Members, int] | tuple[Members, int, dict[str, str]]
"""What a view of `answers` returns: the members, where there are several statuses which, and further header fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The body of a request: of `media_type`, at most `bytes_max` octets, of the `model` if it is JSON."""

    media_type: str
    bytes_max: int
    model: type[pydantic.BaseModel] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer: its status; without `media_type` there is no content, without `model` it is no JSON."""

    status: int
    media_type: str | None = None
    model: type[pydantic.BaseModel] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenHeader:
    """A header field that a view reads."""

    name: str
    description: str
    pattern: str
    is_required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """All that a view declares of its form; who may call it is declared in `edge.principals`."""

    taken: Taken | None = None
    query: type[pydantic.BaseModel] | None = None
    headers: tuple["TakenHeader", ...] = ()
    answered: tuple[Answered, ...] = ()


def operation_of(view: Callable[..., Any]) -> Operation:
    """What a view declares; empty for a view that declares nothing."""
    declared: Operation = getattr(view, _DECLARED, Operation())
    return declared


def takes(
    model: type[BodyT], *, bytes_max: int = 64 * 1024
) -> Callable[[Callable[Concatenate[BodyT, P], R]], Callable[P, R]]:
    """Declare a JSON body; the view gets it, checked, as its first argument."""
    taken = Taken(media_type=JSON, bytes_max=bytes_max, model=model)

    def declare(view: Callable[Concatenate[BodyT, P], R]) -> Callable[P, R]:
        @functools.wraps(view)
        def read(*args: P.args, **kwargs: P.kwargs) -> R:
            return view(json_body(model, bytes_max=bytes_max), *args, **kwargs)

        return _declared(read, replace(operation_of(view), taken=taken))

    return declare


def takes_octets(
    media_type: str, *, bytes_max: int
) -> Callable[[Callable[Concatenate[bytes, P], R]], Callable[P, R]]:
    """Declare a body of another media type; the view gets its octets as its first argument."""
    taken = Taken(media_type=media_type, bytes_max=bytes_max)

    def declare(view: Callable[Concatenate[bytes, P], R]) -> Callable[P, R]:
        @functools.wraps(view)
        def read(*args: P.args, **kwargs: P.kwargs) -> R:
            return view(binary_body(media_type, bytes_max=bytes_max), *args, **kwargs)

        return _declared(read, replace(operation_of(view), taken=taken))

    return declare


def takes_query(model: type[BodyT]) -> Callable[[Callable[Concatenate[BodyT, P], R]], Callable[P, R]]:
    """Declare the parameters of the query; the view gets them as its first argument (a body after them)."""

    def declare(view: Callable[Concatenate[BodyT, P], R]) -> Callable[P, R]:
        @functools.wraps(view)
        def read(*args: P.args, **kwargs: P.kwargs) -> R:
            return view(_query(model), *args, **kwargs)

        return _declared(read, replace(operation_of(view), query=model))

    return declare


def takes_header(
    name: str, *, description: str, pattern: str, is_required: bool = True
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a header field, which the view reads and judges itself."""
    header = TakenHeader(name=name, description=description, pattern=pattern, is_required=is_required)

    def declare(view: Callable[P, R]) -> Callable[P, R]:
        before = operation_of(view)
        return _declared(view, replace(before, headers=(*before.headers, header)))

    return declare


def answers(
    model: type[pydantic.BaseModel], *statuses: HTTPStatus
) -> Callable[[Callable[P, Told]], Callable[P, Response]]:
    """Declare a JSON answer, never cached; a view that has several statuses says which, else the first is meant."""
    stated = statuses or (HTTPStatus.OK,)
    answered = tuple(Answered(status=int(each), media_type=JSON, model=model) for each in stated)

    def declare(view: Callable[P, Told]) -> Callable[P, Response]:
        @functools.wraps(view)
        def answer(*args: P.args, **kwargs: P.kwargs) -> Response:
            members, status, headers = _whole(view(*args, **kwargs), int(stated[0]))
            if status not in stated:
                raise ValueError(f"{view.__name__} answered {status}, which it does not declare")
            model.model_validate(members)
            response = Response(f"{_ENCODER.encode(members)}\n", status=status, mimetype=JSON)
            response.headers["Cache-Control"] = "no-store"
            response.headers.update(headers)
            return response

        return _declared(answer, _with_answers(view, answered))

    return declare


def answers_octets(
    media_type: str, status: HTTPStatus = HTTPStatus.OK
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare an answer of another media type, which the view makes itself."""
    answered = Answered(status=int(status), media_type=media_type)

    def declare(view: Callable[P, R]) -> Callable[P, R]:
        return _declared(view, _with_answers(view, (answered,)))

    return declare


def answers_nothing(view: Callable[P, None]) -> Callable[P, Response]:
    """Declare that a view answers 204 without content."""

    @functools.wraps(view)
    def answer(*args: P.args, **kwargs: P.kwargs) -> Response:
        view(*args, **kwargs)
        return Response(status=HTTPStatus.NO_CONTENT)

    return _declared(answer, _with_answers(view, (Answered(status=int(HTTPStatus.NO_CONTENT)),)))


def _whole(told: Told, first: int) -> tuple[Members, int, dict[str, str]]:
    if not isinstance(told, tuple):
        return told, first, {}
    if len(told) == 2:  # noqa: PLR2004  # members and status
        return told[0], int(told[1]), {}
    return told[0], int(told[1]), told[2]


def _query(model: type[BodyT]) -> BodyT:
    """The query as `model`, whose fields read text; a parameter given twice is refused. Raises ProblemError (400)."""
    given = request.args.to_dict(flat=False)
    try:
        return model.model_validate(
            {name: values[0] if len(values) == 1 else values for name, values in given.items()}
        )
    except pydantic.ValidationError as error:
        raise ProblemError(invalid_query(error)) from None


def _with_answers(view: Callable[..., Any], answered: tuple[Answered, ...]) -> Operation:
    before = operation_of(view)
    return replace(before, answered=(*before.answered, *answered))


def _declared(view: Callable[P, R], operation: Operation) -> Callable[P, R]:
    setattr(view, _DECLARED, operation)
    return view
