"""docs/FOURTEEN-STEPS.md is the flow that the code has: routes, messages, operations and commands, both ways round.

Rule: the document is held against the applications, codecs and commands themselves; no process is started.
"""

import ast
import importlib
import inspect
import re
import shlex
import tomllib
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

import click
import pytest
from pydantic import BaseModel

from cli.commands.certificates import for_operator
from clients import dpf as dpf_client
from clients import sho as sho_client
from edge.principals import routes_of
from m2me_agent.agent import cli as agent
from m2me_agent.agent import session
from m2me_agent.mmi import main as mmi
from m2me_agent.tre import app as tre
from m2me_agent.tre import errors, installation_outcomes
from m2me_agent.tre_protocol import MMI_OPERATIONS, OTHER_RESULTS, PARAMETERS, RESULTS, Operation
from messages import (
    approval,
    authorization,
    connectivity,
    delivery,
    discovery,
    erasure,
    instruction,
    mid_content,
    mid_package,
    mid_policy,
    order,
    ownership,
    registry,
    release,
    statement,
    switch,
    update_approvals,
    validation_request,
)
from messages.operator_token import TokenKind
from operators.dpf.records import GRANTS_MAX
from operators.sho.order_states import TRANSITIONS
from tests.applications import ON_EVERY_OPERATOR_LISTENER, applications
from tests.house.tree import ROOT

TEXT: Final = (ROOT / "docs/FOURTEEN-STEPS.md").read_text(encoding="utf-8")
COMMANDS_TEXT: Final = (ROOT / "docs/CLI.md").read_text(encoding="utf-8")
STEPS: Final = range(15)
ELSEWHERE: Final = frozenset(
    {
        ("PVA", "POST", "/v1/suppliers"),
        ("PVA", "GET", "/v1/suppliers"),
        ("PVA", "GET", "/v1/proposals"),
        ("PVA", "POST", "/v1/proposals/<digest>/approvals"),
        ("PVA", "POST", "/v1/proposals/<digest>/withdrawal"),
        ("PVA", "GET", "/v1/trust-lists"),
        ("PVA", "GET", "/v1/trust-lists/<issuer>"),
        ("PVA", "POST", "/v1/trust-lists"),
        ("PVA", "POST", "/v1/trust-list-checks"),
        ("PVA", "POST", "/v1/suspensions"),
        ("PVA", "GET", "/v1/suspensions"),
        ("PVA", "POST", "/v1/suspensions/<suspension_id>/lifting"),
        ("PVA", "POST", "/v1/manifests"),
        ("PVA", "GET", "/v1/manifests"),
        ("PVA", "GET", "/v1/manifests/<digest>"),
        ("PVA", "POST", "/v1/manifest-checks"),
        ("PVA", "POST", "/v1/manifests/<digest>/approvals"),
        ("PVA", "POST", "/v1/manifests/<digest>/retirement"),
        ("PVA", "POST", "/v1/updates"),
        ("PVA", "GET", "/v1/updates"),
        ("PVA", "POST", "/v1/updates/<digest>/share"),
        ("PVA", "POST", "/v1/updates/<digest>/pause"),
        ("PVA", "POST", "/v1/updates/<digest>/resume"),
        ("PVA", "POST", "/v1/update-approvals"),
        ("PVA", "POST", "/v1/validations"),
        ("PVA", "GET", "/v1/validations/<request_id>"),
        ("PVA", "GET", "/v1/results/<result_id>/explanation"),
        ("PVA", "GET", "/v1/results/<result_id>"),
        ("PVA", "GET", "/v1/results/<result_id>/bundle"),
        ("PVA", "GET", "/v1/policies"),
        ("PVA", "GET", "/v1/policies/<digest>"),
        ("PVA", "POST", "/v1/policies"),
        ("PVA", "POST", "/v1/policies/check"),
        ("PVA", "POST", "/v1/policies/dry-run"),
        ("PVA", "POST", "/v1/policies/<digest>/activate"),
        ("PVA", "POST", "/v1/policies/<digest>/retire"),
        ("PVA", "POST", "/v1/watches"),
        ("PVA", "GET", "/v1/watches"),
        ("PVA", "POST", "/v1/watches/<watch_id>/end"),
    }
)
"""Routes of a PVA that belong to no step; docs/PROTOCOL.md and docs/CLI.md have their bodies."""
CLAIMS: Final[dict[str, tuple[ModuleType, str]]] = {
    "connectivity": (connectivity, "Connectivity"),
    "discovery": (discovery, "Discovery"),
    "order": (order, "Order"),
    "validation request": (validation_request, "SignedRequest"),
    "package": (mid_package, "PackageHeader"),
    "authorisation": (authorization, "Authorization"),
    "delivery": (delivery, "Delivery"),
    "instruction": (instruction, "Instruction"),
    "registry query": (registry, "RegistryQuery"),
    "release": (release, "Release"),
    "switch": (switch, "Switch"),
    "update approvals": (update_approvals, "UpdateApprovals"),
    "ownership record": (ownership, "Ownership"),
    "device policy": (mid_policy, "DevicePolicy"),
}
BY_SUPPLIERS: Final = {
    "ownership record": ownership.OWNERSHIP_TYPE,
    "device policy": mid_policy.DEVICE_POLICY_TYPE,
}
MAPS: Final[dict[str, tuple[ModuleType, str, int]]] = {
    "authorized-parts": (dpf_client, "authorize", 0),
    "content": (mid_content, "MidContent", 0),
    "application": (mid_content, "MidContent", 1),
    "approval": (approval, "StateApproval", 0),
    "statement": (statement, "SignedStatement", 0),
    "receipt": (statement, "Receipt", 0),
    "registry": (registry, "RegistryReport", 0),
    "registry-entry": (registry, "_entry", 0),
    "transition": (registry, "encode_transition", 0),
    "erasure": (erasure, "Erasure", 0),
    "receipt-message": (sho_client, "receipt", 0),
}
"""Name of a map in the document -> where it is encoded, and as which of the maps there, the outermost first."""
SETTINGS: Final[dict[str, type[BaseModel]]] = {
    "tre.toml": tre.TreSettings,
    "agent.toml": session.AgentSettings,
}
OUTCOMES: Final = frozenset(
    {
        statement.INSTALLED,
        installation_outcomes.PACKAGE_REFUSED,
        installation_outcomes.ORDER_REFUSED,
        installation_outcomes.STATE_REFUSED,
        installation_outcomes.STORAGE,
        installation_outcomes.REPLAYED,
        installation_outcomes.ROLLBACK,
        installation_outcomes.UPDATE_REFUSED,
        installation_outcomes.CONTENT_REFUSED,
        installation_outcomes.POLICY_REFUSED,
    }
)
_ROUTE = re.compile(r"(GET|POST|PUT) +(/[^\s,`)?]+)")
_BODY_ROUTE = re.compile(r"^\| ([A-Z]+) `(GET|POST|PUT) (/[^`]+)`", re.MULTILINE)


def part(begin: str, end: str) -> str:
    """What stands between two lines of the document."""
    return TEXT[TEXT.index(f"\n{begin}\n") : TEXT.index(f"\n{end}\n")]


def rows(text: str) -> Iterator[list[str]]:
    """The cells of each row of the tables in a text, without heads."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        is_head = number + 1 < len(lines) and lines[number + 1].startswith("|---")
        if line.startswith("|") and not line.startswith("|---") and not is_head:
            yield [cell.strip() for cell in line.strip("|").split("|")]


def words(cell: str) -> set[str]:
    """What stands in backticks."""
    return set(re.findall(r"`([^`]+)`", cell))


def route_table() -> list[tuple[str, str, str, str, tuple[str, ...]]]:
    """Listener, method, rule, step and who is served, of each row."""
    table = part("## Parties, listeners, routes", "## Routes and bodies")
    found = []
    for listener, route, *rest in (row for row in rows(table) if len(row) == 4 and row[1].startswith("`")):
        method, rule = route.strip("`").split()
        step, served = rest
        found.append((listener, method, rule, step, tuple(served.split(", "))))
    return found


def dictionaries(module: ModuleType, name: str) -> list[ast.Dict]:
    """Every map that is written down in a class's `claims` or `encode`, or in a function, the outermost first."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            inner: list[ast.AST] = [node]
            if isinstance(node, ast.ClassDef):
                makers = {"claims", "encode"}
                inner = [
                    each for each in node.body if isinstance(each, ast.FunctionDef) and each.name in makers
                ]
            found = [each for each in ast.walk(inner[0]) if isinstance(each, ast.Dict) and each.keys]
            if found:
                return found
    raise AssertionError(f"{module.__name__} has no {name}")


def constants(keys: list[ast.expr | None]) -> set[Any]:
    return {key.value for key in keys if isinstance(key, ast.Constant)}


def added_claims(module: ModuleType, name: str) -> set[Any]:
    """Optional claims: `claims["name"] = ...`."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return {
                target.slice.value
                for each in ast.walk(node)
                if isinstance(each, ast.Assign)
                for target in each.targets
                if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant)
            }
    return set()


@pytest.mark.requirement("R03")
def test_the_routes_of_the_document_are_those_that_the_listeners_serve() -> None:
    documented = {(listener, method, rule, served) for listener, method, rule, _, served in route_table()}
    served = {
        (listener, method, rule, tuple(sorted(roles)))
        for listener, app in applications().items()
        if not listener.startswith("CA ")
        for method, rule, roles in routes_of(app)
        if not rule.startswith(ON_EVERY_OPERATOR_LISTENER)
    }
    assert documented == served


@pytest.mark.requirement("R03")
def test_every_step_of_the_drawing_has_a_route_that_exists() -> None:
    known = {(method, rule) for _, method, rule, _, _ in route_table()}
    of_step: dict[int, set[tuple[str, str]]] = {}
    step = -1
    for line in part("## The drawing", "## Parties, listeners, routes").splitlines():
        numbered = re.match(r" +(\d+) +\S", line)
        step = int(numbered[1]) if numbered else step
        for method, rule in _ROUTE.findall(line):
            of_step.setdefault(step, set()).add((method, rule))
    assert list(of_step) == list(STEPS)
    assert set().union(*of_step.values()) <= known
    tabled = {int(step) for _, _, _, step, _ in route_table() if step != "-"}
    assert tabled <= set(STEPS)


@pytest.mark.requirement("R03")
def test_every_route_has_its_bodies_written_down() -> None:
    described = set(_BODY_ROUTE.findall(part("## Routes and bodies", "## Tokens")))
    routes = {(listener.split()[0], method, rule) for listener, method, rule, _, _ in route_table()}
    assert described == routes - ELSEWHERE


@pytest.mark.parametrize("kind", CLAIMS)
def test_claims_are_those_of_the_message(kind: str) -> None:
    headings = [*(f"### Claims: {each}" for each in CLAIMS), "## CBOR messages"]
    begin = headings.index(f"### Claims: {kind}")
    documented = set().union(*(words(row[0]) for row in rows(part(headings[begin], headings[begin + 1]))))
    module, name = CLAIMS[kind]
    claims = constants(dictionaries(module, name)[0].keys) | added_claims(module, name)
    assert documented == claims | {"iss"}


def test_kinds_of_token_are_those_of_the_messages() -> None:
    kinds = {row[0]: words(row[1]) for row in rows(part("## Tokens", "### Claims: connectivity"))}
    assert set(kinds) == set(CLAIMS)
    for kind, (module, _) in CLAIMS.items():
        types = {value.typ for value in vars(module).values() if isinstance(value, TokenKind)}
        assert kinds[kind] == (types or {BY_SUPPLIERS[kind]}), kind


@pytest.mark.parametrize("name", MAPS)
def test_maps_have_the_keys_of_the_message(name: str) -> None:
    text = part("## CBOR messages", "## In the TRE")
    body = re.search(rf"^{name} = {{(.*?)^}}", text, re.MULTILINE | re.DOTALL)
    assert body is not None
    documented = [int(number) for number in re.findall(r"^  (\d+) =>", body[1], re.MULTILINE)]
    module, maker, which = MAPS[name]
    encoded = [constants(each.keys) for each in dictionaries(module, maker)]
    numbered = [keys for keys in encoded if all(isinstance(key, int) for key in keys)]
    assert documented == sorted(numbered[which])


def test_operations_are_those_of_the_tre() -> None:
    table = [row for row in rows(part("## In the TRE", "## Refusals")) if len(row) == 3 and "`" in row[0]]
    documented = {row[0].removeprefix("MMI: ").strip("`"): row for row in table[: len(Operation)]}
    assert list(documented) == [each.value for each in Operation]
    for operation in Operation:
        asked, given = documented[operation][1:]
        assert words(asked) == set(PARAMETERS[operation]), operation
        members = set(RESULTS[operation]) | set(OTHER_RESULTS.get(operation, {}))
        assert words(given) - {"given", "awaited"} == members, operation
        assert documented[operation][0].startswith("MMI: ") == (operation in MMI_OPERATIONS)


def test_outcomes_and_states_are_those_of_the_code() -> None:
    outcomes = part("## In the TRE", "## Refusals").partition("| outcome |")[2].partition("\n\n")[0]
    assert {row[0].strip("`") for row in rows(outcomes)} == OUTCOMES
    states = part(
        "### Order, discovery and registration (steps 0, 5 to 7)",
        "### Validation (steps 8 to 10, and again in 12)",
    )
    documented = {
        state: words(row[1])
        for row in rows(states.partition("| state | next |")[2])
        if len(row) == 2 and row[0].startswith("`")
        for state in words(row[0])
    }
    assert documented == {
        state.value: {after.value for after in following} for state, following in TRANSITIONS.items()
    }
    assert GRANTS_MAX == 3
    assert "three grants at most" in TEXT


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_have_keys_that_exist(name: str) -> None:
    shown = re.search(rf"^```toml\n# {re.escape(name)}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert shown is not None
    assert set(tomllib.loads(shown[1])) <= set(SETTINGS[name].model_fields)


@pytest.mark.parametrize("role", ["VNO", "ICF", "CCIF", "DRF", "SHO", "DPF"])
def test_refusals_are_those_of_the_role(role: str) -> None:
    table = (row for row in rows(part("## Refusals", "## Faults")) if row[0] == role)
    documented = {code: int(status) for _, status, codes in table for code in words(codes)}
    room = importlib.import_module(f"operators.{role.lower()}.refusals")
    assert documented == {code.value: int(rule.status) for code, rule in room.REFUSALS.items()}
    assert set(room.REFUSALS) == set(room.RefusalCode)


def test_refusals_of_the_tre_are_those_of_its_errors() -> None:
    prose = part("## Refusals", "## Faults").partition("In the TRE a refusal")[2]
    kinds = [value for value in vars(errors).values() if isinstance(value, type)]
    raised = {kind.code for kind in kinds if issubclass(kind, errors.TreError)}
    assert words(prose) - {"code"} == raised


def commands() -> list[str]:
    """Commands of an installed device in this document and in docs/CLI.md."""
    return re.findall(
        r"^\$ ((?:m2me|m2me-tre|python -m m2me_agent\.mmi) .+)$", TEXT + COMMANDS_TEXT, re.MULTILINE
    )


@pytest.mark.parametrize("line", commands())
def test_commands_of_a_device_exist_with_their_options(line: str) -> None:
    given = shlex.split(line.replace("python -m m2me_agent.mmi", "mmi"))
    known: dict[str, click.Command] = {"m2me": agent.main, "m2me-tre": tre.main, "mmi": mmi}
    command = known[given[0]]
    rest = given[1:]
    if isinstance(command, click.Group):
        command = command.commands[rest.pop(0)]
    options = {each for parameter in command.params for each in parameter.opts}
    assert {each for each in rest if each.startswith("-")} <= options


@pytest.mark.parametrize(("program", "group"), [("m2me", agent.main), ("python -m m2me_agent.mmi", mmi)])
def test_every_command_of_a_device_is_in_the_document(program: str, group: click.Group) -> None:
    shown = re.findall(rf"^\$ {re.escape(program)} (\S+)", COMMANDS_TEXT, re.MULTILINE)
    assert set(shown) == set(group.commands)


def test_every_purpose_of_an_operators_key_is_in_the_document() -> None:
    (choice,) = (each.type for each in for_operator.params if each.name == "purpose")
    documented = {
        purpose
        for row in rows(COMMANDS_TEXT)
        if len(row) == 3 and row[0].startswith("`")
        for purpose in words(row[1])
    }
    assert isinstance(choice, click.Choice)
    assert set(choice.choices) <= documented
    played = re.findall(r"^\$ pva certificate operator \S+ \S+ --purpose (\S+)", COMMANDS_TEXT, re.MULTILINE)
    assert set(played) == set(choice.choices)
