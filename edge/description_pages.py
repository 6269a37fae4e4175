"""The description of an API at /openapi.json, and the same as a page at /docs that needs no script and no network.

Rule: both show the one document that `edge.api_description` makes of the application; whoever has a principal reads it.
"""

import base64
import functools
import hashlib
from pathlib import Path
from typing import Any, Final

from flask import Flask, Response, current_app
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from edge.api_description import Api, describe, encode_description
from edge.operations import JSON, answers_octets
from edge.principals import ROLES, require

DESCRIPTION_PATHS: Final = frozenset({"/docs", "/openapi.json"})
"""Of every operator listener, and of no role in particular."""
HTML: Final = "text/html; charset=utf-8"
_EVERYBODY: Final = tuple(sorted(ROLES))
_FOLDER: Final = Path(__file__).parent / "templates"
_REFERENCE: Final = "#/components/"


def add_description(app: Flask, api: Api) -> None:
    """Add both routes; their access is declared here. The document is made when it is first asked for."""

    @functools.cache
    def document() -> bytes:
        return encode_description(current_app, api)

    @functools.cache
    def page() -> tuple[str, str]:
        return render_page(describe(current_app, api), api=api)

    @app.get("/openapi.json")
    @require(*_EVERYBODY)
    @answers_octets(JSON)
    def openapi() -> Response:
        """This description, for programs (OpenAPI 3.1)."""
        return Response(document(), content_type=JSON, headers={"Cache-Control": "no-cache"})

    @app.get("/docs")
    @require(*_EVERYBODY)
    @answers_octets(HTML)
    def docs() -> Response:
        """This description, for people."""
        text, policy = page()
        headers = {
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        }
        return Response(text, content_type=HTML, headers=headers)


def render_page(document: dict[str, Any], *, api: Api) -> tuple[str, str]:
    """The page of a document, and the Content-Security-Policy under which nothing but its own style is applied."""
    # a directory of its own: the application's templates are the room's
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    style = (_FOLDER / "api.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    text = environment.get_template("api.html").render(
        api=document,
        groups=_groups(document),
        refusals=sorted(api.refusals),
        style=style,
        named=functools.partial(_named, document),
    )
    return (
        text,
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    )


def _groups(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Operations by tag, in the order of the document."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, item in document["paths"].items():
        shared = item.get("parameters", [])
        for method, operation in item.items():
            if method != "parameters":
                shown = {
                    **operation,
                    "method": method.upper(),
                    "path": path,
                    "parameters": [*shared, *operation.get("parameters", [])],
                    "roles": [
                        role for each in operation["security"] for roles in each.values() for role in roles
                    ],
                }
                groups.setdefault(operation["tags"][0], []).append(shown)
    return groups


def _named(document: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """What a reference names, with the `name` that it has; another value as it is."""
    reference = value.get("$ref")
    if reference is None:
        return value
    kind, _, name = reference.removeprefix(_REFERENCE).partition("/")
    return {**document["components"][kind][name], "name": name}
