"""A request that its caller names is answered once, whatever comes between: on SQLite and PostgreSQL, and over the PVA's routes."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask
from pydantic import BaseModel
from werkzeug.test import TestResponse

from edge.database_faults import DatabaseUnavailableError
from edge.http_protocol import PEER_CERTIFICATE
from edge.idempotency import KEPT, SqlAnswers, keep_answers, repeatable
from edge.operations import AnswerModel, Told, answers, takes
from edge.principals import PrincipalTable, enforce_access, require
from edge.problem_document import Problem, ProblemError
from edge.problems import register_problems
from pva.store.tables import kept_answers
from tests.contract.certificates import Certificates
from tests.contract.test_pva_store import migrated
from tests.contract.test_pva_web import Service, wish
from tests.fakes.pki import NOW

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"


class Wish(BaseModel):
    """What is wished for."""

    name: str


class Made(AnswerModel):
    """What was made."""

    number: int


class Maker:
    """A listener that counts what it makes, with clients of two tenants."""

    def __init__(self, folder: Path, store: SqlAnswers) -> None:
        certificates = Certificates(folder)
        clients = {name: certificates.client(name) for name in ("one", "colleague", "other")}
        certificates.register(
            {name: ("sho", client) for name, client in clients.items()}, tenants={"other": "another"}
        )
        self.peers = {name: client.public_bytes(Encoding.DER) for name, client in clients.items()}
        self.made = 0
        self.now = NOW
        self.fault: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.inside = threading.Event()
        self.app = Flask("test", static_folder=None)
        for path in ("/v1/things", "/v1/others"):
            self.app.add_url_rule(path, path, self.view(), methods=["POST"])
        keep_answers(self.app, store, clock=lambda: self.now)
        register_problems(self.app, {})
        table = PrincipalTable.load(folder / "principals.json", anchors=folder / "anchors.pem")
        enforce_access(self.app, principals=table)

    def view(self) -> Any:
        @require("sho")
        @repeatable
        @takes(Wish)
        @answers(Made)
        def make(body: Wish) -> Told:
            """Make a thing."""
            assert body.name
            self.inside.set()
            assert self.gate.wait(timeout=20)
            if self.fault is not None:
                raise self.fault
            self.made += 1
            return {"number": self.made}

        return make

    def ask(
        self, name: str = "one", *, key: str | None = KEY, thing: str = "a", path: str = "/v1/things"
    ) -> TestResponse:
        headers = {} if key is None else {"Idempotency-Key": key}
        environ = {PEER_CERTIFICATE: self.peers[name]}
        client = self.app.test_client()
        return client.post(path, json={"name": thing}, headers=headers, environ_overrides=environ)


@pytest.fixture(params=["sqlite", "postgresql"])
def maker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Maker]:
    engine = migrated(request, request.param)
    yield Maker(tmp_path, SqlAnswers(engine, kept_answers))
    engine.dispose()


def kind(response: TestResponse) -> str:
    return str(response.get_json()["reason"])


def test_the_same_request_gets_the_first_answer_for_a_day(maker: Maker) -> None:
    first, again = maker.ask(), maker.ask("colleague", key=f'"{KEY}"')
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.get_json() == again.get_json() == {"number": 1}
    maker.now += KEPT - timedelta(seconds=1)
    assert maker.ask().get_json() == {"number": 1}
    maker.now += timedelta(seconds=1)
    assert maker.ask().get_json() == {"number": 2}
    assert maker.ask(key=None).get_json() == {"number": 3}


@pytest.mark.negative
def test_another_request_under_the_key_is_refused(maker: Maker) -> None:
    maker.ask()
    refused = maker.ask(thing="b")
    assert (refused.status_code, kind(refused)) == (422, "idempotency-key-reused")
    assert maker.made == 1


def test_a_key_belongs_to_its_tenant_and_route(maker: Maker) -> None:
    assert maker.ask().get_json() == {"number": 1}
    assert maker.ask("other", thing="b").get_json() == {"number": 2}
    assert maker.ask(path="/v1/others", thing="c").get_json() == {"number": 3}


@pytest.mark.negative
@pytest.mark.parametrize("key", ["", "short", "x" * 129, "with a space in it..."])
def test_a_malformed_key_is_refused(maker: Maker, key: str) -> None:
    refused = maker.ask(key=key)
    assert (refused.status_code, kind(refused)) == (400, "idempotency-key-invalid")
    assert maker.made == 0


def test_a_refusal_gives_the_key_back(maker: Maker) -> None:
    maker.fault = ProblemError(Problem(status=409, type="not-now", title="Conflict"))
    assert maker.ask().status_code == 409
    maker.fault = None
    assert maker.ask(thing="b").get_json() == {"number": 1}


@pytest.mark.negative
def test_what_may_stand_is_not_made_again(maker: Maker) -> None:
    maker.fault = DatabaseUnavailableError()
    assert maker.ask().status_code == 503
    maker.fault = None
    refused = maker.ask()
    assert (refused.status_code, kind(refused)) == (409, "idempotency-key-in-use")
    assert maker.made == 0


@pytest.mark.negative
def test_of_two_at_once_one_runs(maker: Maker) -> None:
    maker.gate.clear()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(maker.ask)
        assert maker.inside.wait(timeout=20)
        second = maker.ask()
        maker.gate.set()
        assert first.result().get_json() == {"number": 1}
    assert (second.status_code, kind(second)) == (409, "idempotency-key-in-use")
    assert maker.ask().get_json() == {"number": 1}


def test_a_validation_that_is_asked_for_again_is_the_same(tmp_path: Path) -> None:
    service = Service(tmp_path)
    headers = {"Idempotency-Key": KEY}
    first, again = (
        service.call("sho", "POST", "/v1/validations", json=wish(service), headers=headers) for _ in range(2)
    )
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.get_json() == again.get_json()
    assert len(service.world.store.requests) == 1
    # without the key the nonce was used before
    assert service.call("sho", "POST", "/v1/validations", json=wish(service)).status_code == 409
