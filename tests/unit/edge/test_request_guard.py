"""Limits before the application: size, time, number; and what the application then sees."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from edge.process import configure_logging
from edge.request_guard import GuardLimits, Message, Receive, RequestGuard, Scope, Send


class Exchange:
    """One request, played by hand: messages of the client, answers of the guard."""

    def __init__(self, *messages: Message, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/x",
            "raw_path": b"/x",
            "query_string": b"",
            "headers": list(headers),
        }
        self.messages = list(messages)
        self.sent: list[Message] = []
        self.answered = asyncio.Event()

    async def receive(self) -> Message:
        """Next message of the client; a client without one stays silent."""
        if not self.messages:
            await asyncio.sleep(3600)
        return self.messages.pop(0)

    async def send(self, message: Message) -> None:
        """Keep an answer."""
        self.sent.append(message)
        self.answered.set()

    @property
    def status(self) -> int:
        """Status of the answer."""
        return int(self.sent[0]["status"])

    @property
    def problem(self) -> dict[str, Any]:
        """Its problem document."""
        document: dict[str, Any] = json.loads(b"".join(message.get("body", b"") for message in self.sent))
        return document


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    assert message["more_body"] is False
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"x-lengths", b",".join(lengths))]}
    )
    await send({"type": "http.response.body", "body": message["body"]})


def play(exchange: Exchange, app: Callable[..., Awaitable[None]] = echo, **limits: Any) -> None:
    options = {"body_bytes_max": 10, "requests_max": 2, "body_timeout_s": 0.05} | limits
    guard = RequestGuard(app, listener="test", limits=GuardLimits(**options))
    asyncio.run(guard(exchange.scope, exchange.receive, exchange.send))


def test_the_application_gets_the_whole_body_and_one_true_length() -> None:
    exchange = Exchange(
        part(b"abc", more=True), part(b"def"), headers=((b"transfer-encoding", b"chunked"), (b"a", b"b"))
    )
    play(exchange)
    assert exchange.sent[0]["headers"][0] == (b"x-lengths", b"6")
    assert exchange.sent[1]["body"] == b"abcdef"


def test_a_request_without_body_stays_without_length() -> None:
    exchange = Exchange(part(b""))
    play(exchange)
    assert exchange.sent[0]["headers"][0] == (b"x-lengths", b"")


@pytest.mark.negative
@pytest.mark.parametrize(
    ("messages", "headers"),
    [
        ((part(b"x" * 11),), ((b"content-length", b"11"),)),
        ((part(b"x" * 11),), ()),
        ((part(b"x" * 6, more=True), part(b"x" * 5, more=True), part(b"")), ()),
    ],
)
def test_a_body_over_the_limit_is_refused(
    messages: tuple[Message, ...], headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    exchange = Exchange(*messages, headers=headers)
    play(exchange)
    assert exchange.status == 413
    assert (b"connection", b"close") in exchange.sent[0]["headers"]
    assert "10 bytes" in exchange.problem["detail"]


@pytest.mark.negative
def test_a_body_that_does_not_come_is_given_up() -> None:
    exchange = Exchange(part(b"a", more=True))
    play(exchange)
    assert exchange.status == 408
    assert exchange.problem["reason"] == "timeout"


@pytest.mark.negative
def test_a_client_that_left_is_not_answered() -> None:
    exchange = Exchange(part(b"a", more=True), {"type": "http.disconnect"})
    play(exchange)
    assert exchange.sent == []


@pytest.mark.negative
def test_a_head_over_the_limit_is_refused() -> None:
    exchange = Exchange(part(b""), headers=tuple((b"a", b"b" * 1000) for _ in range(17)))
    play(exchange)
    assert exchange.status == 431


@pytest.mark.negative
def test_requests_past_the_limit_are_sent_away_and_the_others_finish() -> None:
    release = asyncio.Event()

    async def held(scope: Scope, receive: Receive, send: Send) -> None:
        await release.wait()
        await echo(scope, receive, send)

    async def scenario() -> list[Exchange]:
        guard = RequestGuard(held, listener="test", limits=GuardLimits(body_bytes_max=10, requests_max=2))
        exchanges = [Exchange(part(b"a")) for _ in range(3)]
        tasks = [asyncio.ensure_future(guard(one.scope, one.receive, one.send)) for one in exchanges]
        await exchanges[2].answered.wait()
        release.set()
        await asyncio.gather(*tasks)
        return exchanges

    first, second, third = asyncio.run(scenario())
    assert (first.status, second.status, third.status) == (200, 200, 503)
    assert (b"retry-after", b"2") in third.sent[0]["headers"]


@pytest.mark.negative
def test_bodies_of_all_requests_together_are_bounded() -> None:
    async def scenario() -> tuple[Exchange, Exchange, Exchange]:
        limits = GuardLimits(body_bytes_max=10, requests_max=9, body_timeout_s=0.2, buffered_bytes_max=12)
        guard = RequestGuard(echo, listener="test", limits=limits)
        slow, second, third = (
            Exchange(part(b"x" * 8, more=True)),
            Exchange(part(b"y" * 8)),
            Exchange(part(b"z" * 8)),
        )
        reading = asyncio.ensure_future(guard(slow.scope, slow.receive, slow.send))
        await asyncio.sleep(0.01)
        await guard(second.scope, second.receive, second.send)
        await reading
        await guard(third.scope, third.receive, third.send)
        return slow, second, third

    slow, second, third = asyncio.run(scenario())
    assert (slow.status, second.status, third.status) == (408, 503, 200)


def test_a_place_is_free_again_after_a_failure() -> None:
    async def failing(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ZeroDivisionError

    guard = RequestGuard(failing, listener="test", limits=GuardLimits(body_bytes_max=10, requests_max=1))
    for _ in range(3):
        exchange = Exchange(part(b""))
        with pytest.raises(ZeroDivisionError):
            asyncio.run(guard(exchange.scope, exchange.receive, exchange.send))


def test_what_is_not_http_is_ignored() -> None:
    exchange = Exchange()
    exchange.scope["type"] = "websocket"
    play(exchange)
    assert exchange.sent == []


def test_the_log_names_the_route_and_not_the_device(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(role="test")
    exchange = Exchange(part(b""))
    exchange.scope["path"] = f"/v1/devices/{'a' * 64}/reopening"
    exchange.scope["query_string"] = b"secret=1"
    play(exchange)
    said = capsys.readouterr().err
    assert "a" * 64 not in said
    assert "secret" not in said
    line = json.loads(said.splitlines()[-1])
    assert (line["event"], line["route"], line["status"]) == ("request", None, 200)
    assert dict(exchange.sent[0]["headers"])[b"x-request-id"].decode() == line["request_id"]
