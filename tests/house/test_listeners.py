"""No service that lets operators in forgets that their certificates may be revoked."""

import ast
from collections.abc import Iterator

from tests.house.tree import ROOT


def test_whoever_asks_for_client_certificates_judges_their_revocation() -> None:
    found = 0
    for path in sorted([*ROOT.glob("*/app.py"), *ROOT.glob("operators/*/app.py")]):
        if path.parent.name == "ca":
            continue  # the CA asks its own books
        tree = ast.parse(path.read_text())
        listeners = list(_listeners_for_principals(tree))
        found += len(listeners)
        for each in listeners:
            assert any(ast.unparse(given) == "beside=clients.periodic" for given in each.keywords), path
        assert ast.unparse(tree).count("principals=clients.principals") == len(listeners), path
    assert found >= 8


def _listeners_for_principals(tree: ast.Module) -> Iterator[ast.Call]:
    """Those which people and services with certificates of their own come to: by name, devices and the public to none."""
    for each in ast.walk(tree):
        if isinstance(each, ast.Call) and ast.unparse(each.func).endswith(".listener"):
            name = ast.literal_eval(each.args[0])
            if name not in {"device", "public"}:
                yield each
