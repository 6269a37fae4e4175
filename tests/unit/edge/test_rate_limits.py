"""A caller who asks too often waits, and nobody else does."""

import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from flask import Flask

from edge.http_protocol import PEER_CERTIFICATE
from edge.principals import PrincipalTable, enforce_access, public, require
from edge.problem_document import Problem, ProblemError
from edge.problems import register_problems
from edge.rate_limits import CALLERS_MAX, Rate, RateLimit, limit_addresses
from tests.contract.certificates import Certificates


class Milliseconds:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def refused(limit: RateLimit, caller: str) -> int | None:
    try:
        limit.spend(caller)
    except ProblemError as error:
        return error.retry_after_s
    return None


@pytest.mark.negative
def test_a_burst_then_a_rate() -> None:
    clock = Milliseconds()
    limit = RateLimit(Rate(per_s=0.5, burst=3), milliseconds=clock)
    assert [refused(limit, "a") for _ in range(4)] == [None, None, None, 2]
    assert refused(limit, "b") is None
    clock.now = 1_000
    assert refused(limit, "a") == 1
    clock.now = 2_000
    assert [refused(limit, "a"), refused(limit, "a")] == [None, 2]
    clock.now = 1e9
    assert [refused(limit, "a") for _ in range(4)] == [None, None, None, 2]


def test_whoever_is_forgotten_had_a_full_bucket_or_gets_one() -> None:
    clock = Milliseconds()
    limit = RateLimit(Rate(per_s=1, burst=1), milliseconds=clock)
    assert refused(limit, "first") is None
    for number in range(CALLERS_MAX):
        assert refused(limit, str(number)) is None
    assert refused(limit, str(CALLERS_MAX - 1)) == 1
    assert refused(limit, "first") is None


@pytest.mark.negative
def test_a_principal_is_told_how_long_and_goes_on_no_record(tmp_path_factory: pytest.TempPathFactory) -> None:
    certificates = Certificates(tmp_path_factory.mktemp("rates"))
    clients = {name: certificates.client(name) for name in ("one", "two")}
    certificates.register({name: ("admin", client) for name, client in clients.items()})
    clock, recorded = Milliseconds(), list[Problem]()
    table = PrincipalTable.load(
        certificates.folder / "principals.json",
        anchors=certificates.folder / "anchors.pem",
        limit=RateLimit(Rate(per_s=1, burst=2), milliseconds=clock),
    )
    app = Flask("test", static_folder=None)
    app.add_url_rule("/who", "who", require("admin")(lambda: "you"))
    register_problems(app, {}, on_refusal=recorded.append)
    enforce_access(app, principals=table)

    def ask(name: str) -> tuple[int, str | None]:
        environ = {PEER_CERTIFICATE: clients[name].public_bytes(Encoding.DER)}
        answer = app.test_client().get("/who", environ_overrides=environ)
        if answer.status_code == 429:
            assert json.loads(answer.data)["type"] == "urn:pva:problem:rate-exceeded"
        return answer.status_code, answer.headers.get("Retry-After")

    assert [ask("one") for _ in range(3)] == [(200, None), (200, None), (429, "1")]
    assert ask("two") == (200, None)
    clock.now = 1_000
    assert ask("one") == (200, None)
    assert recorded == []


@pytest.mark.negative
def test_an_address_may_read_as_it_likes_and_send_within_the_limit() -> None:
    app = Flask("test", static_folder=None)
    app.add_url_rule("/orders", "orders", public(lambda: "done"), methods=["GET", "POST"])
    register_problems(app, {})
    enforce_access(app)
    limit_addresses(app, Rate(per_s=1, burst=1), milliseconds=Milliseconds())

    def ask(method: str, address: str) -> int:
        return (
            app.test_client()
            .open("/orders", method=method, environ_base={"REMOTE_ADDR": address})
            .status_code
        )

    assert [ask("GET", "192.0.2.1") for _ in range(3)] == [200, 200, 200]
    assert [ask("POST", "192.0.2.1"), ask("POST", "192.0.2.1"), ask("POST", "192.0.2.2")] == [200, 429, 200]
    assert [ask("POST", "2001:db8::1"), ask("POST", "2001:db8::2"), ask("POST", "2001:db8:0:1::1")] == [
        200,
        429,
        200,
    ]
