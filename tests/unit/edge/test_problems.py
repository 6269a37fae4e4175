"""Problem documents: what a caller sees of an exception, and what never leaves."""

import json

import pytest
from flask import Flask, abort

from edge.problem_document import Problem, ProblemError
from edge.problems import problem_of, register_problems


class RoomError(Exception):
    """Base of a room's errors."""


class NarrowError(RoomError):
    """With everything that a refusal carries."""

    def __init__(self) -> None:
        """Set the three."""
        self.subject, self.reason, self.remedy = "device d1", "not-in-batch", "ask the supplier"
        super().__init__("device d1 is in no batch")


def test_the_nearest_row_of_the_table_counts() -> None:
    problem = problem_of(NarrowError(), {RoomError: (400, "room"), NarrowError: (403, "not-in-batch")})
    assert problem == Problem(
        status=403,
        type="not-in-batch",
        title="Forbidden",
        detail="device d1 is in no batch",
        subject="device d1",
        reason="not-in-batch",
        remedy="ask the supplier",
    )
    assert problem_of(NarrowError(), {RoomError: (400, "room")}).type == "room"


def test_a_document_is_rfc_9457_and_reads_back() -> None:
    problem = Problem(status=409, type="nonce-reused", title="Conflict", detail="d", remedy="r")
    document = json.loads(problem.encode())
    assert document == {
        "status": 409,
        "type": "urn:pva:problem:nonce-reused",
        "title": "Conflict",
        "detail": "d",
        "remedy": "r",
    }
    assert Problem.decode(problem.encode()) == problem


@pytest.mark.negative
@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"status": "x"}', b"\xff", b"[" * 100_000, b"1"])
def test_what_is_no_problem_document_is_none(data: bytes) -> None:
    assert Problem.decode(data) is None


def test_every_exception_is_answered_and_the_unforeseen_says_nothing() -> None:
    app = Flask("room")
    seen: list[int] = []

    @app.get("/<kind>")
    def view(kind: str) -> str:
        if kind == "room":
            raise NarrowError
        if kind == "own":
            raise ProblemError(Problem(status=404, type="no-validation-pending", title="Not Found"))
        if kind == "gone":
            abort(410)
        raise RuntimeError("secret inside")

    register_problems(app, {RoomError: (403, "room")}, on_refusal=lambda problem: seen.append(problem.status))
    client = app.test_client()
    answers = {kind: client.get(f"/{kind}") for kind in ("room", "own", "gone", "bug")}
    assert {kind: answer.status_code for kind, answer in answers.items()} == {
        "room": 403,
        "own": 404,
        "gone": 410,
        "bug": 500,
    }
    assert {answer.content_type for answer in answers.values()} == {"application/problem+json"}
    assert {answer.headers["Cache-Control"] for answer in answers.values()} == {"no-store"}
    assert b"secret" not in answers["bug"].data
    wrong = client.post("/room")
    assert wrong.status_code == 405
    assert "GET" in wrong.headers["Allow"]
    assert seen == [403, 404, 410, 405]


@pytest.mark.negative
def test_a_path_that_is_almost_right_is_a_problem_and_no_redirect() -> None:
    app = Flask("room", static_folder=None)

    @app.post("/v1/evidence")
    def take() -> str:
        return "taken"

    register_problems(app, {})
    answer = app.test_client().post("/v1//evidence", headers={"Host": "elsewhere.example"})
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
    assert "Location" not in answer.headers
    assert app.test_client().post("/v1/evidence").data == b"taken"
