"""Somebody at the command, with services that answer from a table: no socket, no TLS file is read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from cli.app import main
from cli.invocation import Invocation
from cli.settings import CliSettings
from edge.http_client import HttpClient, HttpError, HttpResponse, UnreachableError
from edge.problem_document import Problem
from tests.fakes.pki import NOW

SETTINGS = """
ca_url = "https://ca.example.net:8443"
pva_url = "https://pva.example.net:8443"
tls_root = "tls-root.pem"
certificate = "me.pem"
key = "keys/me.key"
passphrase_file = "keys/passphrase"
"""
Given = Mapping[tuple[str, str], Any]
"""What each (method, path) answers: a value for JSON, a Problem for a refusal, UnreachableError's class for silence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that would have been sent."""

    host: str
    method: str
    path: str
    body: bytes
    content_type: str


class TableHttp(HttpClient):
    """An HttpClient that looks its answers up."""

    def __init__(self, url: str, given: Given, asked: list[Asked]) -> None:
        """Connect to nothing."""
        self.base_url = url.rstrip("/")
        self._given, self._asked = given, asked

    def get(
        self,
        path: str,
        *,
        accept: str = "*/*",  # noqa: ARG002 - the parent's signature
        headers: Mapping[str, str] | None = None,  # noqa: ARG002 - the parent's signature
    ) -> HttpResponse:
        return self._answer("GET", path, b"", "")

    def post(
        self,
        path: str,
        body: bytes,
        *,
        content_type: str,
        accept: str = "*/*",  # noqa: ARG002 - the parent's signature
        headers: Mapping[str, str] | None = None,  # noqa: ARG002 - the parent's signature
    ) -> HttpResponse:
        return self._answer("POST", path, body, content_type)

    def _answer(self, method: str, path: str, body: bytes, content_type: str) -> HttpResponse:
        self._asked.append(
            Asked(host=self.base_url, method=method, path=path, body=body, content_type=content_type)
        )
        answer = self._given[method, path]
        if answer is UnreachableError:
            raise UnreachableError(self.base_url + path, reason="Connection refused")
        if isinstance(answer, Problem):
            raise HttpError(self.base_url + path, status=answer.status, problem=answer)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        return HttpResponse(status=HTTPStatus.OK, content_type="application/json", body=content, headers={})


@dataclass(slots=True, kw_only=True)
class Person:
    """Runs `pva` with settings in `folder` and services that answer as `given`."""

    folder: Path
    given: Given = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    settings: str = SETTINGS

    def run(self, *words: str, environment: Mapping[str, str] | None = None) -> Result:
        """Run the command."""
        file = self.folder / "cli.toml"
        file.write_text(self.settings)
        named = {"PVA_CLI_CONFIG": str(file)} if environment is None else environment
        invocation = Invocation(
            clock=lambda: NOW, random_bytes=lambda count: b"\x07" * count, connect=self._connection()
        )
        return CliRunner().invoke(main, list(words), env=dict(named), prog_name="pva", obj=invocation)

    def json(self, *words: str) -> dict[str, Any]:
        """Run the command and read its JSON."""
        answer: dict[str, Any] = json.loads(self.run(*words, "-o", "json").stdout)
        return answer

    def _connection(self) -> Callable[[str, CliSettings], HttpClient]:
        return lambda url, _settings: TableHttp(url, self.given, self.asked)
