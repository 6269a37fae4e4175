"""A view's declared shapes: what is documented is what is read and sent."""

from http import HTTPStatus
from typing import Any

import pydantic
import pytest
from flask import Flask, Response

from edge.api_description import Api, PathParameter, UndescribedError, describe, encode_description
from edge.description_pages import render_page
from edge.operations import (
    AnswerModel,
    Moment,
    QueryModel,
    Sha256,
    Told,
    WholeNumber,
    answers,
    answers_nothing,
    answers_octets,
    takes,
    takes_header,
    takes_octets,
    takes_query,
)
from edge.principals import ROLES, device, enforce_access, public, require
from edge.problems import register_problems


class Wish(pydantic.BaseModel):
    """What is wished for."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)
    name: str
    count: int = 1


class Made(AnswerModel):
    """What was made."""

    name: str
    digest: Sha256
    at: Moment
    note: str | None = None


class Page(QueryModel):
    """Which page."""

    after: WholeNumber = 0


GOOD = {"name": "n", "digest": "0" * 64, "at": "2026-01-01T00:00:00Z"}
API = Api(
    title="Test",
    description="A listener.",
    path_parameters={"name": PathParameter(description="a name", pattern="^[a-z]+$")},
    refusals=(("no-such-thing", 404, "ask for another"),),
)


def application(told: Told) -> Flask:
    app = Flask("test", static_folder=None)

    @app.post("/v1/things")
    @public
    @takes(Wish, bytes_max=200)
    @answers(Made, HTTPStatus.CREATED, HTTPStatus.OK)
    def make(body: Wish) -> Told:
        """Make a thing.

        It takes a while.
        """
        assert body.name
        return told

    @app.get("/v1/things")
    @public
    @takes_query(Page)
    @answers(Made)
    def find(query: Page) -> Told:
        """Find a thing."""
        return {**GOOD, "note": str(query.after)}

    @app.put("/v1/things/<name>/picture")
    @device
    @takes_octets("image/png", bytes_max=10)
    @takes_header("X-Key", description="a key", pattern="^k$")
    @answers_nothing
    def hang(data: bytes, name: str) -> None:
        """Hang a picture."""
        assert (data, name) == (b"p", "wall")

    @app.get("/v1/things/<name>/picture")
    @device
    @answers_octets("image/png")
    def show(name: str) -> Response:
        """Show a picture."""
        return Response(name.encode(), content_type="image/png")

    register_problems(app, {})
    enforce_access(app)
    return app


@pytest.mark.parametrize(
    ("told", "status", "retry"),
    [
        (GOOD, 201, None),
        ((GOOD, HTTPStatus.OK), 200, None),
        ((GOOD, HTTPStatus.OK, {"Retry-After": "5"}), 200, "5"),
    ],
)
def test_an_answer_has_a_declared_status_and_is_kept_by_nobody(
    told: Told, status: int, retry: str | None
) -> None:
    response = application(told).test_client().post("/v1/things", json={"name": "n"})
    assert (response.status_code, response.get_json()) == (status, GOOD)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers.get("Retry-After") == retry


@pytest.mark.negative
@pytest.mark.parametrize(
    "told",
    [
        {**GOOD, "undocumented": 1},
        {**GOOD, "digest": "0" * 63},
        {**GOOD, "at": "yesterday"},
        {"name": "n"},
        (GOOD, HTTPStatus.ACCEPTED),
    ],
)
def test_what_is_not_documented_does_not_leave(told: Told) -> None:
    response = application(told).test_client().post("/v1/things", json={"name": "n"})
    assert response.status_code == 500
    assert "undocumented" not in response.text


@pytest.mark.negative
@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"json": {}}, 422),
        ({"json": {"name": "n", "more": 1}}, 422),
        ({"json": {"name": 1}}, 422),
        ({"data": b"{", "content_type": "application/json"}, 400),
        ({"data": b"{}", "content_type": "text/plain"}, 415),
        ({"json": {"name": "n" * 300}}, 413),
    ],
)
def test_a_body_reaches_the_view_as_its_model_or_not_at_all(options: dict[str, Any], status: int) -> None:
    response = application(GOOD).test_client().post("/v1/things", **options)
    assert response.status_code == status


def test_a_query_is_read() -> None:
    client = application(GOOD).test_client()
    assert client.get("/v1/things").get_json()["note"] == "0"
    assert client.get("/v1/things?after=17").get_json()["note"] == "17"


@pytest.mark.negative
@pytest.mark.parametrize(
    "query",
    ["after=-1", "after=1_0", "after=%201", "after=01", "after=1&after=2", "more=1", f"after=1{'0' * 18}"],
)
def test_a_malformed_query_is_refused(query: str) -> None:
    response = application(GOOD).test_client().get(f"/v1/things?{query}")
    assert response.status_code == 400
    assert response.get_json()["type"] == "urn:pva:problem:invalid-query"


def test_octets_and_nothing() -> None:
    client = application(GOOD).test_client()
    hung = client.put("/v1/things/wall/picture", data=b"p", content_type="image/png")
    assert (hung.status_code, hung.data) == (204, b"")
    assert client.put("/v1/things/wall/picture", data=b"p" * 11, content_type="image/png").status_code == 413
    assert client.get("/v1/things/wall/picture").data == b"wall"


def test_the_description_says_what_the_views_declare() -> None:
    document = describe(application(GOOD), API)
    made = document["paths"]["/v1/things"]["post"]
    assert (made["operationId"], made["summary"], made["tags"]) == ("make", "Make a thing", ["things"])
    assert made["description"] == "It takes a while.\n\nFor everybody."
    assert made["security"] == [{}]
    assert made["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Wish"
    }
    assert set(made["responses"]) == {"200", "201", "400", "413", "415", "422", "429", "4XX", "503"}
    assert document["paths"]["/v1/things"]["get"]["parameters"] == [
        {
            "name": "after",
            "in": "query",
            "required": False,
            "schema": {"default": 0, "exclusiveMaximum": 10**18, "minimum": 0, "type": "integer"},
        }
    ]
    picture = document["paths"]["/v1/things/{name}/picture"]
    assert picture["parameters"][0]["schema"] == {"type": "string", "pattern": "^[a-z]+$"}
    assert picture["put"]["parameters"][0]["in"] == "header"
    assert picture["put"]["responses"]["204"] == {"description": "Done; there is nothing to tell."}
    assert picture["get"]["responses"]["200"]["content"] == {"image/png": {"schema": {}}}
    assert set(document["components"]["schemas"]) == {"Wish", "Made", "Problem"}
    assert "additionalProperties" not in document["components"]["schemas"]["Made"]
    assert "| `no-such-thing` | 404 | ask for another |" in document["info"]["description"]
    assert document["components"]["securitySchemes"] == {}
    assert encode_description(application(GOOD), API) == encode_description(application(GOOD), API)


def test_roles_are_alternatives_of_mutual_tls() -> None:
    app = Flask("test", static_folder=None)
    for number, roles in enumerate((("admin", "es"), tuple(sorted(ROLES)))):

        def view() -> Told:
            """Say."""
            return GOOD

        app.add_url_rule(f"/v1/a{number}", f"a{number}", require(*roles)(answers(Made)(view)))
    register_problems(app, {})
    anybody: Any = object()
    enforce_access(app, principals=anybody)
    paths = describe(app, API)["paths"]
    assert paths["/v1/a0"]["get"]["security"] == [
        {"clientCertificate": ["admin"]},
        {"clientCertificate": ["es"]},
    ]
    assert paths["/v1/a1"]["get"]["security"] == [{"clientCertificate": []}]
    assert "403" in paths["/v1/a0"]["get"]["responses"]


@pytest.mark.negative
def test_a_route_that_says_too_little_is_not_described() -> None:
    def undeclared() -> str:
        """Answer something."""
        return ""

    def undocumented() -> Told:
        return GOOD

    for view, path in (
        (undeclared, "/a"),
        (answers(Made)(undocumented), "/a"),
        (answers_nothing(lambda: None), "/<other>"),
    ):
        app = Flask("test", static_folder=None)
        app.add_url_rule(path, "view", public(view))
        enforce_access(app)
        with pytest.raises(UndescribedError, match=path):
            describe(app, API)


def test_the_page_needs_no_script_and_no_network() -> None:
    text, policy = render_page(describe(application(GOOD), API), api=API)
    assert "<script" not in text
    assert "http://" not in text
    assert "https://" not in text
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    for shown in (
        "Make a thing",
        "/v1/things/{name}/picture",
        "no-such-thing",
        "image/png",
        'id="schema-Made"',
    ):
        assert shown in text
