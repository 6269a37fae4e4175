"""`pva policy`: what is sent, what is shown, and the exit codes."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from edge.problem_document import Problem
from tests.unit.cli.person import Person

DIGEST = "ab" * 32
STATEMENT = {"id": "old", "reason": "too old", "line": 2}
ENTRY: dict[str, Any] = {
    "name": "old",
    "digest": DIGEST,
    "role": "sho",
    "owner": "sho-1",
    "state": "draft",
    "added_at": "2031-01-01T00:00:00Z",
    "changed_at": "2031-01-01T00:00:00Z",
    "changed_by": "sho-1",
    "statements": [STATEMENT],
}
TRIAL: dict[str, Any] = {
    "name": "old",
    "digest": DIGEST,
    "statements": [STATEMENT],
    "judged": 3,
    "without_facts": 1,
    "denied": 2,
    "changed": 1,
    "complete": True,
    "by_statement": {"old": 2},
    "changes": [
        {
            "result_id": "4a" * 16,
            "device_id": "3f" * 32,
            "issued_at": "2031-01-01T00:00:00Z",
            "denied_by": ["old"],
            "reasons": ["too old"],
        }
    ],
}
TEXT = "// ours\nforbid (principal, action, resource);\n"


def person(folder: Path, **given: Any) -> Person:
    paths = {
        "check": ("POST", "/v1/policies/check"),
        "trial": ("POST", "/v1/policies/dry-run"),
        "add": ("POST", "/v1/policies"),
        "activate": ("POST", f"/v1/policies/{DIGEST}/activate"),
        "retire": ("POST", f"/v1/policies/{DIGEST}/retire"),
        "all": ("GET", "/v1/policies"),
        "one": ("GET", f"/v1/policies/{DIGEST}"),
    }
    (folder / "own.cedar").write_text(TEXT)
    return Person(folder=folder, given={paths[name]: answer for name, answer in given.items()})


def test_a_good_policy_is_shown_by_name_and_reason(tmp_path: Path) -> None:
    somebody = person(tmp_path, check={**ENTRY, "faults": []})
    done = somebody.run("policy", "check", str(tmp_path / "own.cedar"))
    assert done.exit_code == 0
    assert done.output.splitlines()[0] == "good"
    assert "old\t2\ttoo old" in done.output
    assert json.loads(somebody.asked[0].body) == {"text": TEXT}


@pytest.mark.negative
def test_faults_are_shown_by_line_and_end_with_1(tmp_path: Path) -> None:
    fault = {"line": 7, "message": "attribute `svm` not found", "remedy": "docs/CLI.md lists them"}
    done = person(tmp_path, check={"faults": [fault]}).run("policy", "check", str(tmp_path / "own.cedar"))
    assert done.exit_code == 1
    assert "7\tattribute `svm` not found\tdocs/CLI.md lists them" in done.output


def test_a_dry_run_says_which_verdicts_and_why(tmp_path: Path) -> None:
    somebody = person(tmp_path, trial=TRIAL)
    file = str(tmp_path / "own.cedar")
    done = somebody.run("policy", "dry-run", file, "--since", "2030-12-24")
    assert done.exit_code == 0
    assert done.output.splitlines()[0] == "1 of 3 verdicts would have changed"
    assert "too old" in done.output
    assert json.loads(somebody.asked[0].body)["since"] == "2030-12-24T00:00:00Z"
    assert f"pva policy activate {DIGEST}" in done.output


def test_a_policy_is_added_activated_listed_shown_and_retired(tmp_path: Path) -> None:
    somebody = person(
        tmp_path,
        add=ENTRY,
        activate={**ENTRY, "state": "active"},
        retire={**ENTRY, "state": "retired"},
        all={"policies": [ENTRY]},
        one={**ENTRY, "text": TEXT},
    )
    file = str(tmp_path / "own.cedar")
    assert somebody.json("policy", "add", file)["outcome"] == "draft"
    assert somebody.json("policy", "activate", DIGEST)["outcome"] == "active"
    assert somebody.json("policy", "retire", DIGEST)["outcome"] == "retired"
    listed = somebody.json("policy", "list")
    assert [each["digest"] for each in listed["policies"]] == [DIGEST]
    assert somebody.json("policy", "show", DIGEST)["text"] == TEXT
    assert (
        "forbid (principal, action, resource);" in somebody.run("policy", "show", DIGEST).output.splitlines()
    )


@pytest.mark.negative
def test_a_refused_step_ends_with_1_and_another_file_is_not_sent(tmp_path: Path) -> None:
    refusal = Problem(
        status=HTTPStatus.CONFLICT,
        type="policy-state",
        title="Conflict",
        detail="it is active, which does not become active",
        subject=f"policy {DIGEST}",
        reason="policy-state",
        remedy="look where it stands: pva policy list",
    )
    somebody = person(tmp_path, activate=refusal)
    assert somebody.run("policy", "activate", DIGEST).exit_code == 1
    (tmp_path / "binary.cedar").write_bytes(b"\xff\xfe")
    assert somebody.run("policy", "add", str(tmp_path / "binary.cedar")).exit_code == 1
    assert [each.path for each in somebody.asked] == [f"/v1/policies/{DIGEST}/activate"]
