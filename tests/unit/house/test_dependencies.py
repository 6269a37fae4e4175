"""What is declared is used, what is used is declared, and the lock files hold it."""

import ast
import re
import sys
from importlib.metadata import packages_distributions

from tests.unit.house.tree import ROOT, nodes_of_the_product, pyproject


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[<>=\[; ]", requirement)[0]) for requirement in requirements}


def imported_distributions() -> set[str]:
    modules = set()
    for nodes in nodes_of_the_product().values():
        for node in nodes:
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                modules.add(node.module.split(".")[0])
    rooms = set(pyproject()["tool"]["importlinter"]["root_packages"]) | {"bench", "tests"}
    known = packages_distributions()
    foreign = modules - rooms - set(sys.stdlib_module_names)
    return {canonical(known[module][0]) for module in foreign if module in known} | (foreign - set(known))


def test_every_import_is_declared() -> None:
    declared = names(pyproject()["project"]["dependencies"])
    # flask brings werkzeug as its other half, uvicorn brings h11 as its parser
    assert imported_distributions() - declared - {"werkzeug", "h11"} == set()


def test_every_dependency_is_locked() -> None:
    declared = names(pyproject()["project"]["dependencies"])
    locked = names(re.findall(r"^[\w.\-]+==\S+", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert declared <= locked
    extras = pyproject()["project"]["optional-dependencies"]
    developing = names(
        re.findall(r"^[\w.\-]+==\S+", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE)
    )
    assert (
        locked
        | names([one for extra in ("test", "check", "conformance", "postgres") for one in extras[extra]])
        <= developing
    )
