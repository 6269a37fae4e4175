"""Whatever can go wrong in a command, as one report for people and programs: code, subject, reason, remedy.

Rule: every failure that a user can meet has a remedy and an exit code (D19: 1 refused or failed, 3 a verdict that is
not affirming, 4 not reached; 2, wrong usage, is click's).
"""

from dataclasses import dataclass
from typing import Final

from clients.administrators import AdministratorAnswerError
from clients.audit_log import AuditLogAnswerError
from clients.ca import CaAnswerError
from clients.pva import PvaAnswerError
from edge.http_client import HttpError, UnreachableError
from edge.keys import KeyFileError
from edge.settings import SettingsError

EXIT_FAILED: Final = 1
EXIT_NEGATIVE: Final = 3
EXIT_UNREACHABLE: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What a person reads when a command did not do what it should."""

    code: str
    subject: str
    reason: str
    remedy: str
    exit_code: int = EXIT_FAILED


class CliError(Exception):
    """A command cannot go on; carries its own report."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.subject}: {failure.reason} ({failure.remedy})")
        self.failure = failure


REPORTED: Final = (
    CliError,
    HttpError,
    UnreachableError,
    CaAnswerError,
    PvaAnswerError,
    AuditLogAnswerError,
    AdministratorAnswerError,
    SettingsError,
    KeyFileError,
)
"""Errors that `explain` has words for; any other is a defect of this program."""


def refused(code: str, *, subject: str, reason: str, remedy: str) -> CliError:
    """A refusal that the command itself decides on."""
    return CliError(Failure(code=code, subject=subject, reason=reason, remedy=remedy))


def explain(error: Exception) -> Failure:
    """The report of one of `REPORTED`."""
    match error:
        case CliError():
            return error.failure
        case HttpError():
            return _refused_by_service(error)
        case UnreachableError():
            return Failure(
                code="unreachable",
                subject=error.url,
                reason=error.reason,
                remedy="check that the service runs, and ca_url, pva_url, tls_root and certificate in the settings",
                exit_code=EXIT_UNREACHABLE,
            )
        case SettingsError():
            return Failure(
                code="settings",
                subject=f"settings from {error.source}",
                reason="; ".join(error.faults),
                remedy="correct the file; docs/CLI.md lists its keys",
            )
        case KeyFileError():
            return Failure(code="key-file", subject=str(error.path), reason=error.reason, remedy=error.remedy)
        case _:
            return Failure(
                code="answer",
                subject="answer of the service",
                reason=str(error),
                remedy="check that ca_url and pva_url name operator listeners of this project, of the same version",
            )


def _refused_by_service(error: HttpError) -> Failure:
    problem = error.problem
    if problem is None:
        return Failure(
            code=f"http-{error.status}",
            subject=error.url,
            reason=f"answered {error.status} without saying why",
            remedy="check the URL in the settings: is it the operator listener?",
        )
    return Failure(
        code=problem.reason or problem.type,
        subject=problem.subject or error.url,
        reason=problem.detail or problem.title,
        remedy=problem.remedy or "ask whoever runs the service; its log has the cause",
    )
