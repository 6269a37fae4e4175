"""The description of a listener's API (OpenAPI 3.1.0), made from the application that serves it.

The one rule: nothing is written here a second time. Paths come from the routes, roles from their declared access, bodies
and answers from what `edge.operations` checks with, sentences from the views' docstrings, refusals from the room's table.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import cleandoc
from typing import Any, Final

import pydantic
from flask import Flask
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from edge.operations import Answered, Operation, operation_of
from edge.principals import DEVICE, ENROLLING, PUBLIC, ROLES, routes_of
from edge.problem_document import CONTENT_TYPE, TYPE_PREFIX

OPENAPI: Final = "3.1.0"
API_VERSION: Final = "1"
"""The `v1` of the paths: what an existing caller relies on is not taken away under it."""
_PARAMETER: Final = re.compile(r"<(?:(?P<converter>[a-z]+):)?(?P<name>[a-z_]+)>")
_CERTIFICATE: Final = "clientCertificate"
_WITHOUT_CERTIFICATE: Final = {
    PUBLIC: "For everybody.",
    DEVICE: "For devices: what they send authenticates itself.",
    ENROLLING: "For whoever proves a registered key or an old certificate.",
}
_ANSWERS: Final = {200: "Done.", 201: "Made.", 202: "Under way.", 204: "Done; there is nothing to tell."}
_REFUSALS: Final = {
    "400": ("Malformed", "Malformed: no JSON, an empty body, or a query that this operation does not have."),
    "403": ("NotPermitted", "The caller's certificate is not registered, revoked, or of another role."),
    "404": ("NotFound", "There is no such thing, or it belongs to somebody else."),
    "409": ("Conflict", "In conflict with what is on record."),
    "413": ("TooLarge", "The body is larger than this listener or operation takes."),
    "415": ("UnsupportedMediaType", "The body is of another media type."),
    "422": ("Unacceptable", "Well-formed, and not acceptable: `detail` names the members at fault."),
    "4XX": ("Refused", "Refused: `reason` is one of the codes in the description of this API."),
    "429": ("TooManyRequests", "The caller made too many requests; nothing has changed."),
    "503": ("Unavailable", "Something that is needed is away for a moment; nothing has changed."),
}
_LINES_DEPTH: Final = 3
_WAITING_HELPS: Final = frozenset({"429", "503"})


@dataclass(frozen=True, slots=True, kw_only=True)
class PathParameter:
    """A part of a path: what it names, and the pattern of all that can name one."""

    description: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What a room says of one listener, beside its code.

    `refusals` is a row (code, status, remedy) for each stable code; `path_parameters` has one entry for each name in `<>`.
    """

    title: str
    description: str
    path_parameters: Mapping[str, PathParameter] = field(default_factory=dict)
    refusals: Sequence[tuple[str, int, str]] = ()


class UndescribedError(Exception):
    """A route cannot be described: which one, and what it does not say."""


def encode_description(app: Flask, api: Api) -> bytes:
    """The document as JSON, with a line for each path and schema: whoever compares two sees what changed."""
    return (_lines(describe(app, api), depth=_LINES_DEPTH) + "\n").encode()


def describe(app: Flask, api: Api) -> dict[str, Any]:
    """The OpenAPI document of an application whose access is enforced. Raises UndescribedError."""
    views = _described_views(app)
    names, schemas = _schemas(views)
    paths: dict[str, dict[str, Any]] = {}
    for rule, method, view, roles in views:
        described = _operation(rule, view, roles=roles, names=names)
        item = paths.setdefault(
            _PARAMETER.sub(r"{\g<name>}", rule.rule), {"parameters": _path_parameters(rule, api)}
        )
        item[method.lower()] = described
    return {
        "openapi": OPENAPI,
        "info": {
            "title": api.title,
            "version": API_VERSION,
            "description": f"{cleandoc(api.description)}\n\n{_refusal_text(api)}".strip(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": {path: _without_empty(item) for path, item in paths.items()},
        "components": {
            "schemas": {**schemas, "Problem": _problem_schema()},
            "responses": {name: _refusal(status, text) for status, (name, text) in _REFUSALS.items()},
            "securitySchemes": _security_schemes(views),
        },
    }


View = Callable[..., Any]
_DescribedView = tuple[Rule, str, View, tuple[str, ...]]


def _described_views(app: Flask) -> list[_DescribedView]:
    """Every route that declares what it answers, in the order of `routes_of`; one that does not is refused."""
    rules = {
        (method, rule.rule): rule for rule in app.url_map.iter_rules() for method in rule.methods or set()
    }
    found = []
    for method, path, roles in routes_of(app):
        rule = rules[method, path]
        view = app.view_functions[rule.endpoint]
        if not operation_of(view).answered:
            raise UndescribedError(f"{method} {path}: the view does not say what it answers")
        if not (view.__doc__ or "").strip():
            raise UndescribedError(f"{method} {path}: the view has no docstring")
        found.append((rule, method, view, roles))
    return sorted(found, key=lambda each: (each[0].rule, each[1]))


def _operation(
    rule: Rule, view: View, *, roles: tuple[str, ...], names: Mapping[type[pydantic.BaseModel], str]
) -> dict[str, Any]:
    operation = operation_of(view)
    summary, _, rest = cleandoc(view.__doc__ or "").partition("\n")
    described: dict[str, Any] = {
        "operationId": view.__name__,
        "summary": summary.removesuffix("."),
        "description": "\n\n".join(filter(None, (rest.strip(), _who(roles)))),
        "tags": [_tag(rule.rule)],
        "security": _security(roles),
        "parameters": _parameters(operation),
        "responses": {str(each.status): _answer(each, names) for each in operation.answered},
    }
    taken = operation.taken
    if taken is not None:
        described["requestBody"] = {
            "required": True,
            "content": {taken.media_type: {"schema": _body_schema(taken.model, names)}},
            "description": f"At most {taken.bytes_max} octets.",
        }
    for status in _refused_with(rule, operation, roles):
        described["responses"][status] = {"$ref": f"#/components/responses/{_REFUSALS[status][0]}"}
    return _without_empty(described)


def _refused_with(rule: Rule, operation: Operation, roles: Iterable[str]) -> list[str]:
    statuses = {"4XX", "503"}
    if set(roles) & ROLES:
        statuses |= {"403", "429"}
    if rule.arguments:
        statuses.add("404")
    if operation.query is not None:
        statuses.add("400")
    if operation.taken is not None:
        statuses |= {"400", "413", "415", "422"}
        if PUBLIC in roles:
            statuses.add("429")
    return sorted(statuses)


def _answer(answered: Answered, names: Mapping[type[pydantic.BaseModel], str]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": _ANSWERS[answered.status]}
    if answered.media_type is not None:
        response["content"] = {answered.media_type: {"schema": _body_schema(answered.model, names)}}
    return response


def _body_schema(
    model: type[pydantic.BaseModel] | None, names: Mapping[type[pydantic.BaseModel], str]
) -> dict[str, Any]:
    # OpenAPI 3.1: octets of another media type have an empty schema
    return {} if model is None else {"$ref": f"#/components/schemas/{names[model]}"}


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {
            "name": each.name,
            "in": "header",
            "required": each.is_required,
            "description": each.description,
            "schema": {"type": "string", "pattern": each.pattern},
        }
        for each in operation.headers
    ]
    if operation.query is not None:
        schema = operation.query.model_json_schema()
        required = schema.get("required", [])
        for name, member in schema["properties"].items():
            text = member.pop("description", "")
            member.pop("title", None)
            found.append(
                {
                    "name": name,
                    "in": "query",
                    "required": name in required,
                    "description": text,
                    "schema": member,
                }
            )
    return [_without_empty(each) for each in found]


def _path_parameters(rule: Rule, api: Api) -> list[dict[str, Any]]:
    found = []
    for match in _PARAMETER.finditer(rule.rule):
        name = match["name"]
        if name not in api.path_parameters:
            raise UndescribedError(f"{rule.rule}: nothing says what {name} is")
        parameter = api.path_parameters[name]
        schema: dict[str, Any] = {"type": "string", "pattern": parameter.pattern}
        if match["converter"] == "int":
            schema = {"type": "integer", "minimum": 0}
        found.append(
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": parameter.description,
                "schema": schema,
            }
        )
    return found


def _schemas(
    views: Iterable[_DescribedView],
) -> tuple[dict[type[pydantic.BaseModel], str], dict[str, Any]]:
    """Name of each model in the document, and the schemas by name."""
    models: dict[type[pydantic.BaseModel], None] = {}
    for _, _, view, _ in views:
        operation = operation_of(view)
        taken = [] if operation.taken is None else [operation.taken.model]
        models |= {
            each: None for each in (*taken, *(each.model for each in operation.answered)) if each is not None
        }
    references, definitions = models_json_schema(
        [(each, "validation") for each in models], ref_template="#/components/schemas/{model}"
    )
    names = {
        model: reference["$ref"].rpartition("/")[2]
        for (model, _), reference in references.items()
        if issubclass(model, pydantic.BaseModel)
    }
    return names, {name: _untitled(schema) for name, schema in sorted(definitions.get("$defs", {}).items())}


def _untitled(schema: Any) -> Any:
    """Without the titles that only repeat the name of a member."""
    if isinstance(schema, dict):
        return {
            name: _untitled(value)
            for name, value in schema.items()
            if name != "title" or not isinstance(value, str)
        }
    if isinstance(schema, list):
        return [_untitled(each) for each in schema]
    return schema


def _security(roles: tuple[str, ...]) -> list[dict[str, list[str]]]:
    """One alternative a role (OpenAPI 3.1, 4.8.30: role names may stand with mutualTLS)."""
    permitted = set(roles) & ROLES
    if permitted == ROLES:
        return [{_CERTIFICATE: []}]
    return [{_CERTIFICATE: [role]} for role in sorted(permitted)] or [{}]


def _security_schemes(views: Iterable[_DescribedView]) -> dict[str, Any]:
    if not any(set(roles) & ROLES for _, _, _, roles in views):
        return {}
    return {
        _CERTIFICATE: {
            "type": "mutualTLS",
            "description": "A client certificate under the TLS root, whose issuer and key are registered with a role and a "
            "tenant. Names inside of certificates decide nothing.",
        }
    }


def _who(roles: tuple[str, ...]) -> str:
    permitted = set(roles) & ROLES
    if permitted == ROLES:
        return "For every registered principal."
    if permitted:
        return f"For {', '.join(sorted(permitted))}."
    return _WITHOUT_CERTIFICATE[roles[0]]


def _tag(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    return parts[1] if len(parts) > 1 and parts[0] == "v1" else "about"


def _refusal(status: str, text: str) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": text,
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in _WAITING_HELPS:
        response["headers"] = {
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}}
        }
    return response


def _problem_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "A refusal (RFC 9457): `reason` is a stable word for programs, the rest is for people.",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string", "pattern": f"^{TYPE_PREFIX}[a-z0-9-]+$"},
            "title": text,
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": text,
            "subject": text,
            "reason": text,
            "remedy": text,
        },
    }


def _refusal_text(api: Api) -> str:
    if not api.refusals:
        return ""
    rows = [f"| `{code}` | {status} | {remedy} |" for code, status, remedy in sorted(api.refusals)]
    return "\n".join(("| reason | status | what to do |", "|---|---|---|", *rows))


def _lines(value: Any, *, depth: int) -> str:
    if depth == 0 or not isinstance(value, dict) or not value:
        return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    members = (
        f"{json.dumps(name, ensure_ascii=False)}: {_lines(each, depth=depth - 1)}"
        for name, each in value.items()
    )
    return "{\n" + ",\n".join(members) + "\n}"


def _without_empty(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value not in ("", [], {})}
