"""`pva result explain`: what a person reads, what a program reads, and the exit codes."""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from edge.http_client import UnreachableError
from edge.problem_document import Problem
from tests.unit.cli.person import Person

RESULT, REQUEST, DEVICE = "4a" * 16, "5b" * 16, "3f" * 32
PATH = f"/v1/results/{RESULT}/explanation"
FINDING = {
    "scope": "platform",
    "code": "kernel-mismatch",
    "subject": "kernel '/boot/vmlinuz-6.1.9' in PCR 9 of bank sha256",
    "reason": "the kernel that ran is not the approved one",
    "remedy": "restore the release that the manifest describes",
    "expected": "aa" * 32,
    "measured": "bb" * 32,
    "event": "position 0: event 20, EV_IPL /boot/vmlinuz-6.1.9; expected '/boot/vmlinuz-6.1.12'",
    "cause": {"register": 9, "number": 20, "type": "EV_IPL", "description": "/boot/vmlinuz-6.1.9"},
    "claim": "executables",
    "value": 96,
}
ANSWER: dict[str, Any] = {
    "request_id": REQUEST,
    "device_id": DEVICE,
    "purpose": "validation",
    "state": "completed",
    "result_id": RESULT,
    "status": "contraindicated",
    "issued_at": "2031-01-01T00:00:00Z",
    "expires_at": "2031-01-01T00:05:00Z",
    "policy_digest": "cc" * 32,
    "evidence_digest": "dd" * 32,
    "manifest": {"id": "release-1.4", "svn": 4, "digest": "ee" * 32},
    "evidence_kept": True,
    "scopes": [
        {
            "scope": "platform",
            "status": "contraindicated",
            "trustworthiness_vector": {"executables": 96},
            "policy_ids": ["ni:///sha-256;x"],
        }
    ],
    "findings": [FINDING],
    "nearest": {
        "manifest": {"id": "release-1.4", "svn": 4, "version": "1.4"},
        "name": "release 1.4 (svn 4)",
        "sentence": "release 1.4 (svn 4) with kernel 6.1.9 in place of 6.1.12",
        "explained": 27,
        "measurements": 28,
        "differences": [],
        "more": 0,
    },
    "refusals": [],
}
REFUSED = {
    "at": "2031-01-01T00:00:00Z",
    "code": "pfc-revoked",
    "subject": "Platform Credential 1f",
    "reason": "it was revoked, reason keyCompromise",
    "remedy": "enrol the device again",
    "authenticated": False,
}
PENDING = {
    "request_id": REQUEST,
    "device_id": DEVICE,
    "purpose": "validation",
    "state": "pending",
    "refusals": [REFUSED],
}


def person(folder: Path, answer: Any) -> Person:
    return Person(folder=folder, given={("GET", PATH): answer})


@pytest.mark.requirement("R69")
def test_a_person_reads_what_is_wrong_where_and_what_to_do(tmp_path: Path) -> None:
    done = person(tmp_path, ANSWER).run("result", "explain", RESULT)
    assert done.exit_code == 3
    lines = done.output.splitlines()
    assert lines[0] == "contraindicated"
    assert "release 1.4 (svn 4) with kernel 6.1.9 in place of 6.1.12" in done.output
    assert "27 of 28" in done.output
    assert "1. kernel-mismatch, in scope platform" in lines
    assert "   event     PCR 9, event 20, EV_IPL: /boot/vmlinuz-6.1.9" in lines
    assert f"   expected  {'aa' * 32}" in lines
    assert f"   measured  {'bb' * 32}" in lines
    assert "   to do     restore the release that the manifest describes" in lines
    assert all(len(line) <= 100 for line in lines)


def test_a_program_reads_the_whole_answer(tmp_path: Path) -> None:
    done = person(tmp_path, ANSWER).run("-o", "json", "result", "explain", RESULT)
    assert done.exit_code == 3
    told = json.loads(done.output)
    assert told["outcome"] == "contraindicated"
    assert (told["findings"], told["nearest"]) == ([FINDING], ANSWER["nearest"])


def test_an_affirming_result_ends_with_0(tmp_path: Path) -> None:
    scope = {**ANSWER["scopes"][0], "status": "affirming", "trustworthiness_vector": {"executables": 3}}
    done = person(tmp_path, {**ANSWER, "status": "affirming", "scopes": [scope], "findings": []}).run(
        "result", "explain", RESULT
    )
    assert done.exit_code == 0
    assert "platform  affirming (executables 3)" in done.output
    assert "next:" not in done.output


def test_refused_tries_are_explained_and_end_with_1(tmp_path: Path) -> None:
    done = person(tmp_path, PENDING).run("result", "explain", RESULT)
    assert done.exit_code == 1
    assert "1. try of 2031-01-01T00:00:00Z was refused: pfc-revoked" in done.output
    assert "   to do     enrol the device again" in done.output


def test_deleted_evidence_is_said(tmp_path: Path) -> None:
    answer = {name: value for name, value in ANSWER.items() if name != "nearest"}
    deleted = person(tmp_path, {**answer, "evidence_kept": False}).run("result", "explain", RESULT)
    assert "the evidence has been deleted" in deleted.output


@pytest.mark.negative
def test_what_a_log_says_moves_no_terminal(tmp_path: Path) -> None:
    """The service escapes such text; a client that met another service refuses it."""
    done = person(tmp_path, {**ANSWER, "findings": [{**FINDING, "subject": "x\x1b[2J"}]}).run(
        "result", "explain", RESULT
    )
    assert done.exit_code == 1
    assert "\x1b" not in done.output


@pytest.mark.negative
def test_a_foreign_result_is_refused_and_silence_is_told_apart(tmp_path: Path) -> None:
    problem = Problem(
        status=HTTPStatus.NOT_FOUND,
        type="not-found",
        title="Not Found",
        detail="no result and no validation with this id belongs to the caller",
        subject="result",
        reason="not-found",
        remedy="check the id",
    )
    assert person(tmp_path, problem).run("result", "explain", RESULT).exit_code == 1
    assert person(tmp_path, UnreachableError).run("result", "explain", RESULT).exit_code == 4


def test_a_result_is_fetched_into_a_new_file(tmp_path: Path) -> None:
    given = {("GET", f"/v1/results/{RESULT}?profile=deployed"): {"result": "a.b.c", "profile": "deployed"}}
    somebody = Person(folder=tmp_path, given=given)
    out = tmp_path / "result.jwt"
    words = ("result", "fetch", RESULT, "--profile", "deployed", "--out", str(out))
    assert somebody.run(*words).exit_code == 0
    assert out.read_text() == "a.b.c"
    assert somebody.run(*words).exit_code == 2
    assert somebody.run("result", "fetch", RESULT, "--profile", "saml", "--out", str(out)).exit_code == 2
