"""The PVA's operator listener is what its description says: asked at random within it and beside it (schemathesis).

Whoever is permitted asks. What is asked follows from the seed and from the description; a failure shows the request.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.config import SchemathesisConfig
from werkzeug.exceptions import HTTPException

from edge.api_description import describe
from edge.http_protocol import PEER_CERTIFICATE
from edge.principals import routes_of
from pva.web.descriptions import OPERATOR_API
from pva.web.suppliers import JOSE
from standards.rats.corim import RIM_COSE
from tests.applications import applications
from tests.contract.test_pva_web import Service

EXAMPLES: Final = 10
"""Requests to an operation, within what is described and again beside it."""
CHECKS_MADE: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
PEERS: Final = {"admin": "root", "es": "acme", "sho": "sho", "auditor": "watcher"}
CONFIG: Final = SchemathesisConfig.from_dict(
    {"checks": {"negative_data_rejection": {"expected-statuses": ["4xx"]}}}
)
Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

schemathesis.openapi.media_type(RIM_COSE, st.binary(min_size=1, max_size=200))
schemathesis.openapi.media_type(JOSE, st.binary(min_size=1, max_size=200))
load_all_checks()


def asked() -> list[tuple[str, str, GenerationMode]]:
    """(method, path, mode): each operation within its description, and beside it where it can be missed."""
    document = describe(applications()["PVA operator"], OPERATOR_API)
    found = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method == "parameters" or path.startswith("/v1/log/"):
                continue
            found.append((method, path, GenerationMode.POSITIVE))
            body = operation.get("requestBody", {"content": {}})["content"]
            if "parameters" in item or "parameters" in operation or "application/json" in body:
                found.append((method, path, GenerationMode.NEGATIVE))
    return found


def permitted(service: Service) -> Wsgi:
    """The application as somebody sees it who has the right certificate for whatever he asks."""
    app: Flask = service.operator
    roles = {(method, rule): permitted for method, rule, permitted in routes_of(app)}

    def serve(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        role = "admin"
        try:
            rule, _ = app.url_map.bind_to_environ(environ).match(return_rule=True)
        except HTTPException:
            pass
        else:
            role = next(each for each in roles[environ["REQUEST_METHOD"], rule.rule] if each in PEERS)
        environ[PEER_CERTIFICATE] = service.peers[PEERS[role]]
        return app(environ, start_response)

    return serve


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service(tmp_path_factory.mktemp("described"))


@pytest.mark.requirement("R102")
@pytest.mark.parametrize(("method", "path", "mode"), asked(), ids=str)
def test_an_operation_is_as_described(service: Service, method: str, path: str, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", permitted(service), config=CONFIG)
    beside = ["negative_data_rejection"] if mode is GenerationMode.NEGATIVE else []
    checks: list[Any] = CHECKS.get_by_names([*CHECKS_MADE, *beside])

    @seed(33_812)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        case.call_and_validate(checks=checks)

    ask()
