"""The bridge to WSGI: the environment that an application sees, and the one answer that it gives."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars, get_contextvars

from edge.wsgi_bridge import Environ, WsgiApp, WsgiBridge

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/v1/\N{LATIN SMALL LETTER E WITH ACUTE}",
    "raw_path": b"/v1/%C3%A9",
    "query_string": b"a=1",
    "http_version": "1.1",
    "scheme": "https",
    "server": ("127.0.0.1", 8443),
    "client": ("127.0.0.9", 1234),
    "headers": [
        (b"content-type", b"text/plain"),
        (b"content-length", b"4"),
        (b"x-twice", b"1"),
        (b"x-twice", b"2"),
        (b"pva.peer_certificate", b"forged"),
    ],
}


def played(app: WsgiApp, *messages: dict[str, Any]) -> list[Any]:
    """What the bridge sends for a request of these messages."""
    sent: list[Any] = []
    given = iter(messages or ({"type": "http.request", "body": b"ping", "more_body": False},))

    async def receive() -> Any:
        return next(given)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(WsgiBridge(app, workers=1)(SCOPE, receive, send))
    return sent


def test_an_application_sees_the_request_and_answers_in_two_messages() -> None:
    seen: Environ = {}

    def app(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        seen.update(environ, read=environ["wsgi.input"].read())
        start_response("201 Created", [("X-Made", "y")])
        return [b"po", b"ng"]

    assert played(app) == [
        {"type": "http.response.start", "status": 201, "headers": [(b"x-made", b"y")]},
        {"type": "http.response.body", "body": b"pong"},
    ]
    assert seen["read"] == b"ping"
    assert (seen["REQUEST_METHOD"], seen["QUERY_STRING"], seen["wsgi.url_scheme"]) == (
        "POST",
        "a=1",
        "https",
    )
    assert seen["PATH_INFO"].encode("latin1").decode() == SCOPE["path"]
    assert (seen["CONTENT_TYPE"], seen["CONTENT_LENGTH"], seen["HTTP_X_TWICE"]) == ("text/plain", "4", "1,2")
    assert (seen["REMOTE_ADDR"], seen["REMOTE_PORT"], seen["SERVER_PORT"]) == ("127.0.0.9", "1234", "8443")
    # what a client names becomes HTTP_..., never a key of ours
    assert seen["HTTP_PVA.PEER_CERTIFICATE"] == "forged"
    assert "pva.peer_certificate" not in seen


def test_the_worker_has_the_context_of_the_request() -> None:
    def app(_environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [str(get_contextvars()["request_id"]).encode()]

    with bound_contextvars(request_id="r-1"):
        assert played(app)[1]["body"] == b"r-1"


def test_an_answer_is_closed_also_when_it_fails() -> None:
    closed: list[bool] = []

    class Parts:
        def __iter__(self) -> Iterator[bytes]:
            raise RuntimeError("cut")

        def close(self) -> None:
            closed.append(True)

    def app(_environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Parts()

    with pytest.raises(RuntimeError, match="cut"):
        played(app)
    assert closed == [True]


def test_a_body_in_parts_is_refused() -> None:
    def app(_environ: Environ, _start_response: Callable[..., Any]) -> Iterable[bytes]:
        raise AssertionError("an application must not see half a request")

    with pytest.raises(ValueError, match="whole body"):
        played(app, {"type": "http.request", "body": b"pi", "more_body": True})


def test_a_second_start_without_an_exception_is_refused() -> None:
    def app(_environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        start_response("204 No Content", [])
        return []

    with pytest.raises(ValueError, match="twice"):
        played(app)
