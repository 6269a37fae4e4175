"""The tables of who may do what hold every route that there is, and each rule of a tenant names a test that exists."""

import ast
from typing import Any

import pytest

from ca.web.est import est_app
from edge.principals import ROLES, routes_of
from edge.refused import AnonymousRefusals
from pva.web.dashboard.application import DashboardSurroundings, dashboard_app
from tests.applications import Nobody, applications
from tests.authorization_document import DOCUMENT, page
from tests.end_to_end.route_tables import TABLES
from tests.end_to_end.tenant_rules import TENANT_RULES
from tests.house.tree import ROOT

NOT_BUILT = {("ca", "public")}
"""A listener that is not described: `test_route_tables` builds it from the settings."""
_NUMBERED = {"vno", "icf", "ccif", "drf", "sho", "dpf"}


def door(name: str) -> tuple[str, str]:
    """Service and listener as the tables have them, of an application's name such as "CA device"."""
    service, _, listener = name.lower().partition(" ")
    return (f"{service}-1" if service in _NUMBERED else service), listener


def dashboard() -> Any:
    """The dashboard's application on use cases that nobody asks."""
    desk: Any = Nobody()
    around = DashboardSurroundings(
        issuer="pva", principals=desk, clock=desk, random_bytes=bytes, on_refusal=AnonymousRefusals().count
    )
    return dashboard_app(desk, around)


@pytest.mark.requirement("R102")
def test_every_route_is_in_the_table_of_its_listener() -> None:
    desk: Any = Nobody()
    apps = {
        **{door(name): app for name, app in applications().items()},
        ("pva", "dashboard"): dashboard(),
        ("ca", "est"): est_app(desk),
    }
    found = {
        each: {(method, rule): tuple(sorted(roles)) for method, rule, roles in routes_of(app)}
        for each, app in apps.items()
    }
    assert found == {each: routes for each, routes in TABLES.items() if each not in NOT_BUILT}


@pytest.mark.requirement("R102")
def test_every_route_for_principals_says_what_their_tenant_decides() -> None:
    for_principals = {
        each: set(routes)
        for each, routes in TABLES.items()
        if {role for roles in routes.values() for role in roles} & ROLES
    }
    assert {each: set(rules) for each, rules in TENANT_RULES.items()} == for_principals
    assert all(rule.says for rules in TENANT_RULES.values() for rule in rules.values())


def test_the_tests_that_the_rules_name_exist() -> None:
    named = {rule.shown for rules in TENANT_RULES.values() for rule in rules.values() if rule.shown}
    for each in named:
        file, _, function = each.partition("::")
        module = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        functions = {part.name for part in module.body if isinstance(part, ast.FunctionDef)}
        assert function in functions, each


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == page(), "docs/AUTHORIZATION.md is stale: ./dev fix"
