"""docs/api is what the services say of themselves, and each document holds together."""

import json
import re
from typing import Any, get_origin

import jsonschema_rs
import pytest

from edge.api_description import describe
from edge.description_pages import render_page
from edge.operations import operation_of
from edge.pages import PageAnswer, PageQuery
from edge.principals import routes_of
from tests.api_documents import documents
from tests.applications import APIS, applications
from tests.gate_document import DOCUMENT, GATE, page
from tests.house.tree import ROOT

_REFERENCE = re.compile(r'"\$ref": "#/components/(schemas|responses)/([^"]+)"')


@pytest.mark.requirement("R102")
def test_the_documents_are_up_to_date() -> None:
    wanted = documents()
    assert set((ROOT / "docs/api").iterdir()) == {ROOT / path for path in wanted}
    for path, data in wanted.items():
        assert (ROOT / path).read_bytes() == data, f"{path} is stale: ./dev fix"


@pytest.mark.parametrize("name", APIS)
def test_every_route_is_described_once_and_every_reference_leads_somewhere(name: str) -> None:
    app = applications()[name]
    document = describe(app, APIS[name])
    described = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert described == {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)) for method, rule, _ in routes_of(app)
    }
    operations = [operation["operationId"] for operation in all_operations(document)]
    assert len(set(operations)) == len(operations)
    for kind, reference in _REFERENCE.findall(json.dumps(document)):
        assert reference in document["components"][kind]


FEEDS = {"/v1/status-changes", "/v1/log/records"}
"""Followed from a number on: not lists, but what happened."""


@pytest.mark.parametrize("name", APIS)
def test_every_list_is_given_in_pages(name: str) -> None:
    app = applications()[name]
    for rule in app.url_map.iter_rules():
        operation = operation_of(app.view_functions[rule.endpoint])
        models = [each.model for each in operation.answered if each.model is not None]
        is_list = any(
            get_origin(member.annotation) is list
            for model in models
            for member in model.model_fields.values()
        )
        if "GET" in (rule.methods or ()) and is_list and not rule.arguments and rule.rule not in FEEDS:
            assert operation.query is PageQuery, rule.rule
            assert all(issubclass(model, PageAnswer) for model in models), rule.rule


@pytest.mark.parametrize("name", APIS)
def test_every_document_has_its_page_for_people(name: str) -> None:
    document = describe(applications()[name], APIS[name])
    text, _ = render_page(document, api=APIS[name])
    assert all(f'id="schema-{schema}"' in text for schema in document["components"]["schemas"])


def all_operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        operation
        for item in document["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]


@pytest.mark.requirement("R81")
def test_the_gate_of_the_document_is_the_one_that_is_run() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert page(text) == text, "docs/BRING-YOUR-OWN-DPF.md is stale: ./dev fix"
    assert GATE.read_text(encoding="utf-8").rstrip() in text


def test_the_example_of_the_protocol_has_the_claims_of_the_schema() -> None:
    schema = json.loads((ROOT / "docs/ear.schema.json").read_text(encoding="utf-8"))
    text = (ROOT / "docs/PROTOCOL.md").read_text(encoding="utf-8")
    result = text[text.index("### Result") :]
    claims = json.loads(result[result.index("{") : result.index("\n```\n<!-- end of example")])
    jsonschema_rs.validate(schema, claims)
    assert set(claims) <= set(schema["properties"])
