"""Every failure has words, a remedy and an exit code."""

import tracemalloc
from pathlib import Path

import pytest

from cli.failures import REPORTED, CliError, Failure, explain, refused
from cli.files import read_file
from clients.administrators import AdministratorAnswerError
from clients.audit_log import AuditLogAnswerError
from clients.ca import CaAnswerError
from clients.pva import PvaAnswerError
from edge.http_client import HttpError, UnreachableError
from edge.keys import KeyFileError
from edge.problem_document import Problem
from edge.settings import SettingsError

URL = "https://ca.example.net/v1/x"
PROBLEM = Problem(
    status=409,
    type="conflict",
    title="Conflict",
    detail="d",
    subject="s",
    reason="exists-already",
    remedy="r",
)
BARE = Problem(status=400, type="bad-request", title="Bad Request")

CASES: list[tuple[Exception, Failure]] = [
    (
        HttpError(URL, status=409, problem=PROBLEM),
        Failure(code="exists-already", subject="s", reason="d", remedy="r"),
    ),
    (
        SettingsError(source="cli.toml", faults=("ca_ulr: is not a setting", "key: is missing")),
        Failure(
            code="settings",
            subject="settings from cli.toml",
            reason="ca_ulr: is not a setting; key: is missing",
            remedy="correct the file; docs/CLI.md lists its keys",
        ),
    ),
    (
        KeyFileError(Path("k"), reason="has mode 0644, expected 0600", remedy="chmod 600 k"),
        Failure(code="key-file", subject="k", reason="has mode 0644, expected 0600", remedy="chmod 600 k"),
    ),
    (
        refused("c", subject="s", reason="w", remedy="r"),
        Failure(code="c", subject="s", reason="w", remedy="r"),
    ),
]


@pytest.mark.negative
@pytest.mark.parametrize(("error", "failure"), CASES, ids=lambda each: type(each).__name__)
def test_failures_say_whom_why_and_what_to_do(error: Exception, failure: Failure) -> None:
    assert explain(error) == failure
    assert failure.exit_code == 1


@pytest.mark.negative
def test_who_is_not_reached_ends_with_4() -> None:
    failure = explain(UnreachableError(URL, reason="Connection refused"))
    assert (failure.code, failure.subject, failure.exit_code) == ("unreachable", URL, 4)


@pytest.mark.negative
@pytest.mark.parametrize(
    "error",
    [
        HttpError(URL, status=502, problem=None),
        HttpError(URL, status=400, problem=BARE),
        CaAnswerError("/v1/x", "no JSON"),
        PvaAnswerError("suppliers", "an array", "null"),
        AuditLogAnswerError("leaf", "a map", "null"),
        AdministratorAnswerError("state: is missing"),
    ],
    ids=["no problem document", "a bare one", "CA", "PVA", "log", "administrators"],
)
def test_a_service_that_says_little_still_gives_a_whole_report(error: Exception) -> None:
    failure = explain(error)
    assert all((failure.code, failure.subject, failure.reason, failure.remedy))
    assert failure.exit_code == 1


def test_every_error_that_is_caught_has_words() -> None:
    bare = {UnreachableError, CaAnswerError, PvaAnswerError, AuditLogAnswerError, AdministratorAnswerError}
    told = {type(error) for error, _ in CASES} | bare
    assert told == set(REPORTED)


@pytest.mark.negative
def test_a_file_of_50_mb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "boot.log"
    with path.open("wb") as log:
        log.truncate(50 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(CliError, match="larger than"):
            read_file(path, bytes_max=1 << 22)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
