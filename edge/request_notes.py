"""What is known of a request once it is answered: which route, which caller, which refusal.

The one rule: a note is a word of ours (a route's template, a role, a tenant, a problem's type), never something that
the request brought; so notes may stand in logs and, but for the tenant, as labels of metrics.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import has_request_context, request

NOTES = "pva.notes"
"""Scope key of a request's notes; no client can write it."""


@dataclass(slots=True)
class RequestNotes:
    """`route` is the template that matched, `role` and `tenant` those of an admitted principal, `problem` a type."""

    route: str | None = None
    role: str | None = None
    tenant: str | None = None
    problem: str | None = None


def notes_in(scope: Mapping[str, Any]) -> RequestNotes:
    """The notes of an ASGI scope; fresh ones, which nobody reads, where the guard made none."""
    found = scope.get(NOTES)
    return found if isinstance(found, RequestNotes) else RequestNotes()


def request_notes() -> RequestNotes:
    """The notes of the request that Flask is answering."""
    scope = request.environ.get("asgi.scope") if has_request_context() else None
    return notes_in(scope or {})
