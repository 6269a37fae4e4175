"""docs/api is what the services say of themselves, and each document holds together."""

import json
import re
from typing import Any

import pytest

from edge.api_description import describe
from edge.principals import routes_of
from tests.api_documents import documents
from tests.applications import APIS, applications
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


def all_operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        operation
        for item in document["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
