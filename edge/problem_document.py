"""The problem document of RFC 9457 as a value, free of any web framework: devices read it too.

The one rule: every refusal carries subject, reason and remedy, and never a secret or a received value.
"""

import json
from dataclasses import asdict, dataclass

import pydantic

CONTENT_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:pva:problem:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One refusal (RFC 9457 section 3.1), with the three things that every refusal here carries.

    `type` is the short name, written as `urn:pva:problem:<type>`; `subject` whom or what it is about,
    `reason` a stable word for programs, `remedy` what the caller can do next. Extra members of a
    received document are not kept.
    """

    status: int
    type: str
    title: str
    detail: str = ""
    subject: str = ""
    reason: str = ""
    remedy: str = ""

    def encode(self) -> bytes:
        """The problem document; empty members are left out."""
        members = {name: value for name, value in asdict(self).items() if value != ""}
        members["type"] = TYPE_PREFIX + self.type
        return json.dumps(members, ensure_ascii=False).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Problem | None":
        """Read a problem document from elsewhere; None when it is none."""
        try:
            members = json.loads(data)
        except (ValueError, RecursionError):
            return None
        if not isinstance(members, dict) or not isinstance(members.get("status"), int):
            return None
        texts = {
            name: str(members.get(name, ""))
            for name in ("type", "title", "detail", "subject", "reason", "remedy")
        }
        texts["type"] = texts["type"].removeprefix(TYPE_PREFIX)
        return cls(status=members["status"], **texts)


class ProblemError(Exception):
    """A refusal that is a problem document from the start (web layer only); `retry_after_s` where nothing but time helps."""

    def __init__(self, problem: Problem, *, retry_after_s: int | None = None) -> None:
        """Keep both."""
        self.problem = problem
        self.retry_after_s = retry_after_s
        super().__init__(problem.detail or problem.title)


def invalid_body(error: pydantic.ValidationError) -> Problem:
    """422 that names each member at fault and what was expected, without repeating values."""
    return Problem(
        status=422,
        type="invalid-body",
        title="Unprocessable Content",
        detail=_faults(error),
        subject="body",
        reason="schema",
        remedy="correct the members named and send it again",
    )


def invalid_query(error: pydantic.ValidationError) -> Problem:
    """400 that names each parameter of the query at fault."""
    return Problem(
        status=400,
        type="invalid-query",
        title="Bad Request",
        detail=_faults(error),
        subject="query",
        reason="query",
        remedy="correct the parameters named and send it again",
    )


def body_too_large(bytes_max: int) -> Problem:
    """413 that names the limit."""
    return Problem(
        status=413,
        type="body-too-large",
        title="Content Too Large",
        detail=f"the body may have at most {bytes_max} bytes",
        subject="body",
        reason="size",
        remedy="send less",
    )


def _faults(error: pydantic.ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False, include_context=False)
    )
